"""How much two sentences mean the same, from 0 to 5."""

import math
import os

import pandas as pd

from helpers import CourseError
from helpers.examples import Examples, read_table, usable
from helpers.finetuning.tasks import Settings, Task

HIGHEST = 5.0


class Similarity(Task):
    """Files: a table with `sentence1`, `sentence2` and `score` (KorSTS, 0 to 5).

    The model reads both sentences at once; its one output is the score between 0 and 1.
    """

    name = "similarity"
    columns = ("sentence1", "sentence2")
    score = "spearman"
    settings = Settings(epochs=5)

    def read(self, path: str | os.PathLike, split: str | None = None) -> Examples:
        rows, refused = read_table(path, self.columns, "score", split)
        examples = []
        for number, row in rows:
            try:
                score = float(row["score"])
            except ValueError:
                score = math.nan
            if math.isnan(score):
                refused.append(f"{number}번째 줄: 점수 {row['score']!r}이(가) 수가 아닙니다.")
            elif not 0 <= score <= HIGHEST:
                raise CourseError(
                    f"'{path}'의 {number}번째 줄: 점수 {score:g}을(를) 쓸 수 없습니다. 0에서 "
                    "5까지의 점수로 바꾸십시오."
                )
            else:
                kept = {name: row[name] for name in (*self.columns, "register") if name in row}
                examples.append({**kept, "score": score})
        return usable(path, examples, refused)

    def head_options(self, tokenizer, examples):
        return {"num_labels": 1, "problem_type": "regression"}

    def target(self, example, config):
        return example["score"] / HIGHEST

    def decode(self, examples, rows, logits, config):
        return [float(row[0]) * HIGHEST for row in logits]

    def metrics(self, examples, predictions):
        return correlations([example["score"] for example in examples], predictions)


def correlations(gold: list[float], predicted: list[float]) -> dict[str, float]:
    """correlations([1, 2, 3], [1, 2, 30]) -> {"pearson": 0.883, "spearman": 1.0}; 0: a constant."""
    sides = pd.Series(gold, dtype=float), pd.Series(predicted, dtype=float)
    if any(side.nunique() < 2 for side in sides):
        return {"pearson": 0.0, "spearman": 0.0}
    return {method: float(sides[0].corr(sides[1], method)) for method in ("pearson", "spearman")}
