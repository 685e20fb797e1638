"""Colab: the cell above every lesson, and what it calls once the repository is there."""

import importlib
import os
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers import ROOT, CourseError

CELL = """\
# Colab에서만 일하는 셀입니다. 강의 저장소를 가져오고 빠진 패키지만 설치합니다.
import os
import subprocess
import sys

if "google.colab" in sys.modules:
    address = "{address}"
    folder = address.rsplit("/", 1)[-1]
    if not os.path.exists("helpers/colab.py"):
        if not os.path.exists(folder):
            subprocess.run(["git", "clone", "--depth=1", address, folder], check=True)
        os.chdir(folder)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    from helpers.colab import install_missing

    install_missing()"""


def colab_cell() -> str:
    """The first code cell of every notebook, with the repository's address from pyproject.toml."""
    return CELL.format(address=project()["urls"]["Repository"])


def install_missing() -> None:
    """Install the course's packages that this Python lacks or has too old; leave torch alone.

    Raises CourseError if pip fails; what pip says stands above it.
    """
    missing = missing_packages()
    if not missing:
        return
    print("빠진 패키지를 설치합니다:", ", ".join(missing))
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder) / "keep.txt"  # a package that asks for another torch fails instead
        keep.write_text(f"torch=={metadata.version('torch')}\n")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", *missing],
            env={**os.environ, "PIP_CONSTRAINT": str(keep)},
        )
    if done.returncode:
        raise CourseError(
            "패키지를 설치하지 못했습니다. 네트워크를 확인하고 메뉴에서 런타임을 다시 시작한 뒤 "
            "이 셀을 다시 실행하십시오."
        )
    importlib.invalidate_caches()


def missing_packages() -> list[str]:
    """["kiwipiepy==0.24.1", ...]: requirements that are not met here, at their tested versions."""
    pins = pinned_versions()
    missing = []
    for text in project()["dependencies"]:
        requirement = Requirement(text)
        if requirement.name == "torch":
            continue
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            installed = None
        if installed is None or not requirement.specifier.contains(installed, prereleases=True):
            missing.append(f"{requirement.name}=={pins[canonicalize_name(requirement.name)]}")
    return missing


def project() -> dict:
    """The [project] table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pinned_versions() -> dict[str, str]:
    """{"torch": "2.13.0", ...} from constraints.txt, names in canonical form."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.split("#")[0].split(";")[0].strip() for line in lines)
    return {
        canonicalize_name(name): version
        for name, version in (pin.split("==") for pin in pins if pin)
    }
