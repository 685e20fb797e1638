"""Rows of token ids: texts with masks, batches of similar length, scores at the masks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from helpers import CourseError
from helpers.architectures import mask_scores
from helpers.course import bf16_supported
from helpers.text import check_text, quoted

BATCH_TOKENS = 2_048  # padding included; larger batches were no faster on a CPU
WIDTH = 8  # batches are filled up to multiples: oneDNN compiles a kernel for every new shape


def encode(tokenizer: Any, text: str, *, glued: bool = True, max_length: int = 512) -> list[int]:
    """encode(tokenizer, "수도는 [MASK]이다.") -> ids of 수도 ##는 [MASK] ##이다 .

    A tokenizer reads what is glued to a mask as a new word ("이다"), although in "파리이다" the
    same letters are the continuation "##이다", as `glued` writes them. Raises CourseError for an
    empty text, one without a mask, and one of more than `max_length` ids.
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
    """cut_ending(tokenizer, "이다. 끝") -> ([id of "##이다"], ". 끝"), or ([], text): none glued.

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


def pad_rows(
    rows: Sequence[Mapping[str, Any]],
    fills: Mapping[str, int | None],
    *,
    width: int | None = None,
    multiple: int = 1,
) -> dict[str, torch.Tensor]:
    """pad_rows([{"input_ids": [7]}, {"input_ids": [8, 9]}], {"input_ids": 0}) -> [[7, 0], [8, 9]]

    and the `attention_mask`. Of each row what `fills` names: lists are filled up to `width`, or to
    the longest row and on to a `multiple`; numbers, and what is filled with None, stay as they are.
    """
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    width = width or -(-int(lengths.max()) // multiple) * multiple
    batch = {"attention_mask": (torch.arange(width) < lengths[:, None]).long()}
    for name, fill in fills.items():
        values = [row[name] for row in rows if name in row]
        if values and fill is not None and isinstance(values[0], list):
            values = [value + [fill] * (width - len(value)) for value in values]
        if values:
            batch[name] = torch.tensor(values)
    return batch


def by_length(rows: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Yield row numbers, shortest first, in groups of at most `batch_tokens` padded ids."""
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    while order:
        size = 1
        while size < len(order) and (size + 1) * len(rows[order[size]]) <= batch_tokens:
            size += 1
        yield order[:size]
        order = order[size:]


@torch.inference_mode()
def outputs_of(
    model: Any, rows: Sequence[Mapping[str, Any]], collate: Callable, batch_size: int = 32
) -> Iterator[tuple[list[int], Any]]:
    """Yield (row numbers, the model's outputs for them), longest rows first: little is padded.

    collate: puts rows into tensors. Computes in bf16 where the processor has it.
    """
    device = model.device.type
    order = sorted(range(len(rows)), key=lambda row: -len(rows[row]["input_ids"]))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = {k: v.to(model.device) for k, v in collate([rows[i] for i in chosen]).items()}
        with torch.autocast(device, torch.bfloat16, enabled=bf16_supported(device)):
            outputs = model(**batch)
        yield chosen, outputs


def mean_pooling(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Average the token vectors but for padding: [batch, length, hidden] -> [batch, hidden]."""
    mask = attention_mask[..., None].to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)


@torch.inference_mode()
def masked_log_probs(
    model: Any, tokenizer: Any, rows: Sequence[list[int]], batch_tokens: int = BATCH_TOKENS
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield (row number, log-probabilities [masks of the row, vocabulary]), shortest rows first.

    The rows go through the encoder in batches of similar length, and the projection to the
    vocabulary, the larger half of the work in a small BERT, is made at the masks only.
    """
    training = model.training
    model.eval()
    for numbers in by_length(rows, batch_tokens):
        ids = [{"input_ids": rows[number]} for number in numbers]
        batch = pad_rows(ids, {"input_ids": tokenizer.pad_token_id})
        batch = {name: value.to(model.device) for name, value in batch.items()}
        hidden = model.base_model(**batch).last_hidden_state
        masks = batch["input_ids"] == tokenizer.mask_token_id
        scores = mask_scores(model, hidden[masks]).float().log_softmax(-1).cpu()
        yield from zip(numbers, scores.split(masks.sum(1).tolist()), strict=True)
    model.train(training)
