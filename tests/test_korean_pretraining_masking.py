import pytest
import torch
from korean_text import number_tokenizer
from transformers import DataCollatorForLanguageModeling

from helpers.korean_pretraining.masking import Masking, random_numbers

# What `random_numbers` gives; computed once.
KNOWN = [[13035903, 8201351], [14243477, 10887215], [16349787, 535545]]
PAD, CLS, SEP, MASK = 0, 2, 3, 4
TOKENIZER = number_tokenizer(495)


def batch(rows: int, length: int, vocabulary: int = 500) -> torch.Tensor:
    ids = torch.randint(5, vocabulary, (rows, length), generator=torch.Generator().manual_seed(0))
    ids[:, 0], ids[:, length // 2], ids[:, -1] = CLS, SEP, SEP
    return ids


def shares(original, spoiled, labels) -> list[float]:
    """Of all pieces that may be masked the chosen; of these the masked and the kept."""
    chosen = labels != -100
    return [
        chosen.sum().item() / (original > MASK).sum().item(),
        (spoiled[chosen] == MASK).float().mean().item(),
        (spoiled[chosen] == original[chosen]).float().mean().item(),
    ]


def test_the_same_shares_as_the_collator_of_transformers():
    original = batch(1500, 64)
    spoiled, labels = Masking(TOKENIZER)(original, torch.arange(1500), 0.15)
    chosen = labels != -100
    assert torch.equal(spoiled[~chosen], original[~chosen])
    assert torch.equal(labels[chosen], original[chosen])
    assert not (chosen & (original <= MASK)).any()
    collator = DataCollatorForLanguageModeling(TOKENIZER, mlm_probability=0.15, seed=0)
    theirs = collator([{"input_ids": row} for row in original])
    expected = shares(original, theirs["input_ids"], theirs["labels"])
    assert expected == pytest.approx([0.15, 0.8, 0.1], abs=0.02)
    assert shares(original, spoiled, labels) == pytest.approx(expected, abs=0.02)


def test_every_place_of_a_sequence_is_chosen_alike():
    original = batch(4000, 16)
    _, labels = Masking(TOKENIZER)(original, torch.arange(4000), 0.3)
    often = (labels != -100).float().mean(0)[original[0] > MASK]
    assert often.min() > 0.26 and often.max() < 0.36  # 4 of 13


def test_the_number_of_masks_follows_from_the_length_and_is_never_zero():
    original = batch(6, 20)
    original[3, 3:] = PAD  # one piece left to mask
    original[4] = PAD  # none
    _, labels = Masking(TOKENIZER)(original, torch.arange(6), 0.15)
    assert (labels != -100).sum(1).tolist() == [3, 3, 3, 1, 0, 3]


def test_masks_depend_on_the_place_in_the_run_only():
    original, masking = batch(40, 24), Masking(TOKENIZER, seed=5)
    places = torch.arange(40) + 2**33  # a long run
    together = masking(original, places, 0.15)
    # Another batch, another order, wider padding: the same masks.
    rows = torch.tensor([31, 4, 17])
    wider = torch.nn.functional.pad(original[rows], (0, 9))
    for ours, whole in zip(masking(wider, places[rows], 0.15), together, strict=True):
        assert torch.equal(ours[:, :24], whole[rows])
    again = masking(original, places + 1, 0.15)[1]
    other = Masking(TOKENIZER, seed=6)(original, places, 0.15)[1]
    for labels in (again, other):
        assert ((labels == together[1]).all(1)).sum() < 3


def test_random_numbers_are_known_on_every_device():
    # Other numbers on another machine or device would be a broken resume.
    numbers = random_numbers(3, 1, torch.tensor([0, 7, 2**40]), 2)
    assert (numbers * 2**24).long().tolist() == KNOWN
    if torch.cuda.is_available():
        places = torch.tensor([0, 7, 2**40], device="cuda")
        assert torch.equal(random_numbers(3, 1, places, 2).cpu(), numbers)


def test_random_numbers_are_uniform_and_unrelated():
    numbers = random_numbers(0, 0, torch.arange(2000), 64)
    assert numbers.min() >= 0 and numbers.max() < 1
    counts = torch.histc(numbers, 16, 0, 1) / numbers.numel()
    assert counts.sub(1 / 16).abs().max() < 0.002
    related = torch.corrcoef(numbers.T)
    assert (related - torch.eye(64)).abs().max() < 0.12  # 1 / sqrt(2000) is 0.022
    rows = torch.corrcoef(numbers[:64])
    assert (rows - torch.eye(64)).abs().max() < 0.6  # 1 / sqrt(64) is 0.125
    for stream in (1, 2):
        other = random_numbers(0, stream, torch.arange(2000), 64)
        both = torch.stack([numbers.flatten(), other.flatten()])
        assert torch.corrcoef(both)[0, 1].abs() < 0.01
