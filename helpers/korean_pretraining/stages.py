"""What a pretraining run reads, and when: pairs, running text or single sentences, in stages."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from pyarrow.compute import list_value_length

from helpers import CourseError
from helpers.batches import pad_rows
from helpers.korean_pretraining.sentence_pairs import build_sentence_pairs
from helpers.korean_pretraining.sentence_vectors import sample_sentences

SENTENCES = 400_000  # drawn for "sentences"; they are kept in memory
COUNTED = 20_000  # examples whose pieces are counted for the start of a new head
BUCKET = 50  # batches that are sorted by length together: little is padded


@dataclass(frozen=True)
class Stage:
    """A share of the budget, what is read in it, by turns, and the length of an example.

    Kinds: "pairs" are BERT's sentence pairs; "windows" are the same with no B exchanged and no next
    sentence to judge, so that every piece stands in its own context; "sentences" are whole single
    sentences.
    """

    share: float
    kinds: tuple[str, ...] = ("pairs",)
    block_size: int = 128


class TrainingText(torch.utils.data.Dataset):
    """The examples of a run in training order: epochs shuffled anew, steps of similar length.

    Place k of the run decides which example comes, whatever process asks for it and whether the run
    was interrupted before: that makes a resumed or a data-parallel run equal to a plain one.
    `progress` tells the share of the budget used at a step.
    """

    def __init__(
        self,
        stages: Iterable[Stage],
        files: Iterable[str | os.PathLike],
        tokenizer,
        *,
        length: int,
        batch_size: int,
        seed: int,
        progress: Callable[[int], float],
        cache_dir: Path | None = None,
        num_proc: int = 1,
    ):
        self.length, self.batch_size, self.seed, self.progress = length, batch_size, seed, progress
        self.stages, self.tokenizer = list(stages), tokenizer
        self.orders: dict[tuple[str, int], tuple[int, torch.Tensor]] = {}
        self.texts, self.lengths = {}, {}
        options = {"seed": seed, "num_proc": num_proc, "cache_dir": cache_dir}
        shares = {"pairs": 0.5, "windows": 0}
        sizes = [(kind, stage.block_size) for stage in self.stages for kind in stage.kinds]
        for kind, size in sizes:
            if kind == "sentences":
                text = sample_sentences(files, SENTENCES, seed)
                lengths = list(map(len, text))  # in characters, which is near enough
            elif kind in shares:
                text = build_sentence_pairs(
                    files, tokenizer, size, random_next_prob=shares[kind], **options
                )
                lengths = list_value_length(text.data.column("input_ids")).to_numpy()
            else:
                raise CourseError(
                    f"'{kind}'(이)라는 학습 텍스트는 없습니다. pairs, windows, sentences "
                    "가운데에서 주십시오."
                )
            self.texts[kind, size], self.lengths[kind, size] = text, torch.tensor(lengths)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, place: int) -> dict:
        return self.__getitems__([place])[0]

    def __getitems__(self, places: list[int]) -> list[dict]:
        """Give the examples of one step, or of this process's part of it."""
        key = kind, block_size = self.reading(places[0] // self.batch_size)
        text, rows = self.texts[key], [self.row(key, place) for place in places]
        if kind == "sentences":
            sentences = [text[row] for row in rows]
            columns = self.tokenizer(sentences, truncation=True, max_length=block_size)
        else:
            columns = text[rows]
        labels = columns["next_sentence_label"] if kind == "pairs" else [-100] * len(rows)
        names = ("input_ids", "token_type_ids", "next_sentence_label", "place")
        values = columns["input_ids"], columns["token_type_ids"], labels, places
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]

    def reading(self, step: int) -> tuple[str, int]:
        """Say what is read at a step: kind and block size."""
        progress = self.progress(step)
        for stage in self.stages:
            progress -= stage.share
            if progress < 0:
                break
        return stage.kinds[step % len(stage.kinds)], stage.block_size

    def piece_counts(self) -> torch.Tensor:
        """Count the pieces of the first examples, special tokens apart: [vocabulary]."""
        counts = torch.zeros(len(self.tokenizer))
        last = min(COUNTED, self.length, len(self.texts[self.reading(0)]))
        for place in range(0, last, 1000):
            examples = self.__getitems__(list(range(place, min(place + 1000, last))))
            ids = torch.cat([torch.tensor(example["input_ids"]) for example in examples])
            counts += torch.bincount(ids, minlength=len(counts))
        counts[self.tokenizer.all_special_ids] = 0
        return counts

    def row(self, key: tuple[str, int], place: int) -> int:
        """Give the row at a place of the run: each text and epoch has its own order."""
        epoch, place = divmod(place, len(self.texts[key]))
        if self.orders.get(key, (-1,))[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            lengths = self.lengths[key]
            # The first rows complete the step in which the epoch before ended.
            first = -epoch * len(lengths) % self.batch_size
            self.orders[key] = epoch, by_length(lengths, self.batch_size, first, generator)
        return int(self.orders[key][1][place])


def by_length(
    lengths: torch.Tensor, batch_size: int, first: int, generator: torch.Generator
) -> torch.Tensor:
    """Order all rows at random, but batches of similar length: `BUCKET` are sorted together.

    The batches begin after `first` rows; what fills no batch comes last.
    """
    order = torch.randperm(len(lengths), generator=generator)
    whole = (len(order) - first) // batch_size * batch_size
    start, middle, end = order.tensor_split([first, first + max(whole, 0)])
    batches = []
    for bucket in middle.split(BUCKET * batch_size) if len(middle) else ():
        batches += bucket[lengths[bucket].argsort(stable=True)].split(batch_size)
    draw = torch.randperm(len(batches), generator=generator)
    return torch.cat([start, *(batches[i] for i in draw), end])


def pad_batch(
    examples: list[dict], pad_token_id: int, multiple: int = 1, longest: int | None = None
) -> dict[str, torch.Tensor]:
    """Pad examples to their longest, [batch, length], or on to a multiple up to `longest`."""
    width = max(len(example["input_ids"]) for example in examples)
    width = min(-(-width // multiple) * multiple, max(width, longest or 10**9))
    fills = {"input_ids": pad_token_id, "token_type_ids": 0}
    return pad_rows(examples, fills | {"next_sentence_label": None, "place": None}, width=width)
