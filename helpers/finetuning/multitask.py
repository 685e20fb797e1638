"""One encoder under several heads, and batches drawn from several tasks."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

POOL = 50  # batches: rows are sorted by length within so many, which leaves enough to chance


class SharedEncoder(nn.Module):
    """Standard models of transformers that share embeddings and layers; called with a task's name.

    models: {task: model} of one pretrained BERT. Poolers and classifiers stay apart.
    """

    accepts_loss_kwargs = False  # the Trainer would hand its own arguments through to the heads

    def __init__(self, models: Mapping[str, Any]):
        super().__init__()
        self.models = nn.ModuleDict(models)
        first, *others = self.models.values()
        for model in others:
            for name, part in first.base_model.named_children():
                if name != "pooler":
                    setattr(model.base_model, name, part)

    def forward(self, task: str, **batch: torch.Tensor) -> Any:
        return self.models[task](**batch)


def temperature_shares(sizes: Sequence[int], temperature: float = 1.0) -> list[float]:
    """temperature_shares([900, 100], 2) -> [0.75, 0.25]: how often each task is drawn, n^(1/T).

    1 draws in proportion to the examples; the hotter, the more alike all tasks. Source: Arivazhagan
    et al. 2019, "Massively Multilingual Neural Machine Translation in the Wild",
    https://arxiv.org/abs/1907.05019
    """
    weights = [(size / max(sizes)) ** (1 / temperature) for size in sizes]
    return [weight / sum(weights) for weight in weights]


def mixed_batches(
    groups: Sequence[Sequence[int]],
    lengths: Sequence[int],
    sizes: Sequence[int],
    shares: Sequence[float],
    steps: int,
    seed: int,
) -> list[list[int]]:
    """The row numbers of `steps` batches: each of one task and of rows of similar length.

    groups: the rows of each task; lengths: of all rows; sizes, shares: of each task, how large its
    batches are and how often it is drawn. A row comes again only after all others of its task.
    """
    rng = random.Random(seed)
    streams = [stream([*rows], lengths, n, rng) for rows, n in zip(groups, sizes, strict=True)]
    return [next(chosen) for chosen in rng.choices(streams, shares, k=steps)]


def stream(
    rows: list[int], lengths: Sequence[int], size: int, rng: random.Random
) -> Iterator[list[int]]:
    """Go through the rows again and again in batches, each time in a new order."""
    while True:
        rng.shuffle(rows)
        batches = []
        for start in range(0, len(rows), POOL * size):
            pool = sorted(rows[start : start + POOL * size], key=lambda row: lengths[row])
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        rng.shuffle(batches)
        yield from batches
