"""What long runs leave: a folder for their result, and logs in JSON lines, stamped with the weights they started from."""

import json
import os
from pathlib import Path

from helpers import CourseError
from helpers.resources import model_folder, sha256


def make_folder(folder: str | os.PathLike) -> None:
    """Make a folder for a result, before the minutes of training. Raises CourseError where that cannot be."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(
            f"'{folder}' 폴더를 만들 수 없습니다({error.strerror}). 다른 이름을 주십시오."
        ) from error


def weights_of(model: str | os.PathLike) -> str:
    """The first 12 digits of the SHA-256 of a model's weights: which model a run started from."""
    return sha256(next(iter(sorted(model_folder(model).glob("*.safetensors")))))[:12]


def read_runs(log: Path, weights: str | None = None) -> list[dict]:
    """The runs of one model: of these weights, or else of those the newest run started from."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    rows = [json.loads(line) for line in lines]
    known = [row["weights"] for row in rows]
    chosen = weights if weights in known else known[-1] if known else None
    return [row for row in rows if row["weights"] == chosen]


def append_run(log: Path, row: dict) -> None:
    """Add a run when it has ended; one that was broken off leaves nothing."""
    with log.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(row) + "\n")
