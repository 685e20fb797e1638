"""What the benchmarks share: options, a text of a chosen size, a process for each side, the report.

Only the standard library is imported at the top: this file also runs in the environment of 2021's
transformers, and a light parent is part of the measurement (on Linux a child's ru_maxrss begins at
what its parent had).
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable

from helpers import ROOT, CourseError
from helpers.korean_pretraining.corpus import as_paths, read_documents

BUILD = ROOT / "build" / "benchmarks"


class Options(argparse.ArgumentParser):
    """`argparse`, with --corpus where a text is read, and one Korean sentence
    for a wrong command line.
    """

    def __init__(self, description: str, corpus: bool = True):
        super().__init__(description=description)
        if not corpus:
            return
        embedded = sorted((ROOT / "data" / "korean_pretraining" / "general").glob("*.txt"))
        self.add_argument(
            "--corpus",
            nargs="+",
            default=embedded,
            metavar="FILE",
            help="텍스트 파일(.txt, .xz, .gz)입니다. 기본값은 내장 문서입니다.",
        )

    def error(self, message: str):
        raise CourseError(f"명령을 이해하지 못했습니다({message}). --help를 보십시오.")


def positive(kind: type) -> Callable[[str], float]:
    """Give an argument type: a number of this kind above zero."""

    def convert(text: str):
        if not (number := kind(text)) > 0:
            raise ValueError(text)
        return number

    convert.__name__ = f"positive {kind.__name__}"
    return convert


def write_text(corpus: list, path: os.PathLike, megabytes: float) -> int:
    """Write whole documents until `megabytes` (10^6 bytes each) are full; give the bytes written.

    Raises `CourseError` as `as_paths` and `read_documents` do.
    """
    written = 0
    with open(path, "wb") as file:
        for document in read_documents(as_paths(corpus)):
            # The blank line comes before a document: the 2021 class takes one at the end of a file
            # for an empty document, and crashes when it draws a sentence from it.
            border = "\n" if written else ""
            written += file.write((border + "\n".join(document) + "\n").encode())
            if written >= megabytes * 1e6:
                break
    return written


def run_side(side: str, *, python: str | os.PathLike = sys.executable, **arguments) -> dict:
    """Call one side of the running script in a process of its own and give what it returns.

    Raises `CourseError` with the last line of its error output where it fails.
    """
    print(f"{side} ...", file=sys.stderr, flush=True)
    child = subprocess.run(
        [python, sys.argv[0], "--side", side, json.dumps(arguments, default=str)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    if child.returncode:  # the last line of a traceback, or the sentence of a `CourseError`
        reason = (child.stderr.strip().splitlines() or [f"종료 코드 {child.returncode}"])[-1]
        reason = reason.removeprefix("helpers.CourseError: ")
        raise CourseError(f"'{side}' 쪽의 실행이 실패했습니다: {reason}")
    return json.loads(child.stdout.splitlines()[-1])


def main(measure: Callable[[], None], *sides: Callable[..., dict]) -> None:
    """Run a benchmark, or, in a process started by `run_side`, the side it asks for."""
    if sys.argv[1:2] == ["--side"]:
        name, arguments = sys.argv[2:]
        side = next(side for side in sides if side.__name__ == name)
        print(json.dumps(side(**json.loads(arguments))))
        return
    try:
        BUILD.mkdir(parents=True, exist_ok=True)
        measure()
    except CourseError as error:
        print(f"오류: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("중단했습니다.", file=sys.stderr)
        sys.exit(2)


def report(title: str, columns: list[str], rows: list[list], result: dict) -> None:
    """Print a table for people and one JSON line for programs."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)
    print(json.dumps(result, ensure_ascii=False))
