"""The log of all runs behind the lesson's table: read it, and compute what is missing."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from helpers.entity_bert.train import Settings, evaluate
from helpers.resources import DATA, model_folder, sha256

LOG = DATA / "entity_bert" / "results.jsonl"


def weights_of(model: str | os.PathLike) -> str:
    """The first 12 digits of the SHA-256 of a model's weights: which model a run started from."""
    return sha256(next(iter(sorted(model_folder(model).glob("*.safetensors")))))[:12]


def read_results(log: Path = LOG, weights: str | None = None) -> list[dict]:
    """The runs of one model: of these weights, or else of those the newest run started from."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    rows = [json.loads(line) for line in lines]
    known = [row["weights"] for row in rows]
    chosen = weights if weights in known else known[-1] if known else None
    return [row for row in rows if row["weights"] == chosen]


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
    """Run every variant and seed that the log does not hold yet, and append a line as each one ends.

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
            with log.open("a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps({**key, **asdict(result)}) + "\n")
