"""The four tasks by name, and one run on files of one's own: train, measure, one row of numbers."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers import CourseError
from helpers.examples import read_text
from helpers.finetuning.baselines import BASELINES
from helpers.finetuning.entities import Entities
from helpers.finetuning.reading import Reading
from helpers.finetuning.sentiment import Sentiment
from helpers.finetuning.similarity import Similarity
from helpers.finetuning.tasks import Task
from helpers.finetuning.train import train_together
from helpers.runs import make_folder

TASKS = {task.name: task for task in (Sentiment(), Similarity(), Entities(), Reading())}


def find_task(name: str) -> Task:
    """The task of this name. Raises CourseError if there is none."""
    if name not in TASKS:
        raise CourseError(
            f"{name!r}(이)라는 과제는 없습니다. {', '.join([*TASKS, 'multi'])} 가운데 하나를 "
            "쓰십시오."
        )
    return TASKS[name]


def task_files(task: str, files: Sequence[str]) -> dict[str, str]:
    """task_files("multi", ["reading=a", "b.tsv"]) -> {"reading": "a", "sentiment": "b.tsv"}

    A file without a name is given to the task whose format it has. Raises CourseError where one
    task gets two files, or 'multi' fewer than two tasks.
    """
    if task != "multi":
        find_task(task)
        if len(files) != 1:
            raise CourseError(
                "과제가 하나이면 파일도 하나입니다. 여러 과제는 --task multi로 배웁니다."
            )
        return {task: files[0]}
    found: dict[str, str] = {}
    for file in files:
        name, _, path = file.partition("=")
        name, path = (name, path) if name in TASKS else (recognise(file), file)
        if name in found:
            raise CourseError(f"{name} 과제의 파일이 둘입니다. 과제마다 파일을 하나만 주십시오.")
        found[name] = path
    if len(found) < 2:
        raise CourseError("multi에는 과제가 둘 이상 필요합니다. 과제마다 파일을 하나씩 주십시오.")
    return found


def recognise(path: str) -> str:
    """The name of the task that a file is for. Raises CourseError if it is for none."""
    text = read_text(path).lstrip()
    header = text.split("\n", 1)[0].split("\t")
    if text.startswith("{"):
        return "reading"
    if {"sentence1", "sentence2"} <= set(header):
        return "similarity"
    if "label" in header:
        return "sentiment"
    if text.startswith("##") or header[-1].startswith(("O", "B-")):
        return "entities"
    raise CourseError(
        f"'{path}'이(가) 어느 과제의 파일인지 알 수 없습니다. sentiment={Path(path).name}처럼 앞에 "
        "과제의 이름을 쓰십시오."
    )


def evaluate(
    train_files: Mapping[str, str | os.PathLike],
    test_files: Mapping[str, str | os.PathLike],
    seed: int = 0,
    *,
    model: str | os.PathLike = "mini-bert-ko",
    method: str = "bert",
    output: str | os.PathLike | None = None,
    **options: Any,
) -> tuple[dict[str, Any], list[str]]:
    """Train on one file a task and measure on another: (a row, what was refused and why).

    train_files, test_files: {task: file}; of a file with splits, `train` and `test` are taken.
    method: 'bert', 'untrained' (random weights) or 'baseline'. output: a folder for the model, of
    several tasks one below it each. options: as for `train_together`.
    Raises CourseError as the tasks' `read` and `train_together` do, before any training.
    """
    if method not in ("bert", "untrained", "baseline"):
        raise CourseError(
            f"{method!r}(이)라는 방법은 없습니다. bert, untrained, baseline 가운데 하나입니다."
        )
    if method == "baseline" and output:
        raise CourseError("baseline에는 저장할 모델이 없습니다. --output을 빼십시오.")
    if train_files.keys() != test_files.keys():
        raise CourseError("배울 파일과 잴 파일의 과제가 다릅니다. 과제마다 둘 다 주십시오.")
    tasks = {name: find_task(name) for name in train_files}
    seen = {name: task.read(train_files[name], "train") for name, task in tasks.items()}
    unseen = {name: task.read(test_files[name], "test") for name, task in tasks.items()}
    if output:
        make_folder(output)
    start = time.perf_counter()
    if method == "baseline":
        predictions = {name: BASELINES[name](seen[name], unseen[name]) for name in tasks}
    else:
        options["untrained"] = method == "untrained"
        known = {task: seen[name] for name, task in tasks.items()}
        tuned = train_together(known, model, seed, **options)
        predictions = {name: tuned[name].predict(unseen[name]) for name in tasks}
        for name in tasks if output else ():
            tuned[name].save(Path(output) / name if len(tasks) > 1 else output)
    rows, refused = {}, []
    for name, task in tasks.items():
        metrics = task.metrics(unseen[name], predictions[name])
        rows[name] = {metric: round(value, 4) for metric, value in metrics.items()}
        for part, examples in (("train", seen[name]), ("test", unseen[name])):
            rows[name][f"{part}_examples"] = len(examples)
            rows[name][f"{part}_refused"] = len(examples.refused)
            refused += [f"{name} {part}: {reason}" for reason in examples.refused]
    head = {"task": "multi" if len(rows) > 1 else name, "seed": seed, "method": method}
    row = rows if len(rows) > 1 else rows[name]
    return {**head, **row, "seconds": round(time.perf_counter() - start, 1)}, refused
