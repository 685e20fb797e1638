"""The log of all runs behind the lesson's table: read it, and compute what is missing."""

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from helpers.entity_bert.evaluate import evaluate
from helpers.entity_bert.train import Settings
from helpers.resources import DATA
from helpers.runs import append_run, read_runs, weights_of

LOG = DATA / "entity_bert" / "results.jsonl"
PRETRAINING = DATA / "entity_bert" / "pretraining.jsonl"  # lesson 05, section 9
RATES = (1e-4, 2e-4, 4e-4)


def read_results(log: Path = LOG, weights: str | None = None) -> list[dict]:
    """The runs of the lesson's log, see `read_runs`."""
    return read_runs(log, weights)


def best_rate(runs: Sequence[dict]) -> float:
    """The rate that did best on the development file with the first seed.

    runs: of one variant on one data set. The test file has no say.
    """
    first = min(run["seed"] for run in runs)
    tried = [run for run in runs if run["seed"] == first]
    return max(tried, key=lambda run: max(run["dev_scores"]))["learning_rate"]


def chosen_runs(runs: Iterable[dict]) -> list[dict]:
    """The runs at the `best_rate` of their variant and data set: those that are compared."""
    groups: dict[tuple, list[dict]] = {}
    for run in runs:
        groups.setdefault((run["data"], run["epochs"], run["variant"]), []).append(run)
    rates = ((group, best_rate(group)) for group in groups.values())
    return [run for group, rate in rates for run in group if run["learning_rate"] == rate]


def run_missing(
    data: str,
    files: Sequence[str | os.PathLike],
    variants: Collection[str],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    rates: Sequence[float] = RATES,
    model: str | os.PathLike = "mini-bert-ko",
    settings: Settings | None = None,
    log: Path = LOG,
) -> None:
    """Run every variant and seed that the log lacks; append a line as each one ends.

    data: its name in the log. files: for training, for the choice of rate and
    epoch, for the test. Every variant tries all rates with the first seed and takes the best one
    for the others. A run that was broken off is simply run again.
    Raises CourseError as `evaluate` does.
    """
    settings = settings or Settings()
    train_file, dev_file, test_file = files
    options = {"dev_file": dev_file, "model": model}
    key = {"data": data, "weights": weights_of(model), "epochs": settings.epochs}
    for seed in seeds:  # all variants of one seed first: a table that is cut short compares alike
        for variant in variants:
            tried = rates
            if seed != seeds[0]:
                tried = [best_rate(find_runs(log, key | {"variant": variant, "seed": seeds[0]}))]
            for rate in tried:
                own = replace(settings, learning_rate=rate)
                wanted = key | asdict(own) | {"variant": variant, "seed": seed}
                if not find_runs(log, wanted):
                    result = evaluate(train_file, test_file, variant, seed, settings=own, **options)
                    append_run(log, wanted | asdict(result))


def find_runs(log: Path, wanted: dict) -> list[dict]:
    """The runs of the log that have all these values."""
    rows = read_results(log, wanted["weights"])
    return [row for row in rows if wanted.items() <= row.items()]
