"""Grade submitted notebooks: run a copy of each and collect what its exercises' `check()` records.

The submitted code runs with the rights of whoever grades; see site/pages/teachers.md.
"""

import json
import os
import pkgutil
import re
import tempfile
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from tqdm import tqdm

from helpers import ROOT, CourseError, exercises
from helpers.disk import why
from helpers.exercises import GRADING, RESULT, Exercise
from helpers.notebooks import errors_of, print_rows
from helpers.text import check_text, cut

STATUSES = {"correct": "right", "wrong": "wrong", "untouched": "untouched"}
NOT_RUN = "not run"
RESTARTS = 2  # of one notebook
KOREAN = {"right": "맞음", "wrong": "틀림", "untouched": "안 풂", NOT_RUN: "실행 못 함"}


@dataclass
class Row:
    """One exercise of one notebook; a notebook that cannot be graded has one row without exercise.

    status: 'right', 'wrong', 'untouched', or 'not run' where `check()` never spoke.
    """

    notebook: str
    exercise: str
    status: str
    message: str


def grade(paths: list[Path], profile: str, timeout: float) -> list[Row]:
    """Grade notebooks one after the other; `timeout`: seconds a cell. Progress goes to stderr."""
    rows = []
    for path in tqdm(paths):
        try:
            rows += grade_notebook(path, profile, timeout)
        except Exception as error:  # one submission, whatever it did, must not stop the others
            rows.append(Row(str(path), "", NOT_RUN, one_line(f"{type(error).__name__}: {error}")))
    return rows


def grade_notebook(path: Path, profile: str, timeout: float) -> list[Row]:
    """The rows of one notebook, in the order of its lesson's exercises. The file is only read."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except OSError as error:
        return [Row(str(path), "", NOT_RUN, f"파일을 열 수 없습니다({why(error)}).")]
    except Exception:  # an old format, a list, a text: nbformat raises many things
        return [Row(str(path), "", NOT_RUN, "노트북(.ipynb) 형식이 아닙니다.")]
    asked = find_exercises(notebook)
    if not asked:
        message = "연습 문제를 가져오는 줄(from helpers.exercises import ...)이 없습니다."
        return [Row(str(path), "", NOT_RUN, message)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        failures = execute(notebook, scratch, profile, timeout)
    results = recorded(notebook)
    rows = []
    for name, exercise in asked.items():
        status, message = results.get(exercise.question, (NOT_RUN, ""))
        message = message or why_not_run(notebook, name, failures)
        rows.append(Row(str(path), name, status, one_line(message)))
    return rows


def find_exercises(notebook) -> dict[str, Exercise]:
    """{"hf_basics.q1": Exercise, ...} of the lessons whose exercises a notebook imports."""
    source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    named = re.findall(r"^\s*from helpers\.exercises import (\w+)", source, re.MULTILINE)
    known = {module.name for module in pkgutil.iter_modules(exercises.__path__)}
    return {
        f"{lesson}.{name}": value
        for lesson in dict.fromkeys(named)
        if lesson in known
        for name, value in vars(import_module(f"helpers.exercises.{lesson}")).items()
        if isinstance(value, Exercise)
    }


def execute(notebook, folder: str, profile: str, timeout: float) -> dict[int, str]:
    """Execute every cell, also below one that fails; return {cell, counted from 1: what failed}.

    A cell that does not end, or that ends the kernel, is left out of another run from the top.
    """
    fatal: dict[int, str] = {}
    for _ in range(1 + RESTARTS):
        known = len(fatal)
        failures = execute_once(notebook, folder, profile, timeout, fatal)
        if len(fatal) == known:
            break
    return failures | fatal


def execute_once(
    notebook, folder: str, profile: str, timeout: float, fatal: dict[int, str]
) -> dict[int, str]:
    """Run all but the fatal cells, return what failed. A new fatal cell is added and ends it."""
    cells = [
        (number, cell)
        for number, cell in enumerate(notebook.cells, start=1)
        if cell.cell_type == "code" and number not in fatal
    ]
    for _, cell in cells:
        cell.outputs = []  # below, only what is computed now
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=timeout,
        allow_errors=True,
        record_timing=False,
        shutdown_kernel="immediate",  # it may be in a loop
        extra_arguments=["--log-level=40"],
        resources={"metadata": {"path": folder}},
    )
    client.log.setLevel("CRITICAL")  # a time-out is a row of the table
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "COURSE_PROFILE": profile, GRADING: "1", "PYTHONPATH": path}
    failures: dict[int, str] = {}
    with client.setup_kernel(env=env):
        for number, cell in cells:
            try:
                client.execute_cell(cell, number - 1)
            except CellTimeoutError:
                fatal[number] = f"{number}번째 셀이 {timeout:g}초 안에 끝나지 않았습니다."
            except DeadKernelError:
                fatal[number] = f"{number}번째 셀에서 커널(kernel)이 죽었습니다."
            if number in fatal:
                break
            for output in errors_of(cell):
                failures[number] = f"{number}번째 셀에서 {output.ename}: {output.evalue}"
    return failures


def recorded(notebook) -> dict[str, tuple[str, str]]:
    """{question: (status, message)} of what `check()` displayed; of an exercise the last one."""
    results = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            result = output.get("data", {}).get(RESULT)
            if isinstance(result, dict) and str(result.get("status")) in STATUSES:
                status = STATUSES[result["status"]]
                results[str(result.get("question"))] = status, str(result.get("message"))
    return results


def why_not_run(notebook, name: str, failures: dict[int, str]) -> str:
    """Why a check left no result: its own cell failed, the notebook ended, or the line is gone."""
    call = f".{name.rpartition('.')[2]}.check("
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code" and call in cell.source:
            if number in failures:
                return failures[number]
            ended = failures.get(max(failures, default=0), "")
            return f"{ended} 그 뒤의 셀은 실행하지 못했습니다." if ended else "확인하지 않았습니다."
    return f"확인하는 줄(q{call}...))이 없습니다."


def one_line(text: str) -> str:
    """Without line breaks and half characters, at most 400 letters: a message may be anything."""
    return cut(" ".join(check_text(text).split()), 400)


def write_json(rows: list[Row], target: str) -> None:
    """Write the rows as a JSON list to a file, or to stdout for '-'."""
    text = json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1)
    if target == "-":
        print(text)
        return
    try:
        Path(target).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CourseError(
            f"결과를 '{target}'에 쓸 수 없습니다({why(error)}). 위의 표는 그대로 쓸 수 있습니다. "
            "쓸 수 있는 파일 이름을 --json으로 주십시오."
        ) from error


def print_table(rows: list[Row], *, to_stderr: bool) -> None:
    """One table: notebook, exercise, status, message."""
    titles = ("노트북(notebook)", "연습(exercise)", "채점(status)", "메시지(message)")
    cells = ((row.notebook, row.exercise, KOREAN[row.status], row.message) for row in rows)
    print_rows(titles, cells, to_stderr)
