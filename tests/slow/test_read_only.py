"""The repository, or a folder for results, in which the learner may read but not write: somebody
else's, or a teacher's for a whole class.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from helpers import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from korean_text import write_korean

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no read-only folders")
TINY = "--vocab-size=250 --hidden-size=16 --num-hidden-layers=1 --num-attention-heads=2".split()
TINY += "--block-size=24 --batch-size=8 --steps=2".split()
# root writes everywhere, unless it gives up the right to; then it is an owner like any other.
RIGHTS = "-dac_override,-dac_read_search"
ORDINARY = ["setpriv", f"--bounding-set={RIGHTS}", f"--inh-caps={RIGHTS}"]
PREFIX = [] if os.name == "nt" or os.geteuid() else ORDINARY
REVIEWS = "text\tlabel\n" + "정말 좋은 영화였다.\t1\n지루해서 졸았다.\t0\n" * 4


def close(folder) -> None:
    subprocess.run(["chmod", "-R", "a-w", folder], check=True)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the repository, read-only while the tests run."""
    if PREFIX and not shutil.which("setpriv"):
        pytest.skip("root needs setpriv to become an ordinary user")
    folder = tmp_path_factory.mktemp("closed") / "course"
    for part in ("helpers", "data", "notebooks"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, folder / part, ignore=ignore)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    close(folder)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)


@pytest.fixture
def closed(tmp_path):
    """An empty folder that takes no files."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    return folder


@pytest.fixture
def command(course, tmp_path):
    """command("run", "01") -> (exit code, stdout, stderr), in the read-only repository."""
    environment = {**os.environ, "PYTHONPATH": str(course), "HOME": str(tmp_path)}

    def run(*arguments):
        line = [*PREFIX, sys.executable, "-m", "helpers", *map(str, arguments)]
        options = {"cwd": course, "env": environment, "encoding": "utf-8", "timeout": 120}
        done = subprocess.run(line, capture_output=True, **options)
        assert "Traceback" not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def is_a_sentence(error: str) -> re.Match | None:
    return re.fullmatch("오류: .*(쓸 수 있는|다른 이름).*십시오\\.\n", error)


def test_doctor_says_what_to_do(command, course):
    code, output, _ = command("doctor")
    advice = "저장소를 자신의 폴더에 복사하여 그곳에서 실행하십시오."
    assert code == 1 and f"[FAIL] {course}에 쓸 수 없음\n       → {advice}" in output


def test_run_is_refused_in_a_sentence(command, tmp_path):
    code, _, error = command("run", "01", "--profile", "ci")
    assert code == 2 and is_a_sentence(error), error
    code, output, _ = command("run", "01", "--profile", "ci", "--output", tmp_path / "pages")
    # the lesson's own folder is in the repository
    assert code == 1 and "쓸 권한이 없습니다" in output.replace("\n", "")
    assert "복사하십시오" in (tmp_path / "pages" / "01_hf_basics.html").read_text(encoding="utf-8")


def test_commands_that_write_elsewhere_work(command, tmp_path):
    corpus = write_korean(tmp_path / "corpus.txt")
    code, _, error = command("pretrain", "--corpus", corpus, "--output", tmp_path / "model", *TINY)
    assert code == 0 and (tmp_path / "model" / "model.safetensors").exists(), error


def test_pretraining_into_a_closed_folder_is_refused(command, closed, tmp_path):
    corpus = write_korean(tmp_path / "corpus.txt")
    for output in (closed, closed / "model"):
        code, _, error = command("pretrain", "--corpus", corpus, "--output", output, *TINY)
        assert code == 2 and is_a_sentence(error), error


def test_evaluation_into_a_closed_folder_is_refused_before_the_training(command, closed, tmp_path):
    (tmp_path / "reviews.tsv").write_text(REVIEWS, encoding="utf-8")
    files = [f"--{part}={tmp_path / 'reviews.tsv'}" for part in ("train", "test")]
    for output in (closed, closed / "model"):
        arguments = ["--task=sentiment", *files, "--steps=100000", "--output", output]
        code, _, error = command("evaluate", "finetuning", *arguments)
        assert code == 2 and is_a_sentence(error), error
