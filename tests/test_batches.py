"""Rows as batches: nothing lost, nothing cut, padding that no model sees."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.batches import BATCH_TOKENS, by_length, pad_rows


def test_batches_hold_every_row_once_and_no_more_than_fits():
    rows = [[0] * (1 + 37 * number % 64) for number in range(300)]
    batches = list(by_length(rows, BATCH_TOKENS))
    assert sorted(number for batch in batches for number in batch) == list(range(300))
    sizes = [len(batch) * max(len(rows[number]) for number in batch) for batch in batches]
    assert max(sizes) <= BATCH_TOKENS and len(batches) < 10
    assert list(by_length([[0] * 9_999], BATCH_TOKENS)) == [[0]]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), st.sampled_from([1, 8, 16]))
def test_padded_rows_can_be_cut_back_to_what_they_were(lengths, multiple):
    rows = [{"input_ids": list(range(1, n + 1)), "labels": [n] * n, "place": n} for n in lengths]
    fills = {"input_ids": 0, "labels": -100, "place": None, "starts": None}
    batch = pad_rows(rows, fills, multiple=multiple)
    assert batch.keys() == {"attention_mask", "input_ids", "labels", "place"}
    width = batch["input_ids"].shape[1]
    assert width % multiple == 0 and width - max(lengths) < multiple
    for name in ("input_ids", "labels"):
        whole, mask = batch[name], batch["attention_mask"].bool()
        assert [w[m].tolist() for w, m in zip(whole, mask, strict=True)] == [r[name] for r in rows]
        assert (whole[~mask] == fills[name]).all()
    assert batch["place"].tolist() == lengths


def test_labels_are_one_a_row_or_one_a_piece_and_a_width_can_be_asked_for():
    rows = [{"input_ids": [5, 6], "labels": 1}, {"input_ids": [7], "labels": 0}]
    batch = pad_rows(rows, {"input_ids": 9, "labels": -100}, width=4)
    assert torch.equal(batch["labels"], torch.tensor([1, 0]))
    assert batch["input_ids"].tolist() == [[5, 6, 9, 9], [7, 9, 9, 9]]
    spans = [{"input_ids": [5], "spans": [[0, 1], [1, 1]]}]
    assert pad_rows(spans, {"input_ids": 0, "spans": None})["spans"].shape == (1, 2, 2)
