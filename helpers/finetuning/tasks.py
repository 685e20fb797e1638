"""What a task is: text columns, a head, rows for the model, answers out of its logits, metrics."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import BertForSequenceClassification

from helpers.batches import WIDTH, pad_rows
from helpers.examples import Examples
from helpers.runs import check_settings

FILL = {"token_type_ids": 0, "labels": -100}  # no loss there
FILL |= dict.fromkeys(("start_positions", "end_positions"))


@dataclass(frozen=True)
class Settings:
    """How a task is trained; `max_length` in tokens, cut to what the model can read.

    steps: instead of epochs. layer_decay: each layer learns at this part of the rate of the one
    above. frozen_layers: the embeddings and this many layers do not learn. pad_to_max and
    bf16=False are there to be timed: every batch as long as `max_length`, and 32 bits.
    Raises CourseError for a number with which nothing can be trained.
    """

    epochs: float = 3
    learning_rate: float = 2e-4
    batch_size: int = 16
    max_length: int = 128
    steps: int | None = None
    layer_decay: float = 1.0
    frozen_layers: int = 0
    pad_to_max: bool = False
    bf16: bool | None = None

    def __post_init__(self):
        least = {"epochs": 0, "learning_rate": 0, "batch_size": 0, "max_length": 15, "steps": 0}
        check_settings(self, least | {"layer_decay": 0, "frozen_layers": -1})


def label_options(labels: Iterable[str]) -> dict[str, dict]:
    """label_options({"b", "a"}) -> the numbers of the labels and back, for a model's config."""
    names = dict(enumerate(sorted(labels)))
    return {"id2label": names, "label2id": {name: number for number, name in names.items()}}


class Task:
    """A task is stateless: what it learns from the training examples stands in the model's config.

    To add one, fill in the five class attributes and the methods that raise NotImplementedError.
    Without an `encode` of its own a task has one row an example, labelled with its `target`.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]  # the texts of an example, in the order a caller gives them
    head: ClassVar[type] = BertForSequenceClassification
    score: ClassVar[str]  # the metric by which models are compared
    settings: ClassVar[Settings] = Settings()

    def read(self, path: str | os.PathLike, split: str | None = None) -> Examples:
        """The examples of a file (of one split, where the file has splits). Raises CourseError."""
        raise NotImplementedError

    def head_options(self, tokenizer: Any, examples: Sequence[dict]) -> dict:
        """What the model's config has to know, learned from the training examples."""
        return {}

    def encode(
        self, tokenizer: Any, examples: Sequence[dict], config: Any, max_length: int, labels: bool
    ) -> list[dict]:
        """Rows for the model, one or several an example: `example` is its number.

        labels: for training. Here: the texts cut to `max_length` tokens, the longer one first.
        """
        texts = ([example[column] for example in examples] for column in self.columns)
        encoded = tokenizer(*texts, truncation=True, max_length=max_length)
        names = ("input_ids", "token_type_ids")
        rows = [{name: encoded[name][n] for name in names} for n in range(len(examples))]
        for number, (row, example) in enumerate(zip(rows, examples, strict=True)):
            row["example"] = number
            if labels:
                row["labels"] = self.target(example, config)
        return rows

    def target(self, example: dict, config: Any) -> int | float:
        """What the model is to say of an example."""
        raise NotImplementedError

    def collate(
        self, rows: Sequence[dict], pad_token_id: int, length: int | None = None
    ) -> dict[str, torch.Tensor]:
        """Put rows into tensors; lists become [batch, length], filled up to a multiple of WIDTH."""
        fills = {"input_ids": pad_token_id, **FILL}
        return pad_rows(rows, fills, width=length, multiple=WIDTH)

    def logits(self, outputs: Any) -> torch.Tensor:
        """The logits [batch, ...] among a model's outputs."""
        return outputs.logits

    def decode(
        self, examples: Sequence[dict], rows: Sequence[dict], logits: Sequence[np.ndarray], config
    ) -> list:
        """One prediction an example, from the logits of its rows."""
        raise NotImplementedError

    def metrics(self, examples: Sequence[dict], predictions: Sequence) -> dict[str, float]:
        """The metrics of predictions, each between 0 and 1 (correlations between -1 and 1)."""
        raise NotImplementedError

    def put_back(self, prediction: Any, text: str, places: Sequence[int]) -> Any:
        """Move a prediction from the cleaned text (last column) to the text as written."""
        return prediction
