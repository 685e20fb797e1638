"""The log of all runs behind the lesson's table: read it, and compute what is missing."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from helpers.entity_bert.train import Settings, evaluate
from helpers.resources import DATA
from helpers.runs import append_run, read_runs, weights_of

LOG = DATA / "entity_bert" / "results.jsonl"


def read_results(log: Path = LOG, weights: str | None = None) -> list[dict]:
    """The runs of the lesson's log, see `read_runs`."""
    return read_runs(log, weights)


def run_missing(
    data: str,
    train_file: str | os.PathLike,
    test_file: str | os.PathLike,
    variants: Iterable[str],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    model: str | os.PathLike = "mini-bert-ko",
    settings: Settings | None = None,
    log: Path = LOG,
) -> None:
    """Run every variant and seed that the log lacks; append a line as each one ends.

    data: the name of the data set in the log. A run that was broken off is simply run again.
    Raises CourseError as `evaluate` does.
    """
    settings = settings or Settings()
    key = {"data": data, "weights": weights_of(model), **asdict(settings)}
    variants = list(variants)
    for seed in seeds:  # all variants of one seed first: a table that is cut short compares alike
        for variant in variants:
            wanted = {**key, "variant": variant, "seed": seed}
            if any(wanted.items() <= row.items() for row in read_results(log, key["weights"])):
                continue
            result = evaluate(train_file, test_file, variant, seed, model=model, settings=settings)
            append_run(log, {**key, **asdict(result)})
