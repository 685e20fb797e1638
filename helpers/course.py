"""Set-up of a notebook in one line: profile, device, seed, fonts, quiet libraries."""

import ctypes
import importlib.util
import logging
import os
import platform
import sys
import tomllib
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from filelock import FileLock

from helpers import ROOT, CourseError
from helpers.disk import clear_errors, lock_folder

PROFILES = ("ci", "local", "full")
SEED = 2021
LOCKS: dict[Path, FileLock] = {}  # held until this process ends
HEADLINE = "application/vnd.course.headline+json"


@dataclass(frozen=True)
class Course:
    """What `start` decided for a lesson.

    profile: 'ci', 'local' or 'full'; device: 'cpu' or 'cuda'; sizes: the lesson's row of
    profiles.toml as attributes; folder: where the lesson may write (ignored by git).
    """

    profile: str
    device: str
    seed: int
    model: str | None
    sizes: SimpleNamespace
    folder: Path

    def headline(self, text: str) -> None:
        """Show the lesson's headline result; `python -m helpers run` puts it into its table."""
        from IPython import get_ipython
        from IPython.display import display

        if get_ipython() is None:
            print(text)
        else:
            bundle = {"text/plain": text, "text/markdown": f"**{text}**", HEADLINE: {"text": text}}
            display(bundle, raw=True)


def start(lesson: str) -> Course:
    """start("04") -> Course: prepare this Python for a lesson and print a small card.

    `lesson` is a number or a name of profiles.toml. May be called any number of times.
    Raises CourseError for an unknown lesson or profile.
    """
    profile = profile_name()
    name, number, table = lesson_table(lesson, profile)
    set_offline(profile != "full")
    be_quiet(profile)
    keep_memory()
    use_korean_font()
    seed_everything(SEED)
    model = table.pop("model", None)
    folder = own_folder(ROOT / "build" / "work", name)
    device = device_name(profile)
    sizes = ", ".join(f"{size} {value}" for size, value in table.items())
    print(
        f"{number} {name}",
        f"프로필(profile): {profile}",
        f"장치(device):    {device}",
        f"모델(model):     {model or '없음'}",
        f"크기(sizes):     {sizes or '없음'}",
        sep="\n",
    )
    return Course(profile, device, SEED, model, SimpleNamespace(**table), folder)


def own_folder(parent: Path, name: str) -> Path:
    """own_folder(work, "mask_attack") -> work/mask_attack, or -2 while another process has that.

    Two notebooks of one lesson at once would otherwise delete each other's files.
    """
    for number in range(1, 100):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if folder in LOCKS:
            return folder
        with clear_errors():
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(CourseError):
                LOCKS[folder] = lock_folder(folder, "busy")
                return folder
    raise CourseError(f"'{parent}'에 빈 폴더가 없습니다. 열려 있는 노트북을 닫으십시오.")


def profile_name() -> str:
    """COURSE_PROFILE if it is set, else 'full' in Colab with a GPU, else 'local'.

    Raises CourseError for an unknown COURSE_PROFILE.
    """
    chosen = os.environ.get("COURSE_PROFILE", "").strip()
    if chosen:
        return check_profile(chosen)
    return "full" if "google.colab" in sys.modules and device_name("full") == "cuda" else "local"


def check_profile(name: str) -> str:
    """Return the name if it is a profile, else raise CourseError."""
    if name not in PROFILES:
        raise CourseError(
            f"{name!r}(이)라는 프로필(COURSE_PROFILE)은 없습니다. "
            f"{', '.join(PROFILES)} 가운데 하나로 바꾸십시오."
        )
    return name


def lesson_table(lesson: str, profile: str) -> tuple[str, str, dict]:
    """lesson_table("04", "ci") -> ("korean_pretraining", "04", {"vocab_size": 2000, ...}).

    Raises CourseError for an unknown lesson.
    """
    sections = tomllib.loads((ROOT / "helpers" / "profiles.toml").read_text(encoding="utf-8"))
    for name, section in sections.items():
        number = section.pop("lesson")
        if str(lesson) in (name, number, number.lstrip("0")):
            column = PROFILES.index(profile)
            return name, number, {key: values[column] for key, values in section.items()}
    raise CourseError(
        f"{lesson!r}(이)라는 수업은 없습니다. 번호나 이름을 쓰십시오: {', '.join(sections)}."
    )


def device_name(profile: str) -> str:
    """'cuda' where there is one, else 'cpu'; the ci profile always computes on the CPU.

    Apple's MPS is left out: the course's numbers were never measured on it.
    """
    if profile == "ci":
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def bf16_supported(device: str | None = None) -> bool:
    """Say whether a device multiplies bf16 matrices in hardware; without it fp32 is faster.

    device: 'cuda' or 'cpu'; the GPU where there is one.
    """
    import torch

    if torch.cuda.is_available() and device != "cpu":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # oneDNN, told to leave these units alone, emulates them, a hundred times slower than fp32.
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    if not any(unit in limit for unit in ("ALL", "DEFAULT", "BF16", "FP16", "AMX")):
        return False
    return processor_has("avx512_bf16") or processor_has("amx_tile")


def processor_has(unit: str) -> bool:
    """processor_has("amx_tile") -> False where there is no such unit, or where torch cannot tell.

    The questions are torch's own and may be renamed: here alone they are asked.
    """
    import torch

    return getattr(torch.cpu, f"_is_{unit}_supported", bool)()


def keep_memory() -> None:
    """Let glibc, where it is the C library, keep freed memory: a step asks for the same again.

    Given back to the kernel it returns page by page, zeroed: a quarter of a step. See mallopt(3).
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX of malloc.h
        mallopt(-1, -1)  # M_TRIM_THRESHOLD


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices)."""
    from transformers import set_seed

    set_seed(seed)


def set_offline(offline: bool) -> None:
    """Keep the Hugging Face libraries off the network, whether they are imported already or not."""
    os.environ["HF_HUB_OFFLINE"] = "1" if offline else "0"
    for module in ("huggingface_hub.constants", "datasets.config"):
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
            if hasattr(sys.modules.get(module), name):
                setattr(sys.modules[module], name, offline)


def be_quiet(profile: str | None = None) -> None:
    """Keep progress bars and library chatter out of the notebook; `full` keeps download bars."""
    import datasets
    import transformers
    from huggingface_hub.utils import disable_progress_bars

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    if (profile or profile_name()) != "full":
        disable_progress_bars()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    for category in (DeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", category=UserWarning, module="torch|transformers")


def use_korean_font() -> str | None:
    """Let matplotlib draw Hangul with the Nanum font of a package; None if it is not installed."""
    import matplotlib
    from matplotlib import font_manager

    # Only located: importing it needs distutils, which Python 3.12 dropped.
    spec = importlib.util.find_spec("koreanize_matplotlib")
    if spec is None:
        return None
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for file in sorted(Path(spec.origin).with_name("fonts").glob("*.ttf")):
        if str(file) not in known:
            font_manager.fontManager.addfont(file)
    matplotlib.rcParams["font.family"] = "NanumGothic"
    matplotlib.rcParams["axes.unicode_minus"] = False  # Nanum has no U+2212
    return "NanumGothic"
