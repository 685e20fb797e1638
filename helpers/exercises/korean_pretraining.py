"""Exercises of lesson 04: vocabulary, sentence pairs, masking, parameters, bits per character."""

import math

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing
from transformers import PreTrainedTokenizerFast

from helpers.exercises import Exercise


def tokens_per_word(tokenizer, sentences):
    tokens = sum(len(tokenizer.tokenize(sentence)) for sentence in sentences)
    words = sum(len(sentence.split()) for sentence in sentences)
    return tokens / words


def _check_tokens_per_word(answer):
    pieces = ["[UNK]", "[CLS]", "[SEP]", "한국", "##어", "를", "배우", "##고", "쓴다"]
    backend = Tokenizer(WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.pre_tokenizer = BertPreTokenizer()
    backend.post_processor = BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    sentences = ["한국어 배우고 쓴다", "쓴다 쓴다 쓴다 한국어"]
    expected = tokens_per_word(tokenizer, sentences)  # 10 tokens, 7 words
    got = answer(tokenizer, sentences)
    per_sentence = (5 / 3 + 5 / 4) / 2
    if not isinstance(got, int | float):
        yield f"수 하나를 돌려주어야 하는데 {type(got).__name__}을(를) 돌려주었습니다."
    elif math.isclose(got, 1 / expected):
        yield "거꾸로 나누었습니다. 토큰 수를 단어 수로 나누십시오."
    elif math.isclose(got, 14 / 7):
        yield "특수 토큰([CLS], [SEP])까지 세었습니다. `tokenize`를 쓰거나 add_special_tokens=False를 주십시오."
    elif math.isclose(got, per_sentence):
        yield "문장마다 나눈 값을 평균했습니다. 모든 토큰 수를 모든 단어 수로 한 번에 나누십시오."
    elif got in (10, 7):
        yield "수를 세기만 했습니다. 토큰 수를 단어 수로 나누십시오."
    elif not math.isclose(got, expected):
        yield f"시험 문장에서 {expected:.3f}이어야 하는데 {got:.3f}입니다."


q1 = Exercise(
    "토크나이저와 문장들을 받아 단어당 토큰 수를 돌려주는 함수를 만드십시오.",
    "토큰은 tokenizer.tokenize(문장)로, 단어는 문장.split()으로 나눕니다. 전체의 합끼리 나누십시오.",
    tokens_per_word,
    _check_tokens_per_word,
    asks_function=True,
)


def next_sentence_labels():
    # (①, ②) 이어집니다. (①, ⑤) 다른 문서입니다. (④, ⑤) 이어집니다. (③, ④) 파일에서는 이어지지만 문서가 다릅니다.
    return [0, 1, 0, 1]


def _check_labels(answer):
    expected = next_sentence_labels()
    answer = list(answer)
    if len(answer) != 4:
        yield f"쌍이 네 개이니 라벨도 네 개여야 하는데 {len(answer)}개입니다."
    elif answer == [1 - label for label in expected]:
        yield "0과 1의 뜻이 바뀌었습니다. 0이 '다음 문장', 1이 '다른 문서'입니다."
    elif answer == [0, 1, 0, 0]:
        yield "마지막 쌍은 줄로는 이어지지만 그 사이에 문서의 경계가 있습니다."
    elif answer != expected:
        wrong = [
            i + 1 for i, pair in enumerate(zip(answer, expected, strict=True)) if len(set(pair)) > 1
        ]
        yield f"{', '.join(map(str, wrong))}번째 쌍을 다시 보십시오. 같은 문서에서 이어지면 0, 다른 문서이면 1입니다."


q2 = Exercise(
    "네 쌍의 next_sentence_label을 차례로 쓰십시오.",
    "두 문장이 같은 문서에서 바로 이어지면 0, 다른 문서에서 왔으면 1입니다. 파일의 줄이 아니라 문서를 보십시오.",
    next_sentence_labels,
    _check_labels,
)


def make_pair(a, b):
    tokens = ["[CLS]", *a, "[SEP]", *b, "[SEP]"]
    token_type_ids = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    return tokens, token_type_ids


def _check_make_pair(answer):
    a, b = ["물", "##은", "끓는다"], ["김", "##이"]
    expected_tokens, expected_types = make_pair(a, b)
    got = answer(list(a), list(b))
    if not isinstance(got, tuple) or len(got) != 2:
        yield "(tokens, token_type_ids)의 두 값을 돌려주어야 합니다."
        return
    tokens, types = map(list, got)
    if tokens == expected_tokens[:-1]:
        yield "B 뒤의 [SEP]가 빠졌습니다."
    elif tokens == expected_tokens[1:]:
        yield "맨 앞의 [CLS]가 빠졌습니다."
    elif tokens != expected_tokens:
        yield f"토큰이 {' '.join(expected_tokens)}이어야 하는데 {' '.join(map(str, tokens))}입니다."
    elif len(types) != len(tokens):
        yield f"token_type_ids의 길이({len(types)})가 토큰의 수({len(tokens)})와 다릅니다. 특수 토큰에도 하나씩 있어야 합니다."
    elif types == [0] * (len(a) + 1) + [1] * (len(b) + 2):
        yield "가운데의 [SEP]는 A의 끝이므로 0입니다."
    elif types != expected_types:
        yield f"token_type_ids가 {expected_types}이어야 하는데 {types}입니다."


q3 = Exercise(
    "A와 B의 토큰으로 [CLS] A [SEP] B [SEP]와 token_type_ids를 만드는 함수를 쓰십시오.",
    "[CLS]와 첫 [SEP]는 A에, 마지막 [SEP]는 B에 듭니다. 그래서 0은 len(a) + 2개입니다.",
    make_pair,
    _check_make_pair,
    asks_function=True,
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


q4 = Exercise(
    "고른 자리의 토큰을 80/10/10 규칙으로 바꾼 새 리스트를 돌려주는 함수를 쓰십시오.",
    "positions와 rolls를 zip으로 함께 돌면서 roll < 0.8, roll < 0.9, 나머지로 나누십시오.",
    apply_masking,
    _check_apply_masking,
    asks_function=True,
)


def embedding_parameters():
    words, positions, types = 20000 * 256, 128 * 256, 2 * 256
    layer_norm = 2 * 256  # weight와 bias
    return words + positions + types + layer_norm


def _check_embedding_parameters(answer):
    expected = embedding_parameters()
    if answer == expected - 512:
        yield "512개가 모자랍니다. LayerNorm(weight와 bias)이나 token type 임베딩을 빠뜨렸습니다."
    elif answer == expected - 256:
        yield "LayerNorm에는 weight뿐 아니라 bias도 있습니다."
    elif answer == 20000 * 256:
        yield "단어 임베딩만 세었습니다. 위치, 문장(token type), LayerNorm도 더하십시오."
    elif answer != expected:
        yield f"{answer}은(는) 아닙니다. 단어, 위치, 문장 임베딩의 행 수에 256을 곱하고 LayerNorm을 더하십시오."


q5 = Exercise(
    "vocab_size=20000, hidden_size=256, max_position_embeddings=128, type_vocab_size=2일 때 임베딩 층의 매개변수는 몇 개입니까?",
    "임베딩 표 셋의 행은 20000, 128, 2개이고 한 행은 수 256개입니다. LayerNorm은 weight와 bias가 256개씩입니다.",
    embedding_parameters,
    _check_embedding_parameters,
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
        yield f"loss=3.0, masked_tokens=200, characters=350에서 {expected:.4f}이어야 하는데 {got:.4f}입니다."


q6 = Exercise(
    "평균 손실(nats), 가린 토큰 수, 가린 글자 수로 글자당 비트를 돌려주는 함수를 쓰십시오.",
    "전체 손실은 loss * masked_tokens입니다. math.log(2)로 나누면 비트가 되고, 글자 수로 나누면 글자당 비트가 됩니다.",
    bits_per_character,
    _check_bits_per_character,
    asks_function=True,
)
