"""`python -m helpers doctor`: is this machine ready for the course? Bug reports paste its lines."""

import os
import platform
import shutil
import time
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from helpers import ROOT, CourseError, colab, course

OK, WARN, FAIL = "OK", "WARN", "FAIL"
GIB = 2**30
# Minutes of all lessons: so many, and so many more for a second of `training_step`. From two cores
# that took 0.47 s for it with AVX2 and 0.27 s with bf16, see tests/benchmarks/README.md.
MINUTES, MORE = 11, 27
PIP = "python -m pip install"  # of the Python that runs the doctor, not any other
Line = tuple[str, str, str]  # status, finding, what to do (empty if OK)


def examine() -> list[Line]:
    """Every check of this machine: versions, device, profile, fonts, files, memory, disk."""
    return [*package_versions(), *profile_and_device(), *files_and_room()]


def package_versions() -> Iterator[Line]:
    """A line for Python (`__main__` stops an older one), and one a package the course asks for."""
    yield OK, f"Python {platform.python_version()}, {platform.system()} {platform.machine()}", ""
    pins = colab.pinned_versions()
    project = colab.project()
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *extras["lab"]]:
        requirement = Requirement(text)
        name = requirement.name
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            status = WARN if text in extras["lab"] else FAIL
            yield status, f"{name} 없음", f"`{PIP} -c constraints.txt {name}`을 실행하십시오."
            continue
        pin = pins[canonicalize_name(name)]
        if not requirement.specifier.contains(version, prereleases=True):
            advice = f"`{PIP} {name}=={pin}`을 실행하십시오."
            yield FAIL, f"{name} {version} ({requirement.specifier} 필요)", advice
        elif Version(version).public != pin:
            advice = f"강의는 {pin}에서 시험했습니다. 문제가 생기면 그 판을 설치하십시오."
            yield WARN, f"{name} {version}", advice
        else:
            yield OK, f"{name} {version}", ""


def profile_and_device() -> Iterator[Line]:
    import torch

    try:
        profile = course.profile_name()
    except CourseError as error:
        yield FAIL, "프로필(profile)", str(error)
        return
    yield OK, f"프로필(profile) {profile}", ""
    device = course.device_name(profile)
    if device == "cuda":
        yield OK, f"장치(device) cuda, {torch.cuda.get_device_name()}", ""
    elif profile == "full":
        advice = "full은 GPU를 전제로 합니다. COURSE_PROFILE=local로 실행하십시오."
        yield WARN, "장치(device) cpu", advice
    else:
        yield OK, f"장치(device) cpu, 스레드 {torch.get_num_threads()}개, {units()}", ""
    if device == "cpu" and profile == "local":
        minutes = MINUTES + MORE * training_step()
        yield OK, f"모든 수업을 실행하는 데 약 {minutes:.0f}분(python -m helpers run)", ""


def units() -> str:
    """What the processor multiplies matrices with: "AVX512, bf16"."""
    import torch

    return torch.backends.cpu.get_cpu_capability() + ", bf16" * course.bf16_supported()


def training_step() -> float:
    """Seconds for a forward and a backward pass of a BERT of the course's size, the best of five.

    16 rows of 64 tokens; in bf16 where the lessons compute in it.
    """
    import torch
    from transformers import BertConfig, BertModel

    shape = {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
    model = BertModel(BertConfig(vocab_size=1000, **shape), add_pooling_layer=False)
    model.set_attn_implementation("eager")  # as the lessons do on a CPU
    ids = torch.zeros(16, 64, dtype=torch.long)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=course.bf16_supported()):
            hidden = model(ids).last_hidden_state
        hidden.float().mean().backward()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def files_and_room() -> Iterator[Line]:
    import psutil

    from helpers import resources

    font = course.use_korean_font()
    if font is None:
        yield WARN, "한글 글꼴 없음", f"`{PIP} koreanize-matplotlib`을 실행하십시오."
    else:
        yield OK, f"한글 글꼴 {font}", ""

    changed = resources.changed_files()
    if changed:
        advice = (
            f"다른 파일: {', '.join(changed[:5])}{' …' if len(changed) > 5 else ''}. "
            "`git checkout -- data`로 되돌리거나 저장소를 다시 받으십시오."
        )
        yield FAIL, f"내장 파일 {len(changed)}개가 data/{resources.SUMS}와 다름", advice
    else:
        yield OK, f"내장 파일 {len(resources.read_sums())}개의 sha256", ""

    free = psutil.virtual_memory().available / GIB
    advice = "다른 프로그램을 닫아 3 GiB 이상을 비우십시오." if free < 3 else ""
    yield WARN if advice else OK, f"남은 메모리 {free:.1f} GiB", advice

    free = shutil.disk_usage(ROOT).free / GIB
    found = f"남은 디스크 {free:.1f} GiB"
    if not os.access(ROOT, os.W_OK):
        advice = "저장소를 자신의 폴더에 복사하여 그곳에서 실행하십시오."
        yield FAIL, f"{ROOT}에 쓸 수 없음", advice
    elif free < 1:
        yield FAIL, found, "디스크에서 5 GiB 이상을 비우십시오."
    elif free < 5:
        yield WARN, found, "full 프로필의 데이터를 받으려면 5 GiB 이상을 비우십시오."
    else:
        yield OK, found, ""


def report(lines: list[Line]) -> str:
    """The lines as text: `[OK]   torch 2.13.0`, and what to do below a warning."""
    text = []
    for status, finding, advice in lines:
        text.append(f"{f'[{status}]':<7}{finding}")
        if advice:
            text.append(f"       → {advice}")
    return "\n".join(text)
