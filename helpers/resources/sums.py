"""data/SHA256SUMS: was an embedded file changed, lost or added?"""

import hashlib
from pathlib import Path

from helpers.resources.catalogue import DATA

SUMS = "SHA256SUMS"


def sha256(path: Path) -> str:
    """The SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def embedded_files() -> dict[str, str]:
    """{path below data/: sha256} of every file that data/SHA256SUMS has to name."""
    return {
        path.relative_to(DATA).as_posix(): sha256(path)
        for path in sorted(DATA.rglob("*"))
        if path.is_file() and path.name != SUMS and not path.name.startswith(".")
    }


def read_sums() -> dict[str, str]:
    """{path below data/: sha256} from data/SHA256SUMS (sha256sum's format); {} without the file."""
    sums = DATA / SUMS
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def write_sums() -> None:
    """Renew data/SHA256SUMS after an embedded file was changed on purpose."""
    lines = [f"{digest}  {path}\n" for path, digest in embedded_files().items()]
    (DATA / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def changed_files() -> list[str]:
    """Paths below data/ that are missing, unnamed or different from data/SHA256SUMS."""
    return sorted({path for path, _ in read_sums().items() ^ embedded_files().items()})
