"""Exercises of lesson 04: pieces, a rule on B alone, masking, sizes, bits, warm start, domains."""

import json
import math
from statistics import mean

import torch

from helpers.exercises import Exercise
from helpers.resources import DATA


def longest_match(word, vocab):
    pieces, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocab:
                break
        else:
            return ["[UNK]"]
        pieces.append(piece)
        start = end
    return pieces


def _check_longest_match(answer):
    vocab = {"[UNK]", "대한", "대한민국", "##민국", "##국", "##의", "민", "한", "##한", "대"}
    got = answer("대한민국의", vocab)
    if not isinstance(got, list):
        yield f"조각의 리스트를 돌려주어야 하는데 {type(got).__name__}을(를) 돌려주었습니다."
    elif got[:1] == ["대"] or got[:1] == ["대한"]:
        yield "'대한민국'이 어휘에 있는데 더 짧은 조각을 골랐습니다. 가장 긴 것부터 찾으십시오."
    elif got == ["대한민국", "의"]:
        yield "단어의 첫 조각이 아니면 앞에 ##이 붙습니다."
    elif got != ["대한민국", "##의"]:
        yield f"'대한민국의'는 대한민국 ##의여야 하는데 {' '.join(map(str, got))}입니다."
    elif answer("대한국가", vocab) != ["[UNK]"]:
        yield "'대한국가'의 '가'는 어휘로 쓸 수 없습니다. 그런 단어는 통째로 [UNK] 하나가 됩니다."


def _words(draw):
    for _ in range(30):
        pieces = ["".join(draw.choices("가나다", k=draw.randint(1, 3))) for _ in range(12)]
        vocab = {draw.choice(("", "##")) + piece for piece in pieces}
        yield "".join(draw.choices("가나다", k=draw.randint(1, 7))), vocab


q1 = Exercise(
    "단어 하나와 어휘(조각의 집합)를 받아 WordPiece처럼 왼쪽에서부터 가장 긴 조각을 고르는 함수를 "
    "만드십시오.",
    "start에서 시작하는 글자열을 끝에서부터 한 글자씩 줄이며 어휘에서 찾습니다. start가 0이 아니면 "
    "앞에 ##을 붙입니다. 하나도 없으면 ['[UNK]']입니다.",
    longest_match,
    _check_longest_match,
    cases=_words,
)


def b_only(b, starts):
    return 0 if tuple(b[:2]) in starts else 1


def _check_b_only(answer):
    starts = {("그", "##는"), ("물", "##은"), ("19세기", "말")}
    cases = {("그", "##는", "갔다"): 0, ("##는", "갔다", "."): 1, ("갔다", ".", "그"): 1}
    got = [answer(list(b), starts) for b in cases]
    if any(label not in (0, 1) for label in got):
        yield f"라벨 0이나 1을 돌려주어야 하는데 {got}을(를) 돌려주었습니다."
    elif got == [1, 0, 0]:
        yield "거꾸로입니다. 문장의 첫머리에서 시작하는 B가 진짜 다음 문장(0)으로 보입니다."
    elif got == [0, 1, 0]:
        yield (
            "##만 보면 낱말의 첫 조각에서 시작하는 가운데 토막을 놓칩니다. "
            "첫 두 조각을 starts에서 찾으십시오."
        )
    elif got != list(cases.values()):
        yield f"세 가지 B에 [0, 1, 1]을 답해야 하는데 {got}입니다."


def _second_sentences(draw):
    starts = {("그", "##는"), ("물", "##은"), ("19세기", "말")}
    for _ in range(30):
        pieces = ["그", "##는", "물", "##은", "말", "19세기", "갔다"]
        yield draw.choices(pieces, k=draw.randint(1, 4)), starts


q2 = Exercise(
    "A를 읽지 않고 B의 첫 두 조각만으로 라벨을 맞히는 규칙을 함수로 쓰십시오.",
    "starts는 말뭉치에 있는 모든 문장의 첫 두 조각입니다. tuple(b[:2])가 그 안에 있으면 0입니다.",
    b_only,
    _check_b_only,
    cases=_second_sentences,
)


def apply_masking(tokens, positions, rolls, random_token):
    masked = list(tokens)
    for position, roll in zip(positions, rolls, strict=True):
        if roll < 0.8:
            masked[position] = "[MASK]"
        elif roll < 0.9:
            masked[position] = random_token
    return masked


def _check_apply_masking(answer):
    tokens = ["가", "나", "다", "라", "마", "바"]
    case = ([0, 2, 3, 5], [0.1, 0.85, 0.95, 0.8], "호")
    given = list(tokens)
    expected = apply_masking(tokens, *case)  # [MASK] 나 호 라 마 호
    got = answer(given, *case)
    if got is None:
        yield "아무것도 돌려주지 않았습니다. 함수의 끝에 return을 쓰십시오."
        return
    elif given != tokens:
        yield "받은 리스트를 고쳤습니다. list(tokens)로 복사한 것을 고치십시오."
    elif list(got) == ["[MASK]", "나", "[MASK]", "[MASK]", "마", "[MASK]"]:
        yield "고른 자리를 모두 [MASK]로 바꾸었습니다. rolls를 보고 셋으로 나누십시오."
    elif list(got) == ["[MASK]", "나", "호", "라", "마", "[MASK]"]:
        yield "경계를 보십시오. 0.8은 '0.8보다 작다'에 들지 않으므로 random_token이 됩니다."
    elif list(got) == ["[MASK]", "나", "호", "호", "마", "호"]:
        yield "0.9 이상이면 토큰을 그대로 두어야 합니다."
    elif list(got) != expected:
        yield f"시험에서 {' '.join(expected)}이어야 하는데 {' '.join(map(str, got))}입니다."


def _rolls(draw):
    for _ in range(20):
        length = draw.randint(1, 9)
        positions = sorted(draw.sample(range(length), draw.randint(0, length)))
        rolls = [draw.choice((0.0, 0.79, 0.8, 0.89, 0.9, 0.99)) for _ in positions]
        yield [f"토큰{i}" for i in range(length)], positions, rolls, draw.choice("호수")


q3 = Exercise(
    "고른 자리의 토큰을 80/10/10 규칙으로 바꾼 새 리스트를 돌려주는 함수를 쓰십시오.",
    "positions와 rolls를 zip으로 함께 돌면서 roll < 0.8, roll < 0.9, 나머지로 나누십시오.",
    apply_masking,
    _check_apply_masking,
    cases=_rolls,
)


def parameter_order():
    # 늘어나는 수: 길이 448 x 256, 어휘 4000 x 256과 bias 4000, 층 4 x 789,760, 너비는 층의 행렬이
    # 모두 네 배
    return ["길이", "어휘", "층", "너비"]


def _check_parameter_order(answer):
    expected = parameter_order()
    answer = list(answer)
    if sorted(answer) != sorted(expected):
        yield "길이, 어휘, 층, 너비를 한 번씩 쓴 리스트를 주십시오."
    elif answer == expected[::-1]:
        yield "거꾸로입니다. 적게 늘어나는 것부터 쓰십시오."
    elif answer[-1] != "너비":
        yield "너비를 두 배로 하면 층의 행렬은 가로와 세로가 모두 두 배입니다. 몇 배가 됩니까?"
    elif answer[0] != "길이":
        yield "길이를 여덟 배로 해도 늘어나는 것은 위치 임베딩의 448행뿐입니다."
    elif answer != expected:
        yield "어휘 4,000개가 늘면 4000 x 256, 층 넷이 늘면 하나에 약 12 x 256 x 256씩입니다."


q4 = Exercise(
    "어휘 두 배, 너비 두 배, 층 두 배, 길이 여덟 배 가운데 매개변수가 적게 늘어나는 것부터 차례로 "
    "쓰십시오.",
    "임베딩의 한 행은 256개, 층 하나는 약 12 x 너비 x 너비개입니다.",
    parameter_order,
    _check_parameter_order,
)


def bits_per_character(loss, masked_tokens, characters):
    return loss * masked_tokens / math.log(2) / characters


def _check_bits_per_character(answer):
    expected = bits_per_character(3.0, 200, 350)
    got = answer(3.0, 200, 350)
    if not isinstance(got, int | float):
        yield f"수 하나를 돌려주어야 하는데 {type(got).__name__}을(를) 돌려주었습니다."
    elif math.isclose(got, 3.0 * 200 / 350):
        yield "아직 nats입니다. 비트로 바꾸려면 math.log(2)로 나누십시오."
    elif math.isclose(got, 3.0 / math.log(2)):
        yield "토큰당 비트입니다. 토큰 수를 곱해 전체를 구한 뒤 글자 수로 나누십시오."
    elif math.isclose(got, 3.0 * math.log(2) * 200 / 350):
        yield "nats를 비트로 바꿀 때는 math.log(2)를 곱하지 않고 나눕니다."
    elif math.isclose(got, 3.0 / math.log(2) / 350):
        yield "loss는 토큰 하나의 평균입니다. 먼저 masked_tokens를 곱해 전체를 구하십시오."
    elif not math.isclose(got, expected):
        yield (
            "loss=3.0, masked_tokens=200, characters=350에서 "
            f"{expected:.4f}이어야 하는데 {got:.4f}입니다."
        )


def _losses(draw):
    for _ in range(20):
        yield draw.randint(1, 900) / 100, draw.randint(1, 900), draw.randint(1, 2000)


q5 = Exercise(
    "평균 손실(nats), 가린 토큰 수, 가린 글자 수로 글자당 비트를 돌려주는 함수를 쓰십시오.",
    "전체 손실은 loss * masked_tokens입니다. math.log(2)로 나누면 비트가 되고, 글자 수로 나누면 "
    "글자당 비트가 됩니다.",
    bits_per_character,
    _check_bits_per_character,
    cases=_losses,
)


def mean_initialisation(spelled, vectors):
    rows = [vectors[ids].mean(0) if ids else vectors.mean(0) for ids in spelled]
    return torch.stack(rows)


def _check_mean_initialisation(answer):
    vectors = torch.tensor([[0.0, 3.0], [2.0, 1.0], [4.0, 2.0]])
    spelled = [[1], [1, 2], []]
    got = answer(spelled, vectors.clone())
    if not isinstance(got, torch.Tensor):
        yield (
            f"텐서를 돌려주어야 하는데 {type(got).__name__}을(를) 돌려주었습니다. "
            "torch.stack을 쓰십시오."
        )
    elif tuple(got.shape) != (3, 2):
        yield f"[새 조각의 수, 너비], 곧 [3, 2] 모양이어야 하는데 {list(got.shape)}입니다."
    elif torch.allclose(got[1], vectors[[1, 2]].sum(0)):
        yield "더하기만 했습니다. 옛 조각들의 평균이어야 합니다."
    elif torch.allclose(got[2], torch.zeros(2)) or got[2].isnan().any():
        yield "옛 어휘로 쓸 수 없는 조각(빈 리스트)은 모든 벡터의 평균에서 시작합니다."
    elif not torch.allclose(got, mean_initialisation(spelled, vectors)):
        yield f"{mean_initialisation(spelled, vectors).tolist()}이어야 하는데 {got.tolist()}입니다."


def _spellings(draw):
    generator = torch.Generator().manual_seed(draw.randrange(1000))
    for _ in range(20):
        vectors = torch.randn(draw.randint(1, 6), 3, generator=generator)
        # The same id twice counts twice.
        yield [draw.choices(range(len(vectors)), k=draw.randint(0, 4)) for _ in range(5)], vectors


q6 = Exercise(
    "새 조각마다 그것을 적는 옛 조각들의 번호와 옛 벡터들을 받아 새 임베딩 [조각의 수, 너비]를 "
    "돌려주는 함수를 쓰십시오.",
    "vectors[ids].mean(0)이 평균입니다. 빈 리스트에는 vectors.mean(0)을 쓰고, torch.stack으로 "
    "쌓으십시오.",
    mean_initialisation,
    _check_mean_initialisation,
    cases=_spellings,
)


def better_model():
    bits = {
        "가": bits_per_character(4.2, 1000, 1900),
        "나": bits_per_character(3.6, 1250, 1900),
        "다": bits_per_character(4.8, 800, 1900),
    }
    return min(bits, key=bits.get)


def _check_better_model(answer):
    if answer == "나":
        yield (
            "토큰의 손실과 top-1은 '나'가 가장 좋습니다. 그런데 같은 글을 더 많은 토큰으로 "
            "적습니다. 글자당 비트를 구하십시오."
        )
    elif answer == "가":
        yield "가운데 것을 고르셨습니다. 연습 5의 함수로 셋의 글자당 비트를 구하십시오."
    elif answer != better_model():
        yield "'가', '나', '다' 가운데 하나를 주십시오."


q7 = Exercise(
    "어휘가 다른 세 모델 가운데 같은 글을 가장 잘 맞힌 것은 무엇입니까?",
    "손실은 토큰의 평균입니다. bits_per_character(손실, 토큰 수, 글자 수)가 가장 작은 모델을 "
    "고르십시오.",
    better_model,
    _check_better_model,
)


def best_on_law_first():
    path = DATA / "korean_pretraining" / "domain.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    names = {"general": "일반만", "law": "법률만", "half": "절반씩"}
    bits = {
        name: mean(r["law_bits"] for r in rows if (r["start"], r["text"]) == ("warm", text))
        for text, name in names.items()
    }
    return sorted(bits, key=bits.get)


def _check_best_on_law_first(answer):
    expected = best_on_law_first()
    answer = list(answer)
    if sorted(answer) != sorted(expected):
        yield "'일반만', '법률만', '절반씩'을 한 번씩 쓴 리스트를 주십시오."
    elif answer == expected[::-1]:
        yield "거꾸로입니다. 글자당 비트가 작은(잘 채우는) 것부터 쓰십시오."
    elif answer[-1] != expected[-1]:
        yield f"법률 글을 한 줄도 읽지 않은 것은 '{expected[-1]}'입니다."
    elif answer != expected:
        yield "앞의 둘이 바뀌었습니다. 같은 스텝이면 '절반씩'은 법률 글을 절반만 읽습니다."


q8 = Exercise(
    "법률 글을 잘 채우는 것부터 '일반만', '법률만', '절반씩'을 차례로 쓰십시오.",
    "스텝의 수는 모두 같습니다. 법률 글을 얼마나 읽었는지 생각해 보십시오.",
    best_on_law_first,
    _check_best_on_law_first,
)
