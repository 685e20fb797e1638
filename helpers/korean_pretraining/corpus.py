"""Plain text in: one sentence a line, a blank line between documents; also as `.xz` and `.gz`."""

import codecs
import gzip
import itertools
import lzma
import os
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from helpers import CourseError
from helpers.disk import why
from helpers.text import check_path

Files = str | os.PathLike | Iterable[str | os.PathLike]
OPENERS = {".xz": lzma.open, ".gz": gzip.open}


def as_paths(files: Files) -> list[Path]:
    """One path or many as a list. Raises `CourseError` for none, and for one that is no file."""
    one = isinstance(files, str | os.PathLike) or not isinstance(files, Iterable)
    paths = [check_path(file) for file in ([files] if one else files)]
    if not paths:
        raise CourseError("말뭉치 파일이 하나도 없습니다. 텍스트 파일의 경로를 하나 이상 주십시오.")
    for path in paths:
        if not path.is_file():
            raise CourseError(f"말뭉치 파일 '{path}'이(가) 없습니다. 경로를 확인해 주십시오.")
    return paths


def read_lines(path: Path) -> Iterator[str]:
    """Yield the stripped lines of one file.

    LF and CRLF, a byte order mark and a missing last newline are all fine.
    Hangul spelled in single letters (NFD, as macOS writes it) is composed to syllables (NFC).
    Raises `CourseError` naming file and line for text that is not UTF-8, and for a broken archive.
    """
    number = 0
    try:
        with OPENERS.get(path.suffix, open)(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                yield unicodedata.normalize("NFC", text)
    except UnicodeDecodeError as error:
        raise CourseError(
            f"'{path}' {number}번째 줄이 UTF-8이 아닙니다{probable_encoding(line)}. "
            "파일을 UTF-8로 다시 저장해 주십시오."
        ) from error
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CourseError(
            f"압축 파일 '{path}'이(가) 손상되었습니다. 다시 받아 주십시오."
        ) from error
    except OSError as error:
        raise CourseError(
            f"말뭉치 파일 '{path}'을(를) 읽을 수 없습니다({why(error)}). 경로를 확인해 주십시오."
        ) from error


def probable_encoding(line: bytes) -> str:
    """Name in brackets what a line that is no UTF-8 probably is; "" if it could be anything."""
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if line.startswith(marks) or b"\0 " in line or b" \0" in line:
        return "(UTF-16으로 보입니다)"
    try:
        text = line.decode("cp949")
    except UnicodeDecodeError:
        return ""
    return "(CP949로 보입니다)" if any("가" <= letter <= "힣" for letter in text) else ""


def blank_lines_at_border(path: Path, sample: int = 2000) -> int:
    """Say how many blank lines end a document: 2 where one follows every sentence, else 1.

    Example: "a", "", "b", "", "", "c" -> 2.
    """
    lines = itertools.islice(read_lines(path), sample)
    runs = [(bool(text), len(list(run))) for text, run in itertools.groupby(lines, key=bool)]
    every_sentence_alone = all(length == 1 for text, length in runs if text)
    # The first and the last run say nothing: files often begin or end with blank lines.
    return 2 if every_sentence_alone and any(n > 1 for text, n in runs[1:-1] if not text) else 1


def read_documents(files: Files) -> Iterator[list[str]]:
    """Yield each document that is not empty as its list of sentences; a file's end ends its last.

    Example: a file with the lines "가", "나", "", "다" -> ["가", "나"], ["다"].
    Raises `CourseError` as `as_paths` and `read_lines` do.
    """
    for path in as_paths(files):
        border = blank_lines_at_border(path)
        document: list[str] = []
        for is_text, run in itertools.groupby(read_lines(path), key=bool):
            lines = list(run)
            if is_text:
                document += lines
            elif len(lines) >= border and document:
                yield document
                document = []
        if document:
            yield document
