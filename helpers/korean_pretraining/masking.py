"""Mask whole batches for masked-LM training, on the model's device.

Every random number is a function of (seed, place in the run, position in the sequence): a resumed,
an accumulated and a data-parallel run mask exactly what a plain one does, on any device, whatever
else stands in the batch.
"""

import torch

WORD = 0xFFFFFFFF  # numbers of 32 bits, kept in int64: torch has no unsigned arithmetic everywhere


def scramble(x: torch.Tensor) -> torch.Tensor:
    """Mix the bits of each number (murmur3's 32-bit finalizer, Appleby 2011)."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * factor & WORD
    return x ^ (x >> 16)


def random_numbers(seed: int, stream: int, places: torch.Tensor, length: int) -> torch.Tensor:
    """Uniform numbers [batch, length] for `places` [batch], the same on every device."""
    rows = scramble(places & WORD ^ (4 * seed + stream) & WORD) ^ (places >> 32)
    columns = torch.arange(length, device=places.device) * 0x9E3779B1 & WORD
    return (scramble(scramble(rows)[:, None] ^ columns) >> 8) * 2.0**-24


class Masking:
    """How BERT's input is spoiled: shares of the chosen pieces become `[MASK]` or another.

    Of the pieces that are not, half become another one and half stay as they are.
    Source: Devlin et al. 2019, section 3.1 (80 %, 10 %, 10 %); as there, the number of masks
    follows from the number of pieces: `mlm_probability` of them, at least one.
    """

    def __init__(self, tokenizer, seed: int = 0, mask_replace_prob: float = 0.8):
        self.special_ids = torch.tensor(tokenizer.all_special_ids)
        self.vocab_size, self.mask_id = len(tokenizer), tokenizer.mask_token_id
        self.seed, self.mask_replace_prob = seed, mask_replace_prob

    def __call__(
        self, input_ids: torch.Tensor, places: torch.Tensor, mlm_probability: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the spoiled ids and the labels (-100: not asked), both [batch, length].

        `places` [batch] says which example of the run each row is.
        """
        length = input_ids.shape[1]
        self.special_ids = self.special_ids.to(input_ids.device)  # once: a copy would wait
        maskable = ~torch.isin(input_ids, self.special_ids)
        count = (maskable.sum(1) * mlm_probability).round().clamp(min=1)[:, None]
        draw = random_numbers(self.seed, 0, places, length).masked_fill(~maskable, 2.0)
        rank = draw.argsort(dim=1, stable=True).argsort(dim=1)
        chosen = (rank < count) & maskable
        labels = input_ids.masked_fill(~chosen, -100)
        fate = random_numbers(self.seed, 1, places, length)
        other = random_numbers(self.seed, 2, places, length) * self.vocab_size
        is_mask = chosen & (fate < self.mask_replace_prob)
        changed = self.mask_replace_prob + (1 - self.mask_replace_prob) / 2
        is_other = chosen & ~is_mask & (fate < changed)
        spoiled = torch.where(is_other, other.long(), input_ids).masked_fill(is_mask, self.mask_id)
        return spoiled, labels
