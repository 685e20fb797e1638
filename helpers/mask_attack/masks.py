"""Prompts with one mask, and the pieces that answer it."""

from collections.abc import Sequence
from typing import Any

from helpers import CourseError
from helpers.architectures import max_tokens
from helpers.batches import encode
from helpers.resources import check_pair
from helpers.text import check_text, quoted

LONGEST_ANSWER = 100  # characters; every piece of an answer is one more row for the model


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
    """The ids of an answer, one or several. Raises CourseError for [UNK], nothing, and a novel."""
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
