"""Tables of questions, answers and queries: a header line, then a row a line."""

import csv
import os
from io import StringIO
from pathlib import Path

from helpers import CourseError
from helpers.text import read_text


def read_table(path: str | os.PathLike, *columns: str) -> list[dict[str, str]]:
    """read_table("qa.tsv", "question") -> [{"id": "q001", "question": "안녕?", ...}, ...]

    A `.csv` has commas and quotes, any other file tabs and none.
    Raises CourseError if the file cannot be read, has no row, or lacks a column or a value.
    """
    text = StringIO(read_text(path), newline="")
    tabs = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    form = {} if Path(path).suffix == ".csv" else tabs
    try:
        rows = list(csv.DictReader(text, **form))
    except csv.Error as error:
        raise CourseError(f"'{path}'은(는) 표가 아닙니다({error}). 다시 저장하십시오.") from error
    if not rows:
        raise CourseError(f"'{path}'에 행이 없습니다. 첫 줄에 열 이름, 그 아래에 값을 쓰십시오.")
    for column in columns:
        for number, row in enumerate(rows, start=2):
            if row.get(column) is None:
                raise CourseError(
                    f"'{path}'의 {number}번째 줄에 {column} 열이 없습니다. 첫 줄에 열 이름을 쓰고 "
                    "열을 탭(.csv이면 쉼표)으로 나누십시오."
                )
    return rows
