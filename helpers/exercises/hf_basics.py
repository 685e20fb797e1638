"""Exercises of lesson 01, Hugging Face basics."""

import math

import torch

from helpers.exercises import Exercise


def _pieces():
    # 한국말을: 어휘에 있는 가장 긴 앞부분은 "한국말"이고, 남은 "을"은 "##을"로 찾습니다.
    # 한국말로: "한국말" 다음의 "##로"가 어휘에 없습니다. 그래서 낱말 전체가 [UNK]입니다.
    return ["한국말", "##을", "[UNK]"]


def _check_pieces(answer):
    if not isinstance(answer, list | tuple):
        yield "토큰의 리스트(list)로 답하십시오."
    elif "한국" in answer:
        yield "'한국'보다 더 긴 조각이 어휘에 있습니다. 언제나 가장 긴 것을 고릅니다."
    elif "을" in answer:
        yield "낱말의 처음이 아닌 조각에는 ##이 붙습니다."
    elif answer.count("한국말") > 1 or "##[UNK]" in answer:
        yield "한 조각이라도 찾지 못하면 앞서 찾은 조각까지 버리고 낱말 전체가 [UNK] 하나가 됩니다."
    elif list(answer) != _pieces():
        yield "낱말마다 왼쪽에서부터, 어휘에 있는 가장 긴 조각을 찾으십시오."


q1 = Exercise(
    '어휘가 {"한국", "한국말", "##말", "##을", "##어"}일 때 '
    '"한국말을 한국말로"의 WordPiece 토큰을 순서대로 쓰십시오.',
    "낱말 두 개를 따로 다룹니다. 두 번째 낱말은 끝까지 쪼갤 수 있습니까?",
    _pieces,
    _check_pieces,
)


def unknown_rate(tokens):
    if not tokens:
        return 0.0
    return tokens.count("[UNK]") / len(tokens)


def _check_unknown_rate(function):
    rate = function(["[UNK]", "방", "##이", "[UNK]"])
    if rate == 2:
        yield "개수가 아니라 비율을 돌려주십시오. 토큰의 수로 나눕니다."
    elif rate == 50:
        yield "백분율이 아니라 0과 1 사이의 비율을 돌려주십시오."
    elif rate != 0.5:
        yield f"토큰 네 개 가운데 [UNK]가 두 개이면 0.5입니다. 돌려준 값은 {rate}입니다."
    elif function([]) != 0:
        yield "토큰이 하나도 없으면 0.0을 돌려주십시오."


def _token_lists(draw):
    yield ([],)
    for length in range(1, 20):
        yield (draw.choices(["[UNK]", "방", "##이", "[PAD]", "##[UNK]"], k=length),)


q2 = Exercise(
    "토큰의 리스트를 받아 [UNK]의 비율(0~1)을 돌려주는 함수를 쓰십시오. 빈 리스트이면 0.0입니다.",
    "리스트에는 count 메서드가 있습니다. 0으로 나누지 않게 하십시오.",
    unknown_rate,
    _check_unknown_rate,
    cases=_token_lists,
)


def pad_batch(batch, pad_id):
    length = max(len(ids) for ids in batch)
    input_ids = [ids + [pad_id] * (length - len(ids)) for ids in batch]
    attention_mask = [[1] * len(ids) + [0] * (length - len(ids)) for ids in batch]
    return input_ids, attention_mask


def _check_pad_batch(function):
    batch = [[2, 7, 3], [2, 3]]
    result = function(batch, 9)
    if not isinstance(result, tuple) or len(result) != 2:
        yield "input_ids와 attention_mask를 `return input_ids, attention_mask`로 함께 돌려주십시오."
        return
    input_ids, mask = result
    if batch != [[2, 7, 3], [2, 3]]:
        yield "받은 리스트를 바꾸지 말고 새 리스트를 만드십시오."
    elif [len(ids) for ids in input_ids] != [3, 3]:
        yield "모든 줄의 길이가 가장 긴 줄과 같아야 합니다."
    elif input_ids[1] == [9, 2, 3]:
        yield "BERT는 오른쪽 끝을 채웁니다."
    elif input_ids[1] == [2, 3, 0]:
        yield "0이 아니라 받은 pad_id로 채우십시오. [PAD]의 번호는 모델마다 다를 수 있습니다."
    elif input_ids != [[2, 7, 3], [2, 3, 9]]:
        yield f"input_ids가 [[2, 7, 3], [2, 3, 9]]이어야 하는데 {input_ids}입니다."
    elif mask == [[1, 1, 1], [1, 1, 1]]:
        yield "채운 자리의 attention_mask는 0이어야 합니다. 그래야 모델이 보지 않습니다."
    elif mask == [[0, 0, 0], [0, 0, 1]]:
        yield "거꾸로입니다. 볼 자리가 1, 채운 자리가 0입니다."
    elif mask != [[1, 1, 1], [1, 1, 0]]:
        yield f"attention_mask가 [[1, 1, 1], [1, 1, 0]]이어야 하는데 {mask}입니다."


def _batches(draw):
    yield [[2, 3]], 0
    yield [[], [5]], 0
    for _ in range(20):
        lengths = draw.choices(range(1, 8), k=draw.randint(1, 5))
        batch = [[draw.randint(2, 50) for _ in range(length)] for length in lengths]
        yield batch, draw.choice((0, 1, 99))


q3 = Exercise(
    "번호 리스트의 리스트 batch와 pad_id를 받아, 줄마다 오른쪽을 pad_id로 채워 가장 긴 줄에 맞춘 "
    "input_ids와 그 attention_mask를 (input_ids, attention_mask)로 돌려주는 함수를 쓰십시오. 받은 "
    "리스트는 고치지 않습니다.",
    "먼저 가장 긴 줄의 길이를 구하고, 모자라는 만큼 [pad_id]와 [0]을 곱해서 붙입니다.",
    pad_batch,
    _check_pad_batch,
    cases=_batches,
)


def join_pair(first, second):
    tokens = ["[CLS]"] + first + ["[SEP]"] + second + ["[SEP]"]
    token_type_ids = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return tokens, token_type_ids


def _check_join_pair(function):
    result = function(["가", "나"], ["다"])
    if not isinstance(result, tuple) or len(result) != 2:
        yield "tokens와 token_type_ids를 `return tokens, token_type_ids`로 함께 돌려주십시오."
        return
    tokens, types = result
    if tokens.count("[SEP]") < 2:
        yield "[SEP]는 두 개입니다. 각 문장의 끝에 하나씩 붙습니다."
    elif tokens.count("[CLS]") > 1:
        yield "[CLS]는 맨 앞에 한 번만 붙습니다."
    elif tokens != ["[CLS]", "가", "나", "[SEP]", "다", "[SEP]"]:
        yield f"토큰의 순서가 [CLS] 가 나 [SEP] 다 [SEP]여야 하는데 {' '.join(tokens)}입니다."
    elif len(types) != len(tokens):
        yield f"토큰은 {len(tokens)}개인데 token_type_ids는 {len(types)}개입니다."
    elif types == [0, 0, 0, 1, 1, 1]:
        yield "첫 문장을 끝내는 [SEP]는 첫 문장에 속하므로 0입니다."
    elif types == [0, 0, 0, 0, 1, 0]:
        yield "맨 끝의 [SEP]는 둘째 문장에 속하므로 1입니다."
    elif types != [0, 0, 0, 0, 1, 1]:
        yield f"token_type_ids가 [0, 0, 0, 0, 1, 1]이어야 하는데 {types}입니다."


def _sentence_pairs(draw):
    for _ in range(20):
        first, second = (draw.choices("가나다라", k=draw.randint(1, 6)) for _ in range(2))
        yield first, second


q4 = Exercise(
    "두 문장의 토큰 리스트를 받아 BERT의 입력 (tokens, token_type_ids)을 돌려주는 함수를 쓰십시오.",
    "[CLS] 첫 문장 [SEP] 둘째 문장 [SEP]의 순서이고, 첫 [SEP]까지가 0입니다.",
    join_pair,
    _check_join_pair,
    cases=_sentence_pairs,
)


def _new_parameters():
    new_tokens = 1 + 2  # "ㅇㅈ"과 특수 토큰 두 개. "한국"은 어휘에 이미 있습니다.
    return new_tokens * 384


def _check_new_parameters(answer):
    if answer == 3:
        yield "그것은 늘어난 행의 수입니다. 한 행에는 384개의 수가 있습니다."
    elif answer == 4 * 384:
        yield "이미 어휘에 있는 토큰은 행을 늘리지 않습니다. len(tokenizer)의 차이를 생각하십시오."
    elif answer == 16003 * 384:
        yield "임베딩 전체가 아니라 늘어난 만큼만 세십시오."
    elif answer != 3 * 384:
        yield "(늘어난 토큰의 수) × (벡터의 길이)를 계산하십시오."


q5 = Exercise(
    '어휘 16,000개, 벡터의 길이 384인 BertModel이 있습니다. 어휘에 "한국"은 있고 "ㅇㅈ"은 '
    '없습니다. add_tokens(["ㅇㅈ", "한국"])과 특수 토큰 [SHKIM], [/SHKIM]을 더하고 크기를 맞추면 '
    "매개변수는 몇 개 늘어납니까?",
    "어휘에 없던 토큰마다 임베딩에 한 행이 생깁니다.",
    _new_parameters,
    _check_new_parameters,
)


def masked_mean(hidden, mask):
    mask = mask.unsqueeze(-1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def _check_masked_mean(function):
    hidden = torch.tensor([[[2.0, 0.0], [4.0, 2.0], [90.0, 90.0]], [[1.0, 1.0]] * 3])
    mean = function(hidden, torch.tensor([[1, 1, 0], [1, 1, 1]]))
    if not isinstance(mean, torch.Tensor) or mean.shape != (2, 2):
        shape = list(getattr(mean, "shape", []))
        yield f"[문장, 차원], 곧 [2, 2] 모양의 텐서를 돌려주십시오. 지금은 {shape}입니다."
    elif torch.equal(mean, hidden.mean(dim=1)):
        yield "채운 자리([PAD])까지 평균에 들어갔습니다. mask가 0인 자리를 빼십시오."
    elif torch.equal(mean[0], torch.tensor([2.0, 2 / 3])):
        yield "합은 맞지만 나누는 수가 틀렸습니다. 길이가 아니라 mask의 합으로 나누십시오."
    elif torch.equal(mean[0], torch.tensor([6.0, 2.0])):
        yield "합만 구했습니다. mask의 합으로 나누십시오."
    elif not torch.allclose(mean, torch.tensor([[3.0, 1.0], [1.0, 1.0]])):
        yield f"첫 문장의 평균은 [3, 1]이어야 하는데 {mean[0].tolist()}입니다."


def _hidden_and_mask(draw):
    generator = torch.Generator().manual_seed(draw.randrange(1000))
    for _ in range(20):
        sentences, length = draw.randint(1, 4), draw.randint(1, 6)
        mask = torch.randint(2, (sentences, length), generator=generator)
        mask[:, 0] = 1  # [CLS]: no sentence is empty
        yield torch.randn(sentences, length, draw.randint(1, 5), generator=generator), mask


q6 = Exercise(
    "hidden [문장, 토큰, 차원]과 mask [문장, 토큰]을 받아 [PAD]를 뺀 평균 [문장, 차원]을 "
    "돌려주는 함수를 쓰십시오.",
    "mask.unsqueeze(-1)은 [문장, 토큰, 1]이 되어 hidden에 곱할 수 있습니다.",
    masked_mean,
    _check_masked_mean,
    cases=_hidden_and_mask,
)


def best_tokens(logits, k):
    values, ids = logits.softmax(dim=-1).topk(k)
    return list(zip(ids.tolist(), values.tolist(), strict=True))


def _check_best_tokens(function):
    logits = torch.tensor([0.0, math.log(5), math.log(3), math.log(1)])
    pairs = [tuple(pair) for pair in function(logits, 2)]
    if len(pairs) != 2:
        yield f"k가 2이면 두 쌍을 돌려주어야 하는데 {len(pairs)}쌍입니다."
        return
    ids, values = zip(*pairs, strict=True)
    total = sum(values)
    if [round(float(i), 3) for i in ids] == [0.5, 0.3]:
        yield "순서가 바뀌었습니다. (번호, 확률)의 순서로 돌려주십시오."
    elif set(ids) == {0, 3}:
        yield "가장 작은 것을 골랐습니다. 가장 큰 것부터 고르십시오."
    elif tuple(ids) == (2, 1):
        yield "확률이 큰 것부터 늘어놓으십시오."
    elif tuple(ids) != (1, 2):
        yield f"번호가 1, 2의 순서여야 하는데 {list(ids)}입니다."
    elif abs(total - (math.log(5) + math.log(3))) < 1e-4:
        yield "로짓(logit)을 그대로 돌려주었습니다. softmax로 확률을 만드십시오."
    elif abs(total - 1) < 1e-4:
        yield "softmax를 고른 k개에만 썼습니다. 어휘 전체에 먼저 쓰십시오."
    elif abs(values[0] - 0.5) > 1e-4:
        yield f"첫 확률은 0.5여야 하는데 {values[0]:.3f}입니다."


def _logits(draw):
    for size in range(1, 20):
        # Distinct, so that there is one right order.
        logits = [value / 10 for value in draw.sample(range(-50, 50), size)]
        yield torch.tensor(logits), draw.randint(1, size)


q7 = Exercise(
    "[MASK] 자리의 logits [어휘]와 k를 받아, 확률이 큰 순서로 (번호, 확률) 쌍 k개의 리스트를 "
    "돌려주는 함수를 쓰십시오.",
    "softmax를 먼저, topk를 나중에 씁니다. topk는 값과 번호를 차례로 돌려줍니다.",
    best_tokens,
    _check_best_tokens,
    cases=_logits,
)
