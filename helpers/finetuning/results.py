"""The log of all runs behind the lesson's tables: read it, and compute what is missing."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.finetuning.baselines import BASELINES
from helpers.finetuning.tasks import Task
from helpers.finetuning.train import train_together
from helpers.resources import DATA
from helpers.runs import append_run, read_runs, weights_of

LOG = DATA / "finetuning" / "results.jsonl"


def read_results(log: Path = LOG, weights: str | None = None) -> list[dict]:
    """The runs of the lesson's log, see `read_runs`."""
    return read_runs(log, weights)


def run_missing(
    data: str,
    tasks: Mapping[Task, tuple[Sequence[dict], Sequence[dict]]],
    seed: int = 0,
    method: str = "bert",
    *,
    model: str = "mini-bert-ko",
    log: Path = LOG,
    **options: Any,
) -> dict:
    """One run of the log: the row it holds already, or a new one, appended when the run has ended.

    data: its name in the log. tasks: {task: (training examples, test examples)}, trained together
    if there are several. method: 'bert', 'untrained' or 'baseline'. options: as for
    `train_together`. A row is {"data", "method", "seed", "options", "weights", "tasks": {task:
    number of training examples}, "scores": {task: metrics}, "seconds"}.
    """
    row = {"data": data, "method": method, "seed": seed, "options": options}
    row["weights"] = weights_of(model)
    row["tasks"] = {task.name: len(train) for task, (train, _) in tasks.items()}
    for old in read_results(log, row["weights"]):
        if all(old[key] == value for key, value in row.items()):
            return old
    start = time.perf_counter()
    if method == "baseline":
        found = {task: BASELINES[task.name](*parts) for task, parts in tasks.items()}
    else:
        seen = {task: train for task, (train, _) in tasks.items()}
        tuned = train_together(seen, model, seed, untrained=method == "untrained", **options)
        found = {task: tuned[task.name].predict(test) for task, (_, test) in tasks.items()}
    row["scores"] = {
        task.name: {k: round(v, 4) for k, v in task.metrics(test, found[task]).items()}
        for task, (_, test) in tasks.items()
    }
    row["seconds"] = round(time.perf_counter() - start, 1)
    append_run(log, row)
    return row
