"""Colab, rebuilt: its packages in a bare virtual environment, one notebook file in an empty folder.

Lesson 01 is run; COLAB_LESSONS="01 02 03 04 05 06" names others. The environment is built
once, below build/, and put back into its first state before each test.
"""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from packaging.utils import canonicalize_name
from packaging.version import Version

from helpers import ROOT, colab

LESSONS = os.environ.get("COLAB_LESSONS", "01").split()
PACKAGES = Path(__file__).with_name("colab.txt")
TORCH = f"torch=={colab.pinned_versions()['torch']}"
# numpy is imported before the first cell, which is how Colab's classic trap begins.
GOOGLE_COLAB = "import matplotlib.pyplot\nimport numpy\nimport pandas\n"


class Environment:
    """A virtual environment with Colab's packages and a stand-in for google.colab."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def pip(self, *arguments: str) -> str:
        command = [self.python, "-m", "pip", "--disable-pip-version-check", *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout

    def versions(self) -> dict[str, str]:
        """{"numpy": "2.1.3", ...}: every package in it."""
        listed = json.loads(self.pip("list", "--format=json"))
        return {canonicalize_name(package["name"]): package["version"] for package in listed}

    def build(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", self.folder], check=True)
        self.pip("install", "--quiet", TORCH)
        self.pip("install", "--quiet", "-r", str(PACKAGES))
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = subprocess.check_output([self.python, "-c", code], encoding="utf-8").strip()
        stand_in = Path(site) / "google" / "colab"
        stand_in.mkdir(parents=True)
        (stand_in / "__init__.py").write_text(GOOGLE_COLAB)

    def restore(self, bare: dict[str, str]) -> None:
        """Take back what a notebook, or a test, has installed."""
        now = self.versions()
        added = now.keys() - bare.keys()
        changed = [f"{name}=={bare[name]}" for name in bare if now.get(name) != bare[name]]
        if added:
            self.pip("uninstall", "--quiet", "--yes", *added)
        if changed:
            self.pip("install", "--quiet", "--no-deps", *changed)


@pytest.fixture(scope="session")
def built() -> tuple[Environment, dict[str, str]]:
    environment = Environment(ROOT / "build" / "colab")
    recipe = "\n".join([sys.version, TORCH, PACKAGES.read_text(encoding="utf-8"), GOOGLE_COLAB])
    ready = environment.folder / "ready.json"
    if not ready.exists() or json.loads(ready.read_text(encoding="utf-8"))["recipe"] != recipe:
        environment.build()
        state = {"recipe": recipe, "packages": environment.versions()}
        ready.write_text(json.dumps(state), encoding="utf-8")
    return environment, json.loads(ready.read_text(encoding="utf-8"))["packages"]


@pytest.fixture
def environment(built) -> Environment:
    environment, bare = built
    environment.restore(bare)
    return environment


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> str:
    """The URL of a bare git repository with the files of this working tree."""
    origin = tmp_path_factory.mktemp("origin")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(listing, cwd=ROOT, encoding="utf-8")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, origin / name)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "-f", "."], [*author, "commit", "-q", "-m", "test"]):
        subprocess.run(["git", *command], cwd=origin, check=True)
    bare = origin.with_suffix(".git")
    subprocess.run(["git", "clone", "-q", "--bare", origin, bare], check=True)
    return bare.as_uri()


@pytest.fixture
def kernel(environment, repository, tmp_path, monkeypatch):
    """kernel(folder) starts one as Colab does; git finds the course's address in `repository`."""
    config = tmp_path / "gitconfig"
    address = colab.project()["urls"]["Repository"]
    config.write_text(f'[url "{repository}"]\n\tinsteadOf = {address}\n', encoding="utf-8")
    started = ["--matplotlib=inline", "--IPKernelApp.exec_lines=import google.colab"]
    launch = [str(environment.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": [*launch, *started], "display_name": "Colab", "language": "python"}
    specs = tmp_path / "jupyter" / "kernels" / "colab"
    specs.mkdir(parents=True)
    (specs / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    env |= {"GIT_CONFIG_GLOBAL": str(config), "COURSE_PROFILE": "ci", "COLAB_RELEASE_TAG": "test"}

    @contextmanager
    def start(notebook, folder):
        resources = {"metadata": {"path": str(folder)}}
        client = NotebookClient(notebook, kernel_name="colab", timeout=600, resources=resources)
        with client.setup_kernel(env=env):
            yield client

    return start


@pytest.fixture
def content(tmp_path) -> Path:
    """The empty folder a kernel starts in, as /content of Colab."""
    folder = tmp_path / "content"
    folder.mkdir()
    return folder


def run_all(client: NotebookClient) -> None:
    for index, cell in enumerate(client.nb.cells):
        client.execute_cell(cell, index)


@pytest.mark.parametrize("lesson", LESSONS)
def test_notebook_alone_runs_twice_and_after_a_restart(lesson, environment, kernel, content):
    (source,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    notebook = nbformat.read(shutil.copy(source, content), as_version=4)
    before = environment.versions()
    with kernel(notebook, content) as client:
        run_all(client)
        run_all(client)
    with kernel(notebook, content) as client:  # a restart leads back to the first folder
        run_all(client)

    after = environment.versions()
    assert {name: after.get(name) for name in before} == before  # torch is one of them
    assert {"kiwipiepy", "opacus"} <= after.keys() - before.keys()
    assert sorted(path.name for path in content.iterdir()) == [source.name, "bert-course-ko"]


# packaging comes with matplotlib, and is too old here: the cell itself must replace it. numpy the
# learner replaces, before the cell. Both are imported when the kernel starts.
@pytest.mark.parametrize(
    "package, too_old, by_hand", [("packaging", "22.0", None), ("numpy", None, "2.2.6")]
)
def test_package_replaced_below_the_kernel_asks_for_a_restart(
    package, too_old, by_hand, environment, kernel, content
):
    if too_old:
        environment.pip("install", "--quiet", f"{package}=={too_old}")
    before = environment.versions()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(colab.colab_cell())])
    with kernel(notebook, content) as client:
        if by_hand:
            environment.pip("install", "--quiet", f"{package}=={by_hand}")
        for _ in range(2):  # and again, until the learner has done it
            with pytest.raises(CellExecutionError, match="세션 다시 시작") as error:
                run_all(client)
            assert error.value.ename == "CourseError"
            assert f"({package})" in error.value.evalue
    with kernel(notebook, content) as client:
        run_all(client)

    after = environment.versions()
    assert Version(after[package]) > Version(before[package])
    assert all(Version(after[name]) >= Version(before[name]) for name in before)


def test_what_would_downgrade_a_package_is_refused(environment):
    install = "colab.pip_install(['packaging==22.0'], keep=colab.installed_versions())"
    before = environment.versions()
    done = subprocess.run(
        [environment.python, "-c", f"from helpers import colab; {install}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert "CourseError: 패키지를 설치하지 못했습니다" in done.stderr
    assert environment.versions() == before
