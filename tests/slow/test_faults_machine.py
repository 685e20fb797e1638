"""What a machine does to a course: Ctrl-C, a full disk, somebody else's folder, odd names, two at
once.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from helpers import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from korean_text import write_korean

TINY = "--vocab-size=250 --hidden-size=16 --num-hidden-layers=1 --num-attention-heads=2".split()
TINY += "--block-size=24 --batch-size=8 --logging-steps=1 --steps=100000 --save-steps=5".split()
AS_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="needs root to mount a small disk",
)
NOTEBOOK = """\
import time
from helpers.course import start
course = start("01")
(course.folder / "here").write_text(str(course.folder))
time.sleep({seconds})
course.headline("끝")"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_korean(tmp_path_factory.mktemp("faults") / "corpus.txt")


@pytest.fixture
def course(tmp_path):
    """course(seconds) -> a copy of the course in a folder with a blank and Hangul; lesson 01 only
    waits.
    """

    def copy(seconds: float = 0) -> Path:
        folder = tmp_path / "한글 강의 (사본)"
        keep = shutil.ignore_patterns("__pycache__", "*.safetensors")
        for part in ("helpers", "data", "notebooks"):
            shutil.copytree(ROOT / part, folder / part, ignore=keep)
        shutil.copy(ROOT / "pyproject.toml", folder)
        cells = [nbformat.v4.new_code_cell(NOTEBOOK.format(seconds=seconds))]
        for path in (folder / "notebooks").glob("*.ipynb"):
            path.unlink()
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells), folder / "notebooks" / "01_hf_basics.ipynb"
        )
        return folder

    return copy


def start(folder: Path, *arguments, prefix=(), **variables) -> subprocess.Popen:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONUTF8", "LANG", "LC_ALL")}
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "helpers", *map(str, arguments)],
        cwd=folder,
        env=environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)} | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen, done) -> None:
    while not done():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def one_line(error: str) -> bool:
    """What is left of stderr beside a progress bar is one Korean line."""
    lines = [line for line in error.replace("\r", "\n").splitlines() if line and "it/s" not in line]
    return len([line for line in lines if "%|" not in line]) == 1 and "Traceback" not in error


def test_ctrl_c_ends_a_pretraining_that_can_go_on(corpus, tmp_path):
    output = tmp_path / "model"
    process = start(ROOT, "pretrain", f"--corpus={corpus}", f"--output={output}", *TINY)
    wait_for(process, lambda: list(output.glob("checkpoint-*/trainer_state.json")))
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and error == "중단했습니다.\n"
    again = start(ROOT, "pretrain", f"--corpus={corpus}", f"--output={output}", *TINY, "--resume")
    line = again.stdout.readline()  # the first step after the checkpoint
    again.kill()
    assert int(line.split()[0]) > 5, again.communicate()


def test_ctrl_c_ends_a_run_and_leaves_no_kernel(course):
    folder = course(seconds=600)
    process = start(folder, "run", "01")
    wait_for(process, lambda: list(folder.rglob("build/work/*/here")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "중단했습니다." in error and "Traceback" not in error and "메모리" not in error
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(folder) not in processes


def test_ctrl_c_says_goodbye_in_a_chat():
    """Ctrl-C is how a chat ends, so its exit code is 0."""
    process = start(ROOT, "chat")
    process.stdin.write("이름이 뭐야?\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0 and output.endswith("안녕히 가세요.\n") and not error


@pytest.mark.parametrize("variables", [{}, {"LANG": "C"}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX"}])
def test_hangul_in_the_path_and_no_locale(course, variables):
    folder = course()
    process = start(folder, "run", "01", "--output", "결과 폴더", **variables)
    output, error = process.communicate(timeout=300)
    assert process.returncode == 0 and "끝" in output, error
    page = folder / "결과 폴더" / "01_hf_basics.html"
    assert "끝" in page.read_text(encoding="utf-8")


def test_two_runs_at_once(course):
    folder = course(seconds=20)
    first = start(folder, "run", "01")
    work = folder / "build" / "work"
    wait_for(first, lambda: list(work.glob("*/here")))
    refused = start(folder, "run", "01")
    beside = start(folder, "run", "01", "--output", "beside")
    assert "다른 실행이 쓰고 있습니다" in refused.communicate(timeout=120)[1]
    assert refused.returncode == 2
    for process in (first, beside):
        error = process.communicate(timeout=300)[1]
        assert process.returncode == 0, error
    folders = [path.read_text(encoding="utf-8") for path in work.glob("*/here")]
    assert len(set(folders)) == 2  # neither wrote into the other's


CACHE = """
import sys, time
from pathlib import Path
from helpers import resources
from helpers.resources import Resource, download
resources.CATALOGUE["t"] = Resource("t", "text", "", "", "", url="hub:a/b/c")
def build(files, target):
    with target.open("a") as file:
        for _ in range(50):
            file.write("x\\n"); file.flush(); time.sleep(0.02)
download._hub_parquet, download._write_text = lambda resource: [], build
print(len(resources.fetch("t").read_text()))
"""


def test_two_processes_fill_one_cache_one_after_the_other(tmp_path):
    environment = os.environ | {"COURSE_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", CACHE], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert [process.communicate(timeout=120)[0] for process in both] == ["100\n"] * 3


@AS_ROOT
def test_a_disk_that_is_full(corpus, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)])
    if mounted.returncode:
        pytest.skip("no right to mount a tmpfs")
    try:
        arguments = ["pretrain", f"--corpus={corpus}", f"--output={disk}/model", *TINY]
        process = start(ROOT, *arguments, "--save-total-limit=1000")
        error = process.communicate(timeout=300)[1]
        assert process.returncode == 2 and "빈자리가 없어" in error and one_line(error), error
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        again = start(ROOT, *arguments, "--resume")
        line = again.stdout.readline()
        again.kill()
        assert line and int(line.split()[0]) > 5, again.communicate()  # what was saved is there
    finally:
        subprocess.run(["umount", "-l", str(disk)])
