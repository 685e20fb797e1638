"""Run notebooks without a browser: executed copies, HTML pages and one table."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbclient.util import run_sync
from nbconvert import HTMLExporter
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from helpers import ROOT, CourseError
from helpers.colab import colab_cell
from helpers.course import HEADLINE
from helpers.disk import lock_folder
from helpers.runs import make_folder

NOTEBOOKS = ROOT / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass
class Run:
    """How one notebook went: seconds, and its headline or what failed."""

    lesson: str
    seconds: float
    headline: str
    error: str | None = None


def find_notebooks(lessons: list[str]) -> list[Path]:
    """find_notebooks(["04"]) -> [notebooks/04_korean_pretraining.ipynb]; [] means all.

    Raises CourseError for a lesson without a notebook.
    """
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    for lesson in lessons:
        if not any(lesson in names(path) for path in found):
            known = ", ".join(path.stem for path in found)
            raise CourseError(
                f"{lesson!r} 수업의 노트북이 없습니다. 이 가운데에 있습니다: {known}."
            )
    return [path for path in found if not lessons or names(path) & set(lessons)]


def names(path: Path) -> set[str]:
    """What a learner may call a notebook: 04, 4, korean_pretraining, or its file name."""
    number, name = path.stem.split("_", 1)
    return {number, number.lstrip("0"), name, path.stem, path.name}


def run_notebooks(paths: list[Path], profile: str, output: Path, in_place: bool) -> list[Run]:
    """Execute notebooks one after the other, write copies and pages to `output`.

    A notebook that fails is reported and the others go on. `in_place` also writes the executed
    notebook back, ready to commit. Progress goes to stderr.
    """
    make_folder(output)
    lock = lock_folder(
        output,
        f"'{output}'에는 다른 실행이 쓰고 있습니다. 그 실행이 끝나기를 기다리거나 "
        "--output으로 다른 폴더를 주십시오.",
    )
    notebooks = {path: nbformat.read(path, as_version=4) for path in paths}
    if in_place:
        for notebook in notebooks.values():
            set_colab_cell(notebook)
    runs = []
    with lock, tqdm(total=sum(len(notebook.cells) for notebook in notebooks.values())) as bar:
        for path, notebook in notebooks.items():
            bar.set_description(path.stem)
            done = bar.n + len(notebook.cells)
            began = time.monotonic()
            error = execute(notebook, path.parent, profile, bar)
            runs.append(Run(path.stem, time.monotonic() - began, headline(notebook), error))
            bar.update(done - bar.n)
            nbformat.write(notebook, output / path.name)
            page, _ = HTMLExporter(language_code="ko").from_notebook_node(notebook)
            (output / path.name).with_suffix(".html").write_text(page, encoding="utf-8")
            if in_place and error is None:
                nbformat.write(normalised(notebook), path)
    return runs


class Client(NotebookClient):
    """nbclient that leaves Ctrl-C a KeyboardInterrupt, instead of ending the kernel."""

    async def async_start_new_kernel(self, **kwargs) -> None:
        with suppress(RuntimeError):  # Windows has no such handlers
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        await super().async_start_new_kernel(**kwargs)


def execute(notebook, folder: Path, profile: str, bar: tqdm) -> str | None:
    """Execute a notebook's cells where they stand; return what went wrong, with the cell.

    Old outputs go first: below a cell that fails nothing may stand that was not computed now.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = Client(
        notebook,
        kernel_name="python3",
        timeout=None,
        record_timing=False,
        extra_arguments=["--log-level=40"],  # errors only: a kernel warns about its own transport
        resources={"metadata": {"path": str(folder)}},
        on_cell_complete=lambda **_: bar.update(),
    )
    try:
        client.execute(env={**os.environ, "COURSE_PROFILE": profile})
    except CellExecutionError as error:
        cell = 1 + next(n for n, cell in enumerate(notebook.cells) if errors_of(cell))
        return f"{cell}번째 셀에서 {error.ename}: {error.evalue}"
    except KeyboardInterrupt:
        run_sync(client.km.shutdown_kernel)(now=True)  # asked politely it would print its grief
        raise
    except DeadKernelError:
        return "커널(kernel)이 죽었습니다. 메모리가 모자랐을 수 있습니다."
    return None


def errors_of(cell) -> list:
    """The outputs of a cell that are errors."""
    return [output for output in cell.get("outputs", []) if output.output_type == "error"]


def headline(notebook) -> str:
    """The text of the last `course.headline(...)`, or nothing."""
    texts = [
        output.data[HEADLINE]["text"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if HEADLINE in output.get("data", {})
    ]
    return texts[-1] if texts else ""


def set_colab_cell(notebook) -> None:
    """Make the notebook's first code cell the Colab cell of this repository."""
    first = next(n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    if "google.colab" not in notebook.cells[first].source:
        notebook.cells.insert(first, nbformat.v4.new_code_cell(id="colab"))
    notebook.cells[first].source = colab_cell()


def normalised(notebook):
    """A copy without what differs between machines: versions, widget state, ANSI colours."""
    notebook = nbformat.from_dict(notebook)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags"})
        for output in cell.get("outputs", []):
            if len(output.get("data", {})) > 1:
                output.data.pop(WIDGET, None)
            if output.get("text"):
                output.text = re.sub(r"\x1b\[[0-9;]*m", "", output.text)
    return notebook


def print_table(runs: list[Run]) -> None:
    """One table: lesson, time, headline result."""
    rows = []
    for run in runs:
        minutes, seconds = divmod(round(run.seconds), 60)
        result = f"실패: {run.error}" if run.error else run.headline
        rows.append((run.lesson, f"{minutes}:{seconds:02d}", result))
    print_rows(("수업(lesson)", "시간(time)", "결과(result)"), rows)


def print_rows(titles: Iterable[str], rows: Iterable[Iterable[str]], to_stderr=False) -> None:
    """Print a table with every cell to its last letter."""
    table = Table()
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # no markup: what a cell raised may contain [/SUB]
    Console(file=sys.stderr if to_stderr else sys.stdout).print(table)
