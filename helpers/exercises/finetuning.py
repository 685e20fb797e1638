"""Exercises of lesson 06: labels, alignment, entity F1, windows, spans, character F1, sampling."""

import math
from collections import Counter
from statistics import mean

from helpers.exercises import Exercise, wrong_number


def _plain(value):
    """Tuples and lists are alike, at every depth."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def iob_labels():
    types = 6
    return 2 * types + 1  # B-와 I-가 종류마다 하나씩, 그리고 O 하나


def _check_iob_labels(answer):
    if answer == 6:
        yield "종류의 수입니다. 이름의 시작(B-)과 계속(I-)을 구별해야 합니다."
    elif answer == 7:
        yield "B-와 I-를 구별하지 않으면 맞닿은 두 이름이 하나로 보입니다."
    elif answer == 12:
        yield "이름이 아닌 글자의 라벨도 있습니다."
    elif answer != 13:
        yield f"{answer}은(는) 아닙니다. 종류마다 두 개, 그리고 이름이 아닌 글자에 하나입니다."


q1 = Exercise(
    "개체명이 여섯 종류일 때 IOB2 방식의 태그는 모두 몇 가지입니까?",
    "종류마다 B-(시작)와 I-(계속)가 있고, 이름이 아닌 글자는 모두 O입니다.",
    iob_labels,
    _check_iob_labels,
)


def align(tags, offsets):
    return [tags[first] if first < end else None for first, end in offsets]


def _alignments(draw):
    for _ in range(30):
        length = draw.randint(1, 12)
        tags = [draw.choice(["O", "B-PS", "I-PS", "B-LC"]) for _ in range(length)]
        cuts = sorted({0, length, *draw.choices(range(length), k=3)})
        pieces = [pair for pair in zip(cuts, cuts[1:], strict=False) if draw.random() < 0.9]
        middle = draw.randrange(len(pieces) + 1)  # the [SEP] of a pair
        pieces[middle:middle] = [(0, 0)] * draw.randint(0, 1)
        yield tags, [(0, 0), *pieces, *[(0, 0)] * draw.randint(1, 3)]  # [SEP] and [PAD]


def _check_align(function):
    tags = ["B-PS", "I-PS", "I-PS", "O", "O", "B-LC", "I-LC"]  # 이순신은 한산
    offsets = [(0, 0), (0, 2), (2, 4), (5, 7), (0, 0)]
    got = _plain(function(tags, offsets))
    if got == tags[:5]:
        yield "토큰의 번호로 글자의 태그를 읽었습니다. 토큰의 첫 글자의 자리(first)로 읽으십시오."
    elif got == ["B-PS", "B-PS", "I-PS", "B-LC", "B-PS"]:
        yield "특수 토큰의 구간은 (0, 0)입니다. 글자가 없으므로 첫 글자의 태그를 주면 안 됩니다."
    elif len(got) != 5:
        yield f"토큰이 다섯이므로 라벨도 다섯이어야 하는데 {len(got)}개입니다."
    elif got == [None, "I-PS", "O", "I-LC", None]:
        yield "토큰의 마지막 글자를 읽었습니다. 첫 글자를 읽으십시오."
    elif got != [None, "B-PS", "I-PS", "B-LC", None]:
        yield f"[None, 'B-PS', 'I-PS', 'B-LC', None]이어야 하는데 {got}입니다."


q2 = Exercise(
    "글자의 태그와 토큰의 offsets를 받아, 토큰마다 첫 글자의 태그를 돌려주는 함수로 고치십시오. "
    "특수 토큰은 None입니다.",
    "offsets의 (first, end)에서 first가 첫 글자의 자리입니다. 글자가 없는 토큰은 first와 end가 "
    "같습니다.",
    align,
    _check_align,
    cases=_alignments,
)


def entity_f1(gold, predicted):
    pairs = list(zip(gold, predicted, strict=True))
    hits = sum(len(set(g) & set(p)) for g, p in pairs)
    total = sum(len(g) + len(p) for g, p in pairs)
    return 2 * hits / total if total else 0.0


def _entity_cases(draw):
    def sentence():
        cuts = sorted(draw.sample(range(12), 4))
        spans = [(cuts[0], cuts[1]), (cuts[2], cuts[3])]
        return [(*span, draw.choice(["PS", "LC"])) for span in spans if draw.random() < 0.7]

    for _ in range(30):
        gold = [sentence() for _ in range(4)]
        yield gold, [g if draw.random() < 0.5 else sentence() for g in gold]
    yield [[]], [[]]


def _check_entity_f1(function):
    gold = [[(0, 3, "PS"), (5, 7, "LC")], [(0, 2, "PS")], []]
    predicted = [[(0, 3, "PS"), (5, 8, "LC")], [(0, 2, "LC")], [(1, 2, "PS")]]
    typical = {  # 1 hit, 3 there, 4 said
        1 / 4: "그것은 정밀도입니다. 정답에 있는 이름의 수도 세십시오.",
        1 / 3: "그것은 재현율입니다. 모델이 말한 이름의 수도 세십시오.",
        4 / 7: "종류가 다르면 틀린 것입니다. 자리와 종류가 모두 같아야 합니다.",
        1 / 7: "2를 빠뜨렸습니다. F1은 2 × 맞힌 수 ÷ (말한 수 + 있는 수)입니다.",
    }
    otherwise = "시험에서 2/7이어야 하는데 {:.3f}입니다."
    yield from wrong_number(function(gold, predicted), 2 / 7, typical, otherwise)


q3 = Exercise(
    "문장마다 개체명 (첫 자리, 마지막 다음 자리, 종류)의 리스트를 담은 정답과 답을 받아, 모든 "
    "문장을 한데 모은 F1을 돌려주는 함수를 쓰십시오. 개체명이 하나도 없으면 0입니다.",
    "문장마다 set(정답) & set(답)의 크기가 맞힌 수입니다.",
    entity_f1,
    _check_entity_f1,
    cases=_entity_cases,
)


def windows(length, room, overlap):
    found = [(0, min(room, length))]
    while found[-1][1] < length:
        first = found[-1][1] - overlap
        found.append((first, min(first + room, length)))
    return found


def _check_windows(function):
    got = _plain(function(10, 4, 1))
    if got == [[0, 4], [4, 8], [8, 10]]:
        yield "창이 겹치지 않습니다. 두 창의 경계에 걸친 답은 어느 창에도 온전히 들지 못합니다."
    elif got == [[0, 4], [3, 7], [6, 10], [9, 10]]:
        yield "끝에 닿은 뒤에는 멈추십시오. 마지막 창은 새로 보여 주는 것이 없습니다."
    elif got and got[-1][1] > 10:
        yield "창의 끝이 글의 끝을 넘었습니다."
    elif got != [[0, 4], [3, 7], [6, 10]]:
        yield f"[(0, 4), (3, 7), (6, 10)]이어야 하는데 {got}입니다."
    elif _plain(function(3, 4, 1)) != [[0, 3]]:
        yield "짧은 글은 창 하나로 충분합니다."


def _lengths(draw):
    for room in range(2, 30):
        yield draw.randint(1, 60), room, draw.randrange(room)


q4 = Exercise(
    "글의 길이, 창의 크기, 이웃한 창이 겹치는 길이를 받아 글을 모두 덮는 창 (첫 자리, 마지막 다음 "
    "자리)의 리스트를 돌려주는 함수를 쓰십시오. 단위는 토큰이고, 마지막 창은 글의 끝에서 끝납니다.",
    "첫 창은 (0, 창의 크기)입니다. 다음 창은 앞 창의 끝에서 겹치는 길이만큼 앞에서 시작합니다.",
    windows,
    _check_windows,
    cases=_lengths,
)


def best_span(starts, ends, longest):
    places = range(len(starts))
    spans = [(s, e) for s in places for e in places if s <= e < s + longest]
    return max(spans, key=lambda span: starts[span[0]] + ends[span[1]])


def _check_best_span(function):
    got = tuple(function([0, 5, 1, 2], [4, 0, 3, 1], 3))
    if got == (1, 0):
        yield "끝이 시작보다 앞에 있습니다. 시작과 끝을 따로 고르지 말고 쌍으로 고르십시오."
    elif got != (1, 2):
        yield f"(1, 2)이어야 하는데 {got}입니다."
    elif tuple(function([9, 0, 0, 1], [0, 1, 0, 9], 2)) == (0, 3):
        yield "longest보다 긴 구간을 골랐습니다. 구간의 길이는 끝 - 시작 + 1입니다."
    elif tuple(function([9, 0], [0, 8], 2)) != (0, 1):
        yield "길이가 꼭 longest인 구간도 됩니다."


def _scores(draw):
    for size in [*range(1, 12)] * 2:
        starts, ends = ([round(draw.uniform(-5, 5), 3) for _ in range(size)] for _ in range(2))
        yield starts, ends, draw.randint(1, 6)


q5 = Exercise(
    "시작의 점수, 끝의 점수, 가장 긴 길이를 받아 두 점수의 합이 가장 큰 (시작, 끝)을 돌려주는 "
    "함수를 쓰십시오. 끝은 시작과 같거나 뒤이고, 구간은 longest토큰을 넘지 않습니다.",
    "가능한 모든 (시작, 끝) 쌍을 만들고, 합이 가장 큰 것을 고릅니다.",
    best_span,
    _check_best_span,
    cases=_scores,
)


def character_f1(predicted, gold):
    found, right = Counter(predicted), Counter(gold)
    shared = (found & right).total()
    return 2 * shared / (len(predicted) + len(gold))


def _check_character_f1(function):
    got = function("부산부시장", "부산역")
    if math.isclose(got, 4 / 7):
        yield "같은 글자가 두 번 나오면 두 번 셉니다. 집합(set)은 한 번만 셉니다."
    elif math.isclose(got, 2 / 5):
        yield "그것은 정밀도입니다. 정답의 글자 수도 넣으십시오."
    elif math.isclose(got, 2 / 3):
        yield "그것은 재현율입니다. 모델의 답의 글자 수도 넣으십시오."
    elif math.isclose(got, 0.0):
        yield "글자마다 견주십시오. 낱말이 통째로 같을 때만 점수를 주면 조사 하나에 0점이 됩니다."
    elif not math.isclose(got, 1 / 2):
        yield f"'부산부시장'과 '부산역'에서 1/2이어야 하는데 {got:.3f}입니다."


def _answers(draw):
    for _ in range(30):
        predicted, gold = (
            "".join(draw.choices("가나다라", k=draw.randint(1, 6))) for _ in range(2)
        )
        yield predicted, gold


q6 = Exercise(
    "모델의 답과 정답(빈칸 없는 문자열)을 받아 글자 F1을 돌려주는 함수를 쓰십시오. 같은 글자가 "
    "여러 번 나오면 그 수만큼 셉니다.",
    "collections.Counter 둘의 &는 글자마다 적은 쪽의 수를 남깁니다.",
    character_f1,
    _check_character_f1,
    cases=_answers,
)


def temperature_shares(sizes, temperature):
    weights = [size ** (1 / temperature) for size in sizes]
    return [weight / sum(weights) for weight in weights]


def _check_temperature(function):
    def near(got, right):
        pairs = zip(got, right, strict=True)
        return all(math.isclose(a, b, abs_tol=1e-9) for a, b in pairs)

    got = list(function([900, 100], 2))
    if near(got, [0.9, 0.1]):
        yield "온도를 쓰지 않았습니다. 크기를 1/T 제곱한 뒤에 합이 1이 되게 나누십시오."
    elif near(got, [30, 10]):
        yield "합이 1이 되게 나누십시오."
    elif near(got, [81 / 82, 1 / 82]):
        yield "거꾸로입니다. T제곱이 아니라 1/T제곱입니다."
    elif not near(got, [0.75, 0.25]):
        yield f"[0.75, 0.25]이어야 하는데 {got}입니다."


def _tasks(draw):
    for _ in range(20):
        yield [draw.randint(1, 5000) for _ in range(draw.randint(1, 6))], draw.randint(1, 18) / 2


q7 = Exercise(
    "과제마다 학습 예의 수와 온도 T를 받아 과제를 뽑을 확률을 돌려주는 함수를 쓰십시오. 확률은 n의 "
    "1/T 제곱에 비례합니다.",
    "수마다 n ** (1 / T)를 구하고, 그 합으로 나눕니다.",
    temperature_shares,
    _check_temperature,
    cases=_tasks,
)


def choose_rate(curve):
    return max(sorted(curve), key=lambda rate: mean(curve[rate]))


def _check_choose_rate(function):
    curve = {1e-5: [0.50, 0.52, 0.51], 1e-4: [0.80, 0.81, 0.79], 1e-3: [0.90, 0.50, 0.55]}
    got = function(curve)
    if got == 1e-3:
        yield "가장 높은 점수 하나는 운일 수 있습니다. 시드의 평균이 가장 높은 학습률을 고르십시오."
    elif not isinstance(got, float) or got > max(curve):
        yield "점수가 아니라 학습률을 돌려주십시오."
    elif got != 1e-4:
        yield f"0.0001이어야 하는데 {got!r}입니다."
    elif function({3e-4: [0.7, 0.7], 1e-4: [0.7, 0.7]}) != 1e-4:
        yield "평균이 같으면 작은 학습률을 고르십시오."


def _curves(draw):
    for _ in range(30):
        rates = draw.sample([1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3], draw.randint(1, 6))
        yield ({rate: [draw.randint(0, 4) / 4 for _ in range(3)] for rate in rates},)


q8 = Exercise(
    "{학습률: 시드마다의 개발(dev) 점수}를 받아 평균이 가장 높은 학습률을 돌려주는 함수를 "
    "쓰십시오. 같으면 작은 학습률입니다.",
    "sorted(curve)는 학습률을 작은 것부터 늘어놓습니다. max는 같으면 먼저 나온 것을 고릅니다.",
    choose_rate,
    _check_choose_rate,
    cases=_curves,
)
