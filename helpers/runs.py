"""Runs of training: quiet, a folder for the result, logs stamped with the weights."""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from helpers import CourseError
from helpers.course import bf16_supported, keep_memory
from helpers.disk import why
from helpers.resources import model_folder, sha256


def check_settings(settings: Any, bounds: Mapping[str, float]) -> None:
    """Raise CourseError for a setting that does not lie above its bound; None is let pass."""
    for name, bound in bounds.items():
        value = getattr(settings, name)
        if value is not None and not value > bound:
            raise CourseError(
                f"{name}={value}(으)로는 배울 수 없습니다. {bound}보다 큰 수를 주십시오."
            )


def train_quietly(
    make: Callable[..., Any],
    *,
    steps: int,
    seed: int,
    device: str,
    callbacks: Iterable[Any] = (),
    arguments: dict[str, Any],
    **parts: Any,
) -> None:
    """Train for `steps` with a `transformers.Trainer` that saves and prints nothing.

    make: the Trainer's class. arguments: to `TrainingArguments`, beside what is the same for every
    run. parts: the Trainer's own, `model` and `train_dataset` and so on.
    """
    from transformers import PrinterCallback, TrainingArguments

    keep_memory()
    with tempfile.TemporaryDirectory() as folder:  # the Trainer wants one, though nothing is saved
        common = {
            "output_dir": folder,
            "max_steps": steps,
            "seed": seed,
            "bf16": bf16_supported(device),
            "use_cpu": device == "cpu",
            "dataloader_pin_memory": device != "cpu",
            "remove_unused_columns": False,
            "logging_steps": max(1, steps // 20),
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
        }
        chosen = on_one_gpu(TrainingArguments(**common | arguments))
        trainer = make(args=chosen, callbacks=list(callbacks), **parts)
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def on_one_gpu(arguments: Any) -> Any:
    """Let a process use one GPU: the Trainer would make every batch larger by their number.

    More than one is for torchrun, a process each.
    """
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def make_folder(folder: str | os.PathLike) -> None:
    """Make a folder for a result, before the minutes of training, or raise CourseError.

    One that is there already but takes no files is refused too.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(
            f"'{folder}' 폴더를 만들 수 없습니다({why(error)}). 다른 이름을 주십시오."
        ) from error
    if not os.access(folder, os.W_OK):
        raise CourseError(
            f"'{folder}' 폴더에 쓸 권한이 없습니다. 자신이 쓸 수 있는 다른 폴더를 주십시오."
        )


def weights_of(model: str | os.PathLike) -> str:
    """The first 12 digits of the SHA-256 of a model's weights: which model a run started from."""
    return sha256(min(model_folder(model).glob("*.safetensors")))[:12]


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
