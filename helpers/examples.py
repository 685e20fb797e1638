"""Files of examples: read, cleaned, and what cannot be used is named instead of swallowed."""

import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from helpers import CourseError
from helpers.text import read_text

ZERO_WIDTH = frozenset("\u00ad\u200b\u200c\u200e\u200f\u2060\ufeff")


class Examples(list):
    """A list of examples; `refused` says what was left out and why, a sentence each."""

    def __init__(self, examples: Iterable[dict] = (), refused: Iterable[str] = ()):
        super().__init__(examples)
        self.refused = list(refused)


def clean(text: str) -> tuple[str, Sequence[int]]:
    """clean("가" spelled as two letters + "\\u200b나") -> ("가나", [0, 3, 4]): text and places.

    Hangul is composed (NFC; macOS takes it apart) and characters without width are left out.
    places[i]: where the i-th character began in the old text; the last one is the old length.
    """
    if unicodedata.is_normalized("NFC", text) and ZERO_WIDTH.isdisjoint(text):
        return text, range(len(text) + 1)
    clusters: list[list] = []  # [composed so far, place]: what composes stays together
    for place, char in enumerate(text):
        if char in ZERO_WIDTH:
            continue
        composed = unicodedata.normalize("NFC", char)
        if clusters:
            joined = unicodedata.normalize("NFC", clusters[-1][0] + char)
            if unicodedata.combining(char) or joined != clusters[-1][0] + composed:
                clusters[-1][0] = joined
                continue
        clusters.append([composed, place])
    places = [place for cluster, place in clusters for _ in cluster]
    return "".join(cluster for cluster, _ in clusters), [*places, len(text)]


def read_table(
    path: str | os.PathLike, texts: Sequence[str], value: str, split: str | None = None
) -> tuple[list[tuple[int, dict]], list[str]]:
    """Read a table with a header line: ([(line, row), ...], refused).

    texts, value: the columns that are needed; the texts are cleaned, NSMC's `document` is a `text`.
    Columns are parted by tabs; a quote is a quote, closed or not. split: see `choose_split`.
    Refused: a row with another number of columns than the header, or with an empty text.
    Raises CourseError for a file without these columns or without a row.
    """
    lines = enumerate(read_text(path).split("\n"), start=1)
    (_, header), *rows = [(n, line.split("\t")) for n, line in lines if line] or [(0, [])]
    header = ["text" if name == "document" else name for name in header]
    if missing := [name for name in (*texts, value) if name not in header]:
        raise CourseError(
            f"'{path}'에 {missing[0]} 열이 없습니다. 첫 줄에 열의 이름을 쓰고 열을 탭으로 "
            "나누십시오."
        )
    found, refused = [], []
    for number, fields in rows:
        if len(fields) != len(header):
            refused.append(f"{number}번째 줄: 열이 {len(header)}개가 아니라 {len(fields)}개입니다.")
            continue
        row = dict(zip(header, fields, strict=True))
        row |= {name: clean(row[name])[0] for name in texts}
        if all(row[name].strip() for name in texts):
            found.append((number, row))
        elif split in (None, row.get("split", split)):
            refused.append(f"{number}번째 줄: 글이 비어 있습니다.")
    found = choose_split(found, split, lambda item: item[1].get("split"), path)
    if not found:
        raise CourseError(
            f"'{path}'에 쓸 수 있는 행이 없습니다. 열의 이름 아래에 예를 한 줄에 하나씩 쓰십시오."
        )
    return found, refused


def choose_split(
    items: list, split: str | None, split_of: Callable[[Any], str | None], path: str | os.PathLike
) -> list:
    """The items of a split; all of them where none is asked for or the file has but one.

    Raises CourseError for a file with several splits, but not this one: what it holds for training
    would be measured on.
    """
    known = {split_of(item) for item in items}
    if split is None or len(known) < 2:
        return items
    if split not in known:
        others = ", ".join(sorted(filter(None, known)))
        raise CourseError(
            f"'{path}'에 split이 {split}인 예가 없습니다(있는 것: {others}). 쓸 것만 담은 파일을 "
            "주십시오."
        )
    return [item for item in items if split_of(item) == split]


def usable(path: str | os.PathLike, examples: Iterable[dict], refused: list[str]) -> Examples:
    """The examples and what was refused. Raises CourseError if none is left, with one reason."""
    found = Examples(examples, refused)
    if not found:
        raise CourseError(f"'{path}'에 쓸 수 있는 예가 없습니다({refused[0]}). 파일을 고치십시오.")
    return found
