"""data/SHA256SUMS: was an embedded file changed, lost or added?"""

import hashlib
from pathlib import Path

from helpers.resources.catalogue import DATA

SUMS = "SHA256SUMS"


def sha256(path: Path) -> str:
    """The SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def embedded_files() -> list[Path]:
    """Every file below data/ that data/SHA256SUMS has to name."""
    return sorted(
        path
        for path in DATA.rglob("*")
        if path.is_file() and path.name != SUMS and not path.name.startswith(".")
    )


def read_sums() -> dict[str, str]:
    """{path below data/: sha256} from data/SHA256SUMS (sha256sum's format); {} without the file."""
    sums = DATA / SUMS
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def write_sums() -> None:
    """Renew data/SHA256SUMS after an embedded file was changed on purpose."""
    lines = [f"{sha256(path)}  {path.relative_to(DATA).as_posix()}\n" for path in embedded_files()]
    (DATA / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def changed_files() -> list[str]:
    """Paths below data/ that are missing, unnamed or different from data/SHA256SUMS."""
    named = read_sums()
    found = {path.relative_to(DATA).as_posix(): path for path in embedded_files()}
    return sorted(
        path
        for path in named.keys() | found.keys()
        if path not in found or sha256(found[path]) != named.get(path)
    )
