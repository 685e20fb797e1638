"""Rows of token ids as batches: padded to tensors, of similar length, scored at their masks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from helpers.architectures import mask_scores

BATCH_TOKENS = 2_048  # padding included; larger batches were no faster on a CPU


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
        batch = pad_rows(
            [{"input_ids": rows[number]} for number in numbers],
            {"input_ids": tokenizer.pad_token_id},
        )
        batch = {name: value.to(model.device) for name, value in batch.items()}
        hidden = model.base_model(**batch).last_hidden_state
        masks = batch["input_ids"] == tokenizer.mask_token_id
        scores = mask_scores(model, hidden[masks]).float().log_softmax(-1).cpu()
        yield from zip(numbers, scores.split(masks.sum(1).tolist()), strict=True)
    model.train(training)
