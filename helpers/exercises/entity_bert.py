"""Exercises of lesson 05: F1, ids, offsets, tags, parameters, twins, swaps, whole entities."""

from helpers.exercises import Exercise, wrong_number

LABELS = ["no_relation", "per:spouse", "per:children", "per:title", "org:members", "org:founded"]


def _two_spans(draw, length):
    """Two spans (first, past the last) that share nothing, in any order."""
    middle = draw.randint(1, length - 1)
    spans = []
    for low, high in ((0, middle), (middle, length)):
        start = draw.randrange(low, high)
        spans.append((start, draw.randint(start + 1, high)))
    return draw.sample(spans, 2)


def micro_f1(gold, predicted):
    pairs = list(zip(gold, predicted, strict=True))
    hits = sum(g == p != "no_relation" for g, p in pairs)
    said = sum(p != "no_relation" for p in predicted)
    there = sum(g != "no_relation" for g in gold)
    return 2 * hits / (said + there)


def _check_micro_f1(function):
    gold = ["생일", "직함", "배우자", "학교", "no_relation", "no_relation", "no_relation"]
    predicted = ["생일", "직함", "직함", "no_relation", "no_relation", "생일", "생일"]
    typical = {  # 2 hits, 5 said, 4 there
        3 / 7: "그것은 정확도(accuracy)입니다. no_relation을 맞힌 것은 세지 않습니다.",
        2 / 5: "그것은 정밀도(precision)입니다. 정말 관계가 있는 수도 세십시오.",
        2 / 4: "그것은 재현율(recall)입니다. 모델이 관계가 있다고 말한 수도 세십시오.",
        2 * 3 / 9: "no_relation을 맞힌 것까지 세었습니다. 관계를 맞힌 것만 세십시오.",
        2 * 2 / 7: "정답이 no_relation인데 모델이 관계를 말한 것도 '말한 수'에 듭니다.",
        2 / 9: "2를 빠뜨렸습니다. F1은 2 × 맞힌 수 ÷ (말한 수 + 있는 수)입니다.",
        100 * 4 / 9: "백분율입니다. 0부터 1까지의 수로 돌려주십시오.",
    }
    otherwise = "시험에서 4/9여야 하는데 {:.3f}입니다."
    yield from wrong_number(function(gold, predicted), 4 / 9, typical, otherwise)


def _label_lists(draw):
    yield ["생일"], ["no_relation"]
    for length in range(1, 21):
        gold, predicted = (draw.choices(LABELS[:4], k=length) for _ in range(2))
        yield ["생일", *gold], predicted + draw.choices(["생일", "no_relation"])


q1 = Exercise(
    "정답과 답의 리스트를 받아 no_relation을 뺀 micro F1(0부터 1까지)을 돌려주는 함수를 쓰십시오.",
    "관계를 맞힌 수, 모델이 관계가 있다고 말한 수, 정말 관계가 있는 수를 셉니다. "
    "F1 = 2 × 맞힌 수 ÷ (말한 수 + 있는 수).",
    micro_f1,
    _check_micro_f1,
    cases=_label_lists,
)


def entity_ids(length, subject, object):
    ids = [0] * length
    for place in subject:
        ids[place] = 1
    for place in object:
        ids[place] = 2
    return ids


def _check_entity_ids(function):
    got = list(function(6, [1, 2], [4]))
    if len(got) != 6:
        yield f"토큰마다 번호가 하나씩 있어야 하므로 6개여야 하는데 {len(got)}개입니다."
    elif got == [0, 1, 1, 0, 1, 0]:
        yield "주어와 목적어를 구별하십시오. 목적어는 2입니다."
    elif got == [0, 2, 2, 0, 1, 0]:
        yield "거꾸로입니다. 주어가 1, 목적어가 2입니다."
    elif got == [0, 1, 0, 0, 2, 0]:
        yield "개체의 첫 토큰만 칠했습니다. 개체의 모든 토큰에 번호를 주십시오."
    elif got != [0, 1, 1, 0, 2, 0]:
        yield f"[0, 1, 1, 0, 2, 0]이어야 하는데 {got}입니다."
    elif list(function(3, [2], [0])) != [2, 0, 1]:
        yield "목적어가 주어보다 앞에 올 수도 있습니다."


def _places(draw):
    for _ in range(20):
        length = draw.randint(2, 15)
        first, second = _two_spans(draw, length)
        yield length, [*range(*first)], [*range(*second)]


q2 = Exercise(
    "토큰의 수와 주어, 목적어의 토큰 자리(리스트)를 받아 entity_ids를 돌려주는 함수를 쓰십시오.",
    "0으로 채운 리스트에서 출발하여 주어의 자리에는 1, 목적어의 자리에는 2를 씁니다.",
    entity_ids,
    _check_entity_ids,
    cases=_places,
)


def tokens_of(offsets, start, end):
    return [place for place, (first, stop) in enumerate(offsets) if first <= end and stop > start]


def _check_tokens_of(function):
    offsets = [(0, 1), (1, 4), (5, 7), (7, 9)]  # 이 | ##순신은 | 조선 | ##에서
    got = list(function(offsets, 0, 2))
    if got == [0]:
        yield "'##순신은'도 개체의 글자를 나누어 가집니다. 한 글자라도 겹치면 고르십시오."
    elif got == [0, 1, 2]:
        yield "너무 많습니다. 겹치지 않는 토큰은 빼십시오."
    elif got != [0, 1]:
        yield f"(0, 2)의 토큰은 [0, 1]이어야 하는데 {got}입니다."
    elif list(function(offsets, 7, 7)) != [3]:
        yield "offsets의 둘째 수는 마지막 글자의 다음 자리이고, end는 마지막 글자의 자리입니다."
    elif list(function(offsets, 4, 5)) != [2]:
        yield "'##순신은'은 (1, 4)이므로 4번 글자를 품지 않습니다."


def _offsets(draw):
    for _ in range(25):
        length = draw.randint(2, 15)
        cuts = sorted({0, length, *draw.choices(range(length), k=5)})
        pieces = [pair for pair in zip(cuts, cuts[1:], strict=False) if draw.random() < 0.9]
        start = draw.randrange(length)
        yield [(0, 0), *pieces, (0, 0)], start, draw.randint(start, length - 1)


q3 = Exercise(
    "offsets와 개체의 첫 글자, 마지막 글자를 받아 글자를 하나라도 나누어 가지는 토큰의 자리를 "
    "리스트로 돌려주는 함수를 쓰십시오.",
    "두 구간이 겹치려면 각자의 시작이 상대의 끝보다 앞에 있어야 합니다.",
    tokens_of,
    _check_tokens_of,
    cases=_offsets,
)


def add_tags(sentence, subject, object):
    cuts = [(*subject, "[SUB]", "[/SUB]"), (*object, "[OBJ]", "[/OBJ]")]
    for start, end, opening, closing in sorted(cuts, reverse=True):
        word = sentence[start : end + 1]
        sentence = sentence[:start] + opening + word + closing + sentence[end + 1 :]
    return sentence


def _check_add_tags(function):
    sentence = "세종은 한글을 만들었다."
    expected = "[SUB]세종[/SUB]은 [OBJ]한글[/OBJ]을 만들었다."
    got = function(sentence, (0, 1), (4, 5))
    if got == "[SUB]세[/SUB]종은 [OBJ]한[/OBJ]글을 만들었다.":
        yield "끝 자리(end_idx)는 개체의 마지막 글자입니다. 자를 때는 1을 더하십시오."
    elif got == "[OBJ]세종[/OBJ]은 [SUB]한글[/SUB]을 만들었다.":
        yield "주어와 목적어의 태그가 바뀌었습니다."
    elif not isinstance(got, str) or got.count("SUB") != 2 or got.count("OBJ") != 2:
        yield "태그 네 개를 모두 넣은 문자열을 돌려주십시오."
    elif got != expected:
        yield f"{expected!r}이어야 하는데 {got!r}입니다. 앞부터 넣으면 뒤의 자리가 밀립니다."
    elif function(sentence, (4, 5), (0, 1)) != "[OBJ]세종[/OBJ]은 [SUB]한글[/SUB]을 만들었다.":
        yield "목적어가 주어보다 앞에 있을 때 틀립니다. 자리가 뒤인 것부터 넣으십시오."


def _sentences(draw):
    for _ in range(20):
        # Few letters: the same word stands in many places, and only one of them is the entity.
        sentence = "".join(draw.choices("세종은 한", k=draw.randint(2, 15)))
        (a, b), (c, d) = _two_spans(draw, len(sentence))
        yield sentence, (a, b - 1), (c, d - 1)


q4 = Exercise(
    "문장과 주어, 목적어의 (첫 글자, 마지막 글자)를 받아 태그를 넣은 문장을 돌려주는 함수를 "
    "쓰십시오.",
    "뒤에 있는 개체부터 넣으면 앞의 자리는 바뀌지 않습니다.",
    add_tags,
    _check_add_tags,
    cases=_sentences,
)


def new_parameters():
    roles, types, hidden = 2, 6, 384
    tags = 2 * roles * types * hidden  # 여는 태그와 닫는 태그
    embedding = (1 + roles * types) * hidden  # 0번은 '개체가 아님'
    return tags, embedding


def _check_new_parameters(answer):
    if answer == (13 * 384, 24 * 384):
        yield "두 수의 순서가 바뀌었습니다. 태그를 먼저 쓰십시오."
        return
    tags, embedding = answer
    if tags == 12 * 384:
        yield "여는 태그와 닫는 태그는 서로 다른 토큰입니다."
    elif tags != 24 * 384:
        yield f"태그 쪽의 {tags}은(는) 아닙니다. 역할, 종류, 여닫기를 곱한 행을 세십시오."
    if embedding == 12 * 384:
        yield "개체 임베딩에는 '개체가 아님'을 뜻하는 0번 행도 있습니다."
    elif embedding == 3 * 384:
        yield "종류를 구별하는 개체 임베딩입니다. 역할마다 종류의 수만큼 행이 있습니다."
    elif embedding != 13 * 384:
        yield f"개체 임베딩 쪽의 {embedding}은(는) 아닙니다. 행의 수에 384를 곱하십시오."


q5 = Exercise(
    "벡터의 길이가 384이고 개체의 종류가 여섯일 때, 종류까지 적는 태그와 종류까지 구별하는 개체 "
    "임베딩은 매개변수를 몇 개씩 늘립니까? (태그, 개체 임베딩)의 순서로 답하십시오.",
    "태그는 [SUB:PER], [/SUB:PER] …이고, 개체 임베딩의 번호는 0, 1, …, 12입니다.",
    new_parameters,
    _check_new_parameters,
)


def twins_right(examples, predicted):
    by_sentence = {}
    for example, answer in zip(examples, predicted, strict=True):
        by_sentence.setdefault(example["sentence"], []).append((example["label"], answer))
    twins = [g for g in by_sentence.values() if len({label for label, _ in g}) > 1]
    return sum(all(label == answer for label, answer in g) for g in twins) / len(twins)


def _twin_examples(text):
    return [{"sentence": word[0], "label": word[1:]} for word in text.split()]


def _check_twins_right(function):
    examples = _twin_examples("가생일 나직함 가고향 다생일 다생일 라생일 라직함")
    typical = {
        3 / 4: "예를 하나씩 세었습니다. 문장의 두 물음을 모두 맞혀야 하나로 칩니다.",
        1 / 3: "'다'는 라벨이 하나뿐입니다. 라벨이 서로 다른 문장만 세십시오.",
        1 / 4: "쌍둥이가 아닌 문장('나', '다')까지 세었습니다.",
        1: "한 물음만 맞힌 문장까지 세었습니다. 두 물음을 모두 맞혀야 합니다.",
    }
    got = function(examples, ["생일", "생일", "고향", "직함", "직함", "생일", "생일"])
    yield from wrong_number(got, 1 / 2, typical, "시험에서 1/2이어야 하는데 {:.3f}입니다.")


def _twins(draw):
    labels = ["생일", "고향", "직함"]
    for _ in range(20):
        more = [draw.choice("나다라마") + draw.choice(labels) for _ in range(10)]
        examples = _twin_examples(" ".join(["가생일", "가고향", *more]))
        draw.shuffle(examples)
        answers = [e["label"] if draw.random() < 0.8 else draw.choice(labels) for e in examples]
        yield examples, answers


q6 = Exercise(
    "예와 답의 리스트를 받아, 쌍둥이 문장 가운데 딸린 물음을 모두 맞힌 문장의 비율을 돌려주는 "
    "함수를 쓰십시오. 쌍둥이는 같은 문장에 서로 다른 라벨이 붙은 것입니다.",
    "문장을 열쇠로 하는 사전에 (정답, 답)을 모은 뒤, 정답이 두 가지 이상인 문장만 남깁니다.",
    twins_right,
    _check_twins_right,
    cases=_twins,
)


def right_after_swap(label):
    return label if label == "per:spouse" else "no_relation"


def _check_right_after_swap(function):
    if function("per:spouse") == "no_relation":
        yield "A가 B의 배우자이면 B도 A의 배우자입니다. 방향이 없는 관계가 하나 있습니다."
    elif function("per:children") == "per:children":
        yield "per:children은 (부모, 자식)입니다. 자식은 부모의 부모가 아닙니다."
    elif function("org:members") != "no_relation":
        yield "뒤집힌 방향을 가리키는 라벨이 이 데이터에는 없습니다. 그러면 no_relation입니다."


q7 = Exercise(
    "라벨을 받아, 주어와 목적어를 맞바꾼 뒤에 옳은 라벨을 돌려주는 함수를 쓰십시오.",
    "no_relation을 뺀 라벨 열넷을 하나씩 뒤집어 읽어 보십시오. 'B는 A의 …이다'가 여전히 참인 것은 "
    "하나뿐입니다.",
    right_after_swap,
    _check_right_after_swap,
    cases=lambda draw: [(label,) for label in LABELS],
)


def hide_entities(tokens, chunks, chosen):
    hidden = list(tokens)
    for number in chosen:
        first, last = chunks[number]
        hidden[first:last] = ["[MASK]"] * (last - first)
    return hidden


def _check_hide_entities(function):
    tokens = ["이", "##순", "##신", "은", "조선", "의", "무신"]
    given, chunks = list(tokens), [(0, 3), (4, 5)]
    got = function(given, chunks, [0])
    if given != tokens:
        yield "받은 리스트를 고쳤습니다. list(tokens)로 복사한 것을 고치십시오."
    elif len(got) != len(tokens):
        yield "토큰의 수가 달라졌습니다. 토큰 하나마다 [MASK]를 하나씩 쓰십시오."
    elif got[:4] == ["[MASK]", "##순", "##신", "은"]:
        yield "첫 토큰만 가렸습니다. 남은 '##순 ##신'이 답을 알려 줍니다. 통째로 가리십시오."
    elif got[3] == "[MASK]":
        yield "(0, 3)의 3은 개체의 다음 자리입니다. '은'은 가리지 마십시오."
    elif got[4] == "[MASK]":
        yield "고른(chosen) 개체만 가리십시오."
    elif list(got) != ["[MASK]"] * 3 + tokens[3:]:
        yield f"{' '.join(['[MASK]'] * 3 + tokens[3:])}이어야 하는데 {' '.join(got)}입니다."
    elif list(function(given, chunks, [1, 0])).count("[MASK]") != 4:
        yield "고른 개체가 여럿이면 모두 가리십시오."


def _chunks(draw):
    yield ["가"], [(0, 1)], []
    for _ in range(20):
        tokens = [f"토큰{number}" for number in range(draw.randint(3, 12))]
        chunks = sorted(_two_spans(draw, len(tokens)))
        yield tokens, chunks, draw.sample(range(2), draw.randint(0, 2))


q8 = Exercise(
    "토큰, 개체의 (첫 자리, 마지막 자리의 다음) 리스트, 고른 개체의 번호들을 받아 고른 개체를 "
    "통째로 [MASK]로 바꾼 새 리스트를 돌려주는 함수를 쓰십시오.",
    "자리 first부터 last 앞까지를 모두 [MASK]로 바꿉니다.",
    hide_entities,
    _check_hide_entities,
    cases=_chunks,
)
