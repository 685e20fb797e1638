"""Colab: the cell above every lesson, and what it calls once the repository is there."""

import importlib
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from helpers import ROOT, CourseError

# Packages imported under another name than theirs.
MODULES = {"ipython": "IPython", "scikit-learn": "sklearn"}

CELL = """\
# Colab에서만 동작하는 셀입니다. 강의 저장소를 가져오고 빠진 패키지만 설치합니다.
import os
import subprocess
import sys
import tempfile

if "google.colab" in sys.modules:
    address = "{address}"
    folder = address.rsplit("/", 1)[-1]
    if not os.path.exists("helpers/colab.py"):
        if not os.path.exists(folder):
            with tempfile.TemporaryDirectory(dir=".") as unfinished:
                copy = os.path.join(unfinished, folder)
                git = ["git", "clone", "--quiet", "--depth=1", address, copy]
                if subprocess.run(git).returncode:
                    error = ConnectionError(
                        "저장소를 가져오지 못했으니 네트워크를 확인하고 이 셀을 다시 실행하십시오."
                    )
                    error._render_traceback_ = lambda: [f"오류: {{error}}"]
                    raise error
                os.rename(copy, folder)
        os.chdir(folder)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    from helpers.colab import install_missing

    install_missing()"""


def colab_cell() -> str:
    """The first code cell of every notebook, with the repository's address from pyproject.toml."""
    return CELL.format(address=project()["urls"]["Repository"])


def install_missing() -> None:
    """Install the course's packages that this Python lacks or has too old; downgrade nothing.

    Raises CourseError if pip fails (what pip says stands above it), and if pip has changed a
    package that this Python imported before: the old and the new files do not work together.
    """
    outdated = set()
    if missing := missing_packages():
        print("빠진 패키지를 설치합니다:", ", ".join(missing))
        before = installed_versions()
        pip_install(missing, keep=before)
        changed = {name for name, _ in before.items() - installed_versions().items()}
        outdated = {name for name in changed if is_imported(name)}
    outdated |= {name for name in requirements() if is_outdated(name)}
    if outdated:
        raise CourseError(
            f"이미 불러온 패키지({', '.join(sorted(outdated))})를 pip가 바꾸었으니 메뉴에서 "
            "런타임 > 세션 다시 시작을 누른 뒤 이 셀부터 다시 실행하십시오."
        )


def pip_install(packages: list[str], keep: dict[str, str]) -> None:
    """Install the packages, but leave torch alone and everything else of `keep` at least as new.

    Raises CourseError if pip fails, as it does where a package asks for another torch.
    """
    floors = [f"{name}>={public_version(version)}" for name, version in keep.items()]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "keep.txt"
        constraints.write_text("\n".join([f"torch=={metadata.version('torch')}", *floors]))
        command = ["-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
        done = subprocess.run([sys.executable, *command, *packages])
    if done.returncode:
        raise CourseError(
            "패키지를 설치하지 못했습니다. 네트워크를 확인하고 메뉴에서 런타임을 다시 시작한 뒤 "
            "이 셀을 다시 실행하십시오."
        )
    importlib.invalidate_caches()


def missing_packages() -> list[str]:
    """["kiwipiepy==0.24.1", ...]: requirements that are not met here, at their tested versions.

    torch, and whatever is newer than the tested version, stay as Colab brings them.
    """
    pins = pinned_versions()
    missing = []
    for name, requirement in requirements().items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = "0"
        met = requirement.specifier.contains(installed, prereleases=True)
        if name != "torch" and not met and Version(installed) < Version(pins[name]):
            missing.append(f"{requirement.name}=={pins[name]}")
    return missing


def installed_versions() -> dict[str, str]:
    """{"numpy": "2.1.3", ...}: every package, at the version that an import finds first.

    Leaves out what has no name or no regular version, as some of a system's own packages.
    """
    versions = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name and public_version(distribution.version):
            versions.setdefault(canonicalize_name(name), distribution.version)
    return versions


def is_imported(name: str) -> bool:
    """Say whether this Python has imported any of the package's modules."""
    files = metadata.files(name) or []
    modules = (".".join(file.with_suffix("").parts) for file in files if file.suffix == ".py")
    return any(module.removesuffix(".__init__") in sys.modules for module in modules)


def is_outdated(name: str) -> bool:
    """Say whether this Python has imported another version of the package than is installed."""
    module = sys.modules.get(MODULES.get(name, name.replace("-", "_")))
    imported = public_version(getattr(module, "__version__", None))
    return imported is not None and imported != public_version(metadata.version(name))


def public_version(text: str | None) -> str | None:
    """public_version("2.11.0+cpu") -> "2.11.0"; None for what is no version."""
    try:
        return Version(text).public
    except (InvalidVersion, TypeError):
        return None


def requirements() -> dict[str, Requirement]:
    """{"numpy": Requirement("numpy>=1.26"), ...} from pyproject.toml, names in canonical form."""
    parsed = [Requirement(text) for text in project()["dependencies"]]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def project() -> dict:
    """The [project] table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pinned_versions() -> dict[str, str]:
    """{"torch": "2.13.0", ...} from constraints.txt, names in canonical form."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.split("#")[0].split(";")[0].strip() for line in lines)
    pairs = (pin.split("==") for pin in pins if pin)
    return {canonicalize_name(name): version for name, version in pairs}
