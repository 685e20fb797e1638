"""Writing that survives a full disk, a killed process, and two processes in one folder."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from helpers import CourseError

FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
REASONS = {
    errno.ENOENT: "그런 파일이나 폴더가 없습니다",
    errno.EEXIST: "같은 이름의 파일이 있습니다",
    errno.ENOTDIR: "폴더가 아니라 파일입니다",
    errno.EISDIR: "파일이 아니라 폴더입니다",
    errno.ENAMETOOLONG: "이름이 너무 깁니다",
    **dict.fromkeys(FULL, "디스크에 빈자리가 없습니다"),
    **dict.fromkeys(CLOSED, "권한이 없습니다"),
}


def why(error: OSError) -> str:
    """Say in Korean what the system says in English: "Permission denied" -> "권한이 없습니다"."""
    return REASONS.get(error.errno) or error.strerror or type(error).__name__


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what libraries raise on a full disk or a closed folder into a CourseError."""
    try:
        yield
    except CourseError:
        raise
    except Exception as error:
        number, text = getattr(error, "errno", None), str(error)
        # safetensors gives no number, and torch.save not even the reason.
        told = ("No space left", "PytorchStreamWriter", "inline_container")
        if number in FULL or any(words in text for words in told):
            raise CourseError(
                "디스크에 빈자리가 없어 쓰지 못했습니다. 자리를 비운 뒤 다시 실행하십시오"
                "(사전학습은 --resume으로 이어집니다)."
            ) from error
        if number in CLOSED:
            raise CourseError(
                f"'{error.filename or '.'}'에 쓸 권한이 없습니다. 쓸 수 있는 폴더를 고르거나 "
                "저장소를 자신의 폴더에 복사하십시오."
            ) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: a process killed in the middle leaves the old one."""
    building = path.with_name(f".{path.name}.part")
    building.write_text(text, encoding="utf-8", newline="\n")
    os.replace(building, path)


def save_whole(save: Callable[[Path], object], folder: Path) -> None:
    """save_whole(model.save_pretrained, folder): a file appears when it is finished."""
    building = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder))
    try:
        save(building)
        for file in building.iterdir():
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def lock_folder(folder: Path, busy: str) -> FileLock:
    """Take a folder for this process, until the lock is released or forgotten.

    Raises CourseError with `busy` if another has it.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CourseError(busy) from error
    return lock
