"""What a reader types, before a model, a library or a page sees it."""

import functools
import html
import os
from pathlib import Path
from typing import Any

from helpers import CourseError
from helpers.disk import why


@functools.cache
def analyzer() -> Any:
    """Kiwi, the morphological analyzer, loaded once."""
    from kiwipiepy import Kiwi  # 0.5 GB in memory: only for those who ask

    return Kiwi(num_workers=1)


def check_text(text: Any, most: int | None = None) -> str:
    """check_text("가\\ud800나") -> "가?나": half a character (a lone surrogate) cannot be encoded.

    most: how many characters there may be. Raises CourseError for a longer text and for anything
    but a string.
    """
    if not isinstance(text, str):
        raise CourseError(
            f"글은 문자열이어야 하는데 {type(text).__name__}입니다. 따옴표 안에 쓴 "
            "글을 하나 주십시오."
        )
    if most is not None and len(text) > most:
        raise CourseError(f"글이 {len(text):,}자입니다. {most:,}자까지로 줄이십시오.")
    return text.encode(errors="replace").decode()


def cut(text: str, limit: int) -> str:
    """cut("가나다라", 3) -> "가나…"."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def quoted(text: str) -> str:
    """quoted("가" * 100_000) -> "'가가…'": a text as an error message repeats it."""
    return repr(cut(text, 60))


def escape(text: str) -> str:
    """escape("<b>\\ud800") -> "&lt;b&gt;?": a text as HTML that can be sent to a browser."""
    return html.escape(check_text(text))


def check_path(path: Any) -> Path:
    """A path or a name, as a Path. Raises CourseError for what no file can be called."""
    if not isinstance(path, str | os.PathLike):
        raise CourseError(
            f"경로나 이름은 문자열이어야 하는데 {type(path).__name__}입니다. 따옴표 안에 쓴 경로를 "
            "주십시오."
        )
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError):  # too long, half a character, a zero byte
        raise CourseError(
            f"{quoted(str(path))}은(는) 파일의 이름이 될 수 없습니다. 경로를 확인하십시오."
        ) from None
    return Path(path)


def read_text(path: str | os.PathLike) -> str:
    """The text of a UTF-8 file, line ends as "\\n". Raises CourseError if it cannot be read."""
    try:
        text = check_path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CourseError(
            f"'{path}' 파일을 읽을 수 없습니다({why(error)}). 경로를 확인하십시오."
        ) from error
    except UnicodeDecodeError as error:
        raise CourseError(f"'{path}'은(는) UTF-8이 아닙니다. UTF-8로 다시 저장하십시오.") from error
    return text.replace("\r\n", "\n")
