"""Run the notebooks with COURSE_PROFILE=full, without the internet and without a GPU; report time
and memory.

A hub on this machine serves multilingual BERT in its exact shape (random weights) and small tables
and texts in the real formats. Names of models and data are those of `full`, every size is that of
`ci`: this shows that nothing breaks and what fits into memory, not what anything learns.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from common import BUILD, Options, main, positive, report

from helpers import ROOT, CourseError
from helpers.notebooks import find_notebooks
from helpers.resources import CATALOGUE

sys.path.insert(0, str(ROOT / "tests" / "slow"))
import hub_content
from hub_server import Hub


def reduced_profiles(text: str) -> str:
    """profiles.toml with ci's sizes in the column `full`; what is a name, or several, stays.

    Example: 'model = ["a", "a", "b"]\nsteps = [1, 2, 3]' in a section -> the same, with steps = [1,
    2, 1].
    """
    lines = []
    for section, table in tomllib.loads(text).items():
        lines.append(f"[{section}]")
        for key, value in table.items():
            if isinstance(value, list) and not is_name(value[2]):
                value = [*value[:2], value[0]]
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def is_name(value: object) -> bool:
    """is_name("klue-re"), is_name(["klue-sts", "klue-ner"]) -> True, is_name(32), is_name([2, 3])
    -> False
    """
    return isinstance(value[0] if isinstance(value, list) else value, str)


def make_course(folder: Path, hub: Hub) -> None:
    """A copy of the course with the reduced sizes, and with the addresses outside the hub on this
    machine.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("helpers", "notebooks", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    profiles = folder / "helpers" / "profiles.toml"
    profiles.write_text(reduced_profiles(profiles.read_text("utf-8")), encoding="utf-8")
    catalogue = folder / "helpers" / "catalogue.toml"
    text = catalogue.read_text("utf-8")
    for name, entry in hub_content.moved(hub.folder, hub.url).items():
        text = text.replace(CATALOGUE[name].url, entry.url)
        text = text.replace(CATALOGUE[name].sha256, entry.sha256)
    catalogue.write_text(text, encoding="utf-8")


def run_notebook(course: Path, lesson: str, hub: Hub, minutes: float) -> dict:
    """Execute one notebook of the copy; seconds, peak memory and what went wrong."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(course.parent / "cache" / "hf"),
        "COURSE_CACHE": str(course.parent / "cache" / "course"),
        "PYTHONPATH": str(course),
        "PYTHONUTF8": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "no_proxy": "127.0.0.1,localhost",
    }
    log = course / f"{lesson}.log"
    began = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "helpers", "run", lesson, "--profile", "full"],
            cwd=course,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ended = False
        while not ended and time.monotonic() - began < minutes * 60:
            time.sleep(0.5)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if not ended:
            os.kill(process.pid, signal.SIGINT)  # it ends its kernel, whose memory is counted
            _, status, usage = os.wait4(process.pid, 0)
    return {
        "lesson": lesson,
        "seconds": round(time.monotonic() - began),
        "peak_mb": round(usage.ru_maxrss / 1024),
        "result": "시간 초과" if not ended else "실패" if status else "성공",
        "log": str(log.relative_to(ROOT)),
    }


def measure() -> None:
    options = Options(__doc__, corpus=False)
    options.add_argument("lessons", nargs="*", help="수업의 번호입니다. 없으면 모두 실행합니다.")
    options.add_argument(
        "--minutes", type=positive(float), default=10, help="노트북 하나에 쓸 시간입니다."
    )
    options.add_argument(
        "--hidden-size",
        type=int,
        default=768,
        help="모델의 너비입니다. 작으면 빠르게 끝까지 갑니다.",
    )
    arguments = options.parse_args()
    if sys.platform != "linux":
        raise CourseError("기억 공간을 재는 방법이 리눅스에만 있습니다. 리눅스에서 실행하십시오.")
    width = arguments.hidden_size
    folder = BUILD / f"full_profile_{width}"
    if not (folder / "hub").is_dir():
        shutil.rmtree(part := folder / "hub.part", ignore_errors=True)  # of an interrupted run
        hub_content.write_all(part, hidden_size=width, intermediate_size=4 * width)
        part.rename(folder / "hub")
    runs = []
    with Hub(folder / "hub") as hub:
        for path in find_notebooks(arguments.lessons):
            lesson = path.stem[:2]
            make_course(folder / lesson, hub)
            runs.append(run_notebook(folder / lesson, lesson, hub, arguments.minutes))
    columns = ["수업", "초", "최대 메모리(MB)", "결과", "기록"]
    report("full, ci의 크기로", columns, [list(run.values()) for run in runs], {"runs": runs})


if __name__ == "__main__":
    main(measure)
