"""Texts with masks, encoded as the model met them in pretraining."""

from collections.abc import Sequence
from typing import Any

from helpers import CourseError
from helpers.architectures import max_tokens
from helpers.resources import check_pair
from helpers.text import check_text, quoted

LONGEST_ANSWER = 100  # characters; every piece of an answer is one more row for the model


def encode(tokenizer: Any, text: str, *, glued: bool = True, max_length: int = 512) -> list[int]:
    """encode(tokenizer, "수도는 [MASK]이다.") -> ids of 수도 ##는 [MASK] ##이다 .

    A tokenizer reads what is glued to a mask as a new word ("이다"), although in "파리이다" the
    same letters are the continuation "##이다". `glued` writes them as the continuation, which
    is what stood there in pretraining; `glued=False` leaves the tokenizer's own ids. Raises
    CourseError for an empty text, one without a mask, and one of more than `max_length`
    ids.
    """
    text = check_text(text)
    if not text.strip():
        raise CourseError("빈 문장입니다. [MASK]가 든 문장을 쓰십시오.")
    ids = tokenizer(text)["input_ids"]
    mask = tokenizer.mask_token_id
    if mask not in ids:
        raise CourseError(
            f"{quoted(text)}에 {tokenizer.mask_token}가 없습니다. 맞힐 자리에 "
            f"{tokenizer.mask_token}를 쓰십시오."
        )
    if glued:
        first, *rest = text.split(tokenizer.mask_token)
        ids = tokenizer(first)["input_ids"][:-1]
        for part in rest:
            ids.append(mask)
            ending, part = cut_ending(tokenizer, part)
            ids += ending + tokenizer(part, add_special_tokens=False)["input_ids"]
        ids.append(tokenizer.sep_token_id)
    if len(ids) > max_length:
        raise CourseError(
            f"문장이 {len(ids)}토큰이어서 모델의 한계 {max_length}토큰을 넘습니다. 문장을 "
            "줄이십시오."
        )
    return ids


def cut_ending(tokenizer: Any, text: str) -> tuple[list[int], str]:
    """cut_ending(tokenizer, "이다. 끝") -> ([id of "##이다"], ". 끝")

    ([], text) if nothing is glued.
    The longest piece first, as WordPiece does; an ending it cannot spell stays in the text.
    """
    words = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
    if not words or words[0][1][0] > 0 or not words[0][0].isalnum():
        return [], text
    word, ids = words[0][0], []
    while word:
        for end in range(len(word), 0, -1):
            number = tokenizer.convert_tokens_to_ids(f"##{word[:end]}")
            if number not in (None, tokenizer.unk_token_id):
                break
        else:
            return [], text
        ids.append(number)
        word = word[end:]
    return ids, text[words[0][1][1] :]


def encode_prompts(
    model: Any, tokenizer: Any, prompts: Sequence[str], *, glued: bool = True
) -> list[list[int]]:
    """Encode prompts of one mask each. Raises CourseError as `encode` and `check_pair` do."""
    check_pair(model, tokenizer)
    limit = max_tokens(model.config)
    rows = [encode(tokenizer, prompt, glued=glued, max_length=limit) for prompt in prompts]
    for prompt, row in zip(prompts, rows, strict=True):
        if row.count(tokenizer.mask_token_id) > 1:
            raise CourseError(
                f"{quoted(prompt)}에 {tokenizer.mask_token}가 여럿입니다. 하나만 쓰십시오. "
                "여러 조각의 답은 후보로 줍니다."
            )
    return rows


def pieces_of(tokenizer: Any, answer: str) -> list[int]:
    """pieces_of(tokenizer, "한강") -> its ids, one or several.

    Raises CourseError for [UNK], nothing, and a novel.
    """
    answer = check_text(answer, most=LONGEST_ANSWER)
    ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
    if not ids or tokenizer.unk_token_id in ids:
        raise CourseError(
            f"답 {quoted(answer)}을(를) 토크나이저가 쓸 수 없습니다([UNK]). 어휘에 있는 "
            "글자로 된 답을 쓰십시오."
        )
    return ids


def put(row: Sequence[int], mask: int, pieces: Sequence[int]) -> list[int]:
    """put([2, 4, 9, 3], 4, [7, 8]) -> [2, 7, 8, 9, 3]: the one mask of a row replaced by pieces."""
    place = list(row).index(mask)
    return [*row[:place], *pieces, *row[place + 1 :]]
