"""What the course uses, by name: a file embedded in the repository or a place on the network."""

import tomllib
from dataclasses import dataclass

from helpers import ROOT, CourseError

DATA = ROOT / "data"


@dataclass(frozen=True)
class Resource:
    """One section of catalogue.toml.

    kind: 'model', 'text' (one sentence a line, a blank line between documents) or 'table'.
    path: embedded below data/, its hashes in data/SHA256SUMS. url: 'https:…' with its sha256, or
    'hub:…', for a data set with its commit as revision. rows: documents, table rows or parameters.
    fallback: the embedded resource that stands in where the network may not or cannot be used.
    """

    name: str
    kind: str
    description: str
    licence: str
    rows: str
    path: str | None = None
    url: str | None = None
    sha256: str | None = None
    revision: str | None = None
    fallback: str | None = None


CATALOGUE = {
    name: Resource(name, **row)
    for name, row in tomllib.loads(
        (ROOT / "helpers" / "catalogue.toml").read_text(encoding="utf-8")
    ).items()
}


def lookup(name: str) -> Resource:
    """The catalogue's line of this name. Raises CourseError if there is none."""
    if name not in CATALOGUE:
        raise CourseError(
            f"{name!r}(이)라는 자원은 없습니다. 이 가운데에서 고르십시오: {', '.join(CATALOGUE)}."
        )
    return CATALOGUE[name]
