"""Sentiment, or any other class of a text."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score

from helpers import CourseError
from helpers.examples import Examples, read_table, usable
from helpers.finetuning.tasks import Settings, Task, label_options


class Sentiment(Task):
    """Files: a table with `text` (NSMC: `document`) and `label`. Any two or more labels will do."""

    name = "sentiment"
    columns = ("text",)
    score = "accuracy"
    settings = Settings(epochs=3, batch_size=32)

    def read(self, path: str | os.PathLike, split: str | None = None) -> Examples:
        rows, refused = read_table(path, self.columns, "label", split)
        refused += [
            f"{n}번째 줄: 라벨이 비어 있습니다." for n, row in rows if not row["label"].strip()
        ]
        kept = [{"text": row["text"], "label": row["label"].strip()} for _, row in rows]
        return usable(path, (row for row in kept if row["label"]), refused)

    def head_options(self, tokenizer: Any, examples: Sequence[dict]) -> dict:
        return label_options(classes(examples))

    def target(self, example, config):
        return config.label2id[example["label"]]

    def decode(self, examples, rows, logits, config):
        probabilities = torch.tensor(np.array(logits)).softmax(-1).numpy()
        return [
            {
                "label": config.id2label[int(row.argmax())],
                "probabilities": {config.id2label[i]: float(p) for i, p in enumerate(row)},
            }
            for row in probabilities
        ]

    def metrics(self, examples, predictions):
        gold = [example["label"] for example in examples]
        predicted = [prediction["label"] for prediction in predictions]
        return {
            "accuracy": float(accuracy_score(gold, predicted)),
            "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
        }


def classes(examples: Sequence[dict]) -> set[str]:
    """The labels of training examples. Raises CourseError for fewer than two."""
    labels = {example["label"] for example in examples}
    if len(labels) < 2:
        raise CourseError(
            f"배울 예의 라벨이 {sorted(labels)}뿐입니다. 서로 다른 라벨이 둘 이상 있는 파일을 "
            "주십시오."
        )
    return labels
