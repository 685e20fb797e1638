"""The log of all runs behind the lesson's tables."""

from pathlib import Path

from helpers.resources import DATA
from helpers.runs import read_runs

LOG = DATA / "finetuning" / "results.jsonl"


def read_results(log: Path = LOG, weights: str | None = None) -> list[dict]:
    """The runs of the lesson's log, see `read_runs`."""
    return read_runs(log, weights)
