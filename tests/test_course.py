import importlib
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tomllib
import types
import warnings
from importlib import metadata

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import psutil
import pytest
import torch
from packaging.utils import canonicalize_name
from packaging.version import Version

from helpers import ROOT, CourseError, __main__, colab, course, doctor, notebooks, resources

SECTIONS = tomllib.loads((ROOT / "helpers" / "profiles.toml").read_text(encoding="utf-8"))


# --- start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SECTIONS)
def test_every_size_has_three_columns(name):
    section = dict(SECTIONS[name])
    assert re.fullmatch(r"0\d", section.pop("lesson"))
    assert all(len(values) == 3 for values in section.values())


@pytest.mark.parametrize("name", course.PROFILES)
def test_start_reads_the_column_of_its_profile(profile, capsys, name):
    profile(name)
    column = course.PROFILES.index(name)
    started = course.start("04")
    section = SECTIONS["korean_pretraining"]
    assert started.profile == name
    assert started.model == section["model"][column]
    assert started.sizes.vocab_size == section["vocab_size"][column]
    assert started.folder.is_dir() and started.folder.is_relative_to(ROOT / "build")
    card = capsys.readouterr().out
    for fact in (name, started.device, started.model, f"vocab_size {started.sizes.vocab_size}"):
        assert fact in card


def test_start_again_gives_the_same(profile, capsys):
    profile("ci")
    draws, cards = [], []
    for lesson in ("04", "4", "korean_pretraining"):
        course.start(lesson)
        draws.append((random.random(), np.random.rand(), torch.rand(()).item()))
        cards.append(capsys.readouterr().out)
    assert draws[0] == draws[1] == draws[2]
    assert cards[0] == cards[1] == cards[2]
    assert str(ROOT) not in cards[0]


def test_start_is_silent_on_stderr():
    code = "from helpers.course import start; course = start('04'); import transformers, datasets"
    done = run_python(code, COURSE_PROFILE="ci")
    assert (done.returncode, done.stderr) == (0, "")
    assert "korean_pretraining" in done.stdout


@pytest.mark.parametrize("lesson", ["99", "bert", ""])
def test_unknown_lesson_is_one_sentence(profile, lesson):
    profile("ci")
    with pytest.raises(CourseError, match="수업은 없습니다.*korean_pretraining"):
        course.start(lesson)


def test_unknown_profile_is_one_sentence(profile):
    profile("fast")
    with pytest.raises(CourseError, match="'fast'.*ci, local, full"):
        course.start("04")


@pytest.mark.parametrize(
    "in_colab, gpu, expected",
    [(False, False, "local"), (False, True, "local"), (True, False, "local"), (True, True, "full")],
)
def test_profile_without_a_choice(monkeypatch, in_colab, gpu, expected):
    monkeypatch.delenv("COURSE_PROFILE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    if in_colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert course.profile_name() == expected


def test_ci_never_computes_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert course.device_name("ci") == "cpu"
    assert course.device_name("local") == "cuda"


def test_emulated_bf16_does_not_count(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    hardware = lambda including_emulation=True: including_emulation  # noqa: E731 (a T4)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", hardware)
    monkeypatch.setattr(course, "processor_has", lambda unit: True)
    assert not course.bf16_supported() and not course.bf16_supported("cuda")
    assert course.bf16_supported("cpu")


def test_a_torch_that_cannot_tell_computes_without_bf16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert course.bf16_supported()
    for unit in ("avx512_bf16", "amx_tile"):
        monkeypatch.delattr(torch.cpu, f"_is_{unit}_supported", raising=False)
    assert not course.bf16_supported()


@pytest.mark.parametrize("name, offline", [("ci", True), ("local", True), ("full", False)])
def test_only_the_full_profile_may_use_the_hub(profile, name, offline):
    import datasets.config
    import huggingface_hub

    profile(name)
    course.start("04")
    assert huggingface_hub.is_offline_mode() is offline
    assert datasets.config.HF_HUB_OFFLINE is offline
    assert os.environ["HF_HUB_OFFLINE"] == str(int(offline))


def test_plots_have_hangul_and_a_minus_sign():
    assert course.use_korean_font() == "NanumGothic"
    figure, ax = plt.subplots()
    ax.plot([-1, 1], [-1, 1])
    ax.set_title("한국어 사전학습, 뷁")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning
        figure.canvas.draw()
    plt.close(figure)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator only")
@pytest.mark.parametrize("kept", [False, True])
def test_freed_memory_is_used_again(kept):
    """A large block asked for again and again costs page faults at first
    only once freed memory is kept.
    """
    code = f"""
import resource, torch
from helpers.course import keep_memory
if {kept}: keep_memory()
for _ in range(24):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    lines = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split()
    again = min(map(int, lines[1:])), int(lines[-1])
    # a block takes 16,384 pages of 4 kB, or 32 of 2 MB
    assert max(again) < 16 if kept else min(again) >= 32


def test_headline_outside_a_notebook_is_printed(profile, capsys):
    profile("ci")
    course.start("04").headline("정확도 0.5")
    assert capsys.readouterr().out.endswith("정확도 0.5\n")


# --- Colab ---------------------------------------------------------------------------------------

# Runs the cell twice in an empty folder, with stand-ins for google.colab, for pip, and for a
# Python that has its own (too old) torch, an old transformers and no kiwipiepy.
IN_COLAB = """
import json, os, subprocess, sys, types
from importlib import metadata

sys.modules["google.colab"] = types.ModuleType("google.colab")
installed = {"torch": "2.5.0+cu124", "transformers": "4.57.1", "kiwipiepy": None}
real_version, real_run, calls = metadata.version, subprocess.run, []

def version(name):
    if installed.get(name, "") is None:
        raise metadata.PackageNotFoundError(name)
    return installed.get(name) or real_version(name)

def run(arguments, **options):
    if "pip" not in arguments:
        calls.append(arguments[:2])
        return real_run(arguments, **options)
    constraints = open(arguments[arguments.index("--constraint") + 1]).read().splitlines()
    calls.append([*arguments, constraints])
    for package in arguments:
        if "==" in package:
            installed.update([package.split("==")])
    return types.SimpleNamespace(returncode=0)

metadata.version, subprocess.run = version, run
cell, report = sys.stdin.read(), []
for turn in (1, 2):
    exec(compile(cell, "cell", "exec"), {})
    import helpers.course
    report.append({"folder": os.getcwd(), "helpers": helpers.course.__file__, "calls": calls[:]})
    calls.clear()
print(json.dumps(report))
"""


def run_python(code: str, stdin: str = "", cwd=ROOT, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        cwd=cwd,
        env={**os.environ, "PYTHONUTF8": "1", **env},
    )


@pytest.fixture
def repository_url(tmp_path):
    """A small git repository with this working tree's helpers, as a local URL."""
    origin = tmp_path / "origin"
    shutil.copytree(ROOT / "helpers", origin / "helpers", ignore=shutil.ignore_patterns("__py*"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, origin)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "test"]):
        subprocess.run(["git", *command], cwd=origin, check=True)
    return origin.as_uri()


def test_colab_cell_brings_the_repository_once(tmp_path, repository_url):
    address = colab.project()["urls"]["Repository"]
    empty = tmp_path / "content"
    empty.mkdir()
    cell = colab.colab_cell().replace(address, repository_url)
    done = run_python(IN_COLAB, stdin=cell, cwd=empty)
    assert (done.returncode, done.stderr) == (0, "")  # git clone says nothing
    first, second = json.loads(done.stdout.splitlines()[-1])

    clone = empty / "origin"
    for turn in (first, second):
        assert os.path.samefile(turn["folder"], clone)
        assert os.path.samefile(turn["helpers"], clone / "helpers" / "course.py")
    git, pip = first["calls"]
    assert git == ["git", "clone"]
    *arguments, constraints = pip
    packages = [argument for argument in arguments if "==" in argument]
    pins = colab.pinned_versions()
    assert packages == [f"{name}=={pins[name]}" for name in ("kiwipiepy", "transformers")]
    assert not any("torch" in argument for argument in arguments)
    assert constraints[0] == "torch==2.5.0+cu124"
    assert f"numpy>={np.__version__}" in constraints  # nothing is downgraded
    assert second["calls"] == []


def test_pins_are_read_past_comments_and_blank_lines(monkeypatch, tmp_path):
    lines = "# why\n\ntorch==2.13.0  # CPU\nappnope==1.0.0 ; sys_platform == 'darwin'\n"
    (tmp_path / "constraints.txt").write_text(lines, encoding="utf-8")
    monkeypatch.setattr(colab, "ROOT", tmp_path)
    assert colab.pinned_versions() == {"torch": "2.13.0", "appnope": "1.0.0"}


@pytest.mark.parametrize(
    "limit, heeded", [("AVX2", False), ("AVX512_CORE_BF16", True), ("default", True)]
)
def test_bf16_is_left_where_onednn_may_not_use_its_units(monkeypatch, limit, heeded):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(course, "processor_has", lambda unit: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert course.bf16_supported() is heeded


# In IPython, as Colab runs it: the first clone breaks off half-way, the second is git's own.
IN_COLAB_WITHOUT_NETWORK = """
import os, subprocess, sys, types
from IPython.core.interactiveshell import InteractiveShell

sys.modules["google.colab"] = types.ModuleType("google.colab")
real_run = subprocess.run

def break_off(arguments, **options):
    subprocess.run = real_run
    os.makedirs(os.path.join(arguments[-1], "helpers"))
    return types.SimpleNamespace(returncode=128)

subprocess.run = break_off
cell, shell = sys.stdin.read(), InteractiveShell.instance()
shell.run_cell(cell)
print(os.listdir())
shell.run_cell(cell).raise_error()
print(os.listdir(".."), "helpers.colab" in sys.modules)
"""


def test_failed_clone_in_colab_is_one_sentence_and_the_next_try_succeeds(tmp_path, repository_url):
    address = colab.project()["urls"]["Repository"]
    empty = tmp_path / "content"
    empty.mkdir()
    cell = colab.colab_cell().replace(address, repository_url)
    home = str(tmp_path / "ipython")
    done = run_python(IN_COLAB_WITHOUT_NETWORK, stdin=cell, cwd=empty, IPYTHONDIR=home)
    sentence = "오류: 저장소를 가져오지 못했으니 네트워크를 확인하고 이 셀을 다시 실행하십시오."
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [sentence, "[]", "['origin'] True"]


def test_failed_installation_in_colab_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(colab, "missing_packages", lambda: ["kiwipiepy==0"])
    failed = types.SimpleNamespace(returncode=1)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: failed)
    with pytest.raises(CourseError, match="설치하지 못했습니다"):
        colab.install_missing()


def test_a_package_newer_than_the_tested_one_stays(monkeypatch):
    real = metadata.version
    newer = {"transformers": "99.0"}
    monkeypatch.setattr(metadata, "version", lambda name: newer.get(name) or real(name))
    assert colab.missing_packages() == []


@pytest.fixture
def upgraded_by_pip(monkeypatch, tmp_path):
    """A package with one module, `onefile`, of which "pip" replaces version 1.0 by 2.0."""

    def install(version: str) -> None:
        for old in tmp_path.glob("*.dist-info"):
            shutil.rmtree(old)
        info = tmp_path / f"one_file-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: one-file\nVersion: {version}")
        (info / "RECORD").write_text("onefile.py,,\n")

    install("1.0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(colab, "missing_packages", lambda: ["one-file==2.0"])
    monkeypatch.setattr(colab, "pip_install", lambda packages, keep: install("2.0"))


def test_package_that_pip_changed_after_its_import_asks_for_a_restart(upgraded_by_pip, monkeypatch):
    monkeypatch.setitem(sys.modules, "onefile", types.ModuleType("onefile"))
    with pytest.raises(CourseError, match=r"\(one-file\).*런타임 > 세션 다시 시작"):
        colab.install_missing()


def test_package_that_pip_changed_before_its_import_asks_for_nothing(upgraded_by_pip):
    colab.install_missing()


def test_package_changed_before_the_cell_asks_for_a_restart(monkeypatch):
    """numpy replaced by the learner's own pip: Python still holds the old one."""
    monkeypatch.setattr(np, "__version__", "1.20.0")
    with pytest.raises(CourseError, match=r"\(numpy\)"):
        colab.install_missing()


@pytest.mark.parametrize("name", colab.requirements())
def test_an_import_alone_asks_for_no_restart(name):
    """Each package says the version it is installed as, or the learner would restart for ever."""
    if name != "koreanize-matplotlib":  # never imported: helpers.course only locates its fonts
        importlib.import_module(colab.MODULES.get(name, name.replace("-", "_")))
    assert not colab.is_outdated(name)


def test_colab_cell_is_in_form():
    """ruff, which also formats the notebooks, must not change the cell."""
    command = [sys.executable, "-m", "ruff", "format", "--config", ROOT / "pyproject.toml", "-"]
    cell = colab.colab_cell() + "\n"
    done = subprocess.run(command, input=cell, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == cell


def test_colab_cell_does_nothing_elsewhere(tmp_path):
    code = "import os, sys; exec(sys.stdin.read(), {}); print(os.getcwd(), os.listdir())"
    done = run_python(code, stdin=colab.colab_cell(), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().endswith("[]")
    assert os.path.samefile(done.stdout.split(" [")[0], tmp_path)


# --- running notebooks ---------------------------------------------------------------------------

GOOD = """\
from helpers.course import start
course = start("04")
from helpers.views.charts import LiveLoss
live = LiveLoss()
for step in (1, 2, 3):
    live.update(step, loss=1 / step)
course.headline("정확도 0.5")"""
BAD = 'from helpers.course import start\ncourse = start("없는 수업")'


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Two notebooks, the first of which fails, run as `python -m helpers run --in-place` does."""
    folder = tmp_path_factory.mktemp("notebooks")
    for name, code in (("04_bad", BAD), ("05_good", GOOD)):
        cells = [nbformat.v4.new_markdown_cell("# 제목"), nbformat.v4.new_code_cell(code)]
        if code == BAD:  # below it, what an earlier run left
            old = nbformat.v4.new_output("stream", text="옛 결과")
            cells.append(nbformat.v4.new_code_cell("1", outputs=[old], execution_count=7))
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")
    paths = sorted(folder.glob("*.ipynb"))
    before = paths[0].read_text(encoding="utf-8")
    runs = notebooks.run_notebooks(paths, "ci", folder / "build", in_place=True)
    return folder, runs, before


def test_failing_notebook_is_named_and_the_others_go_on(executed):
    folder, (bad, good), before = executed
    assert bad.lesson == "04_bad"
    assert "3번째 셀에서 CourseError" in bad.error and "없는 수업" in bad.error
    assert good.error is None
    assert good.headline == "정확도 0.5"
    assert (folder / "04_bad.ipynb").read_text(encoding="utf-8") == before


def test_course_error_has_no_traceback_in_a_notebook(executed):
    folder, _, _ = executed
    notebook = nbformat.read(folder / "build" / "04_bad.ipynb", as_version=4)
    (error,) = notebook.cells[-2].outputs
    assert len(error.traceback) == 1 and error.traceback[0].startswith("오류: '없는 수업'")


def test_nothing_old_stands_below_a_failing_cell(executed):
    folder, _, _ = executed
    last = nbformat.read(folder / "build" / "04_bad.ipynb", as_version=4).cells[-1]
    assert (last.outputs, last.execution_count) == ([], None)


def test_run_writes_copies_and_pages(executed):
    folder, _, _ = executed
    page = (folder / "build" / "05_good.html").read_text(encoding="utf-8")
    assert '<html lang="ko">' in page and "정확도 0.5" in page and "data:image/png" in page
    assert (folder / "build" / "05_good.ipynb").exists()


def test_in_place_renews_the_colab_cell_and_the_metadata(executed):
    folder, _, _ = executed
    notebook = nbformat.read(folder / "05_good.ipynb", as_version=4)
    markdown, first, second = notebook.cells
    assert markdown.cell_type == "markdown"
    assert first.source == colab.colab_cell()
    assert (first.execution_count, second.execution_count) == (1, 2)
    assert notebook.metadata == notebooks.METADATA
    notebooks.set_colab_cell(notebook)
    assert len(notebook.cells) == 3


def test_live_loss_ends_as_one_picture(executed):
    folder, _, _ = executed
    outputs = nbformat.read(folder / "05_good.ipynb", as_version=4).cells[-1].outputs
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1


def test_normalised_drops_widgets_colours_and_versions():
    cell = nbformat.v4.new_code_cell("1", metadata={"execution": {}, "tags": ["x"]})
    cell.outputs = [
        nbformat.v4.new_output("display_data", {notebooks.WIDGET: {}, "text/plain": "50%"}),
        nbformat.v4.new_output("stream", text="\x1b[31m빨강\x1b[0m"),
    ]
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}})
    clean = notebooks.normalised(notebook)
    assert clean.metadata == notebooks.METADATA
    assert clean.cells[0].metadata == {"tags": ["x"]}
    assert clean.cells[0].outputs[0].data == {"text/plain": "50%"}
    assert clean.cells[0].outputs[1].text == "빨강"


def test_table_names_lesson_time_and_result(capsys):
    notebooks.print_table(
        [notebooks.Run("04_a", 65.4, "정확도 0.5"), notebooks.Run("05_b", 1, "", "2번째 셀 [/SUB]")]
    )
    table = capsys.readouterr().out
    assert re.search(r"04_a\W+1:05\W+정확도 0.5", table)
    assert re.search(r"05_b\W+0:01\W+실패: 2번째 셀", table)


# --- command line --------------------------------------------------------------------------------


def command(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["helpers", *arguments])
    return __main__.main()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["doctr"], "명령을 이해하지 못했습니다"),
        (["run", "--fast"], "명령을 이해하지 못했습니다"),
        (["run", "99"], "'99' 수업의 노트북이 없습니다"),
        (["run", "--profile", "fast"], "'fast'(이)라는 프로필"),
        (["fetch", "nothing"], "'nothing'(이)라는 자원은 없습니다"),
    ],
)
def test_a_typo_on_the_command_line_is_one_line(monkeypatch, capsys, arguments, words):
    assert command(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"오류: {words}") and shown.err.count("\n") == 1
    assert shown.out == ""


def test_run_returns_1_if_a_notebook_fails(monkeypatch, tmp_path, capsys):
    runs = [notebooks.Run("04_a", 1, "", "2번째 셀에서 NameError: x")]
    monkeypatch.setattr(notebooks, "run_notebooks", lambda *arguments: runs)
    assert command(monkeypatch, "run", "--output", str(tmp_path)) == 1
    assert "NameError" in capsys.readouterr().out
    runs[0].error = None
    assert command(monkeypatch, "run", "--output", str(tmp_path)) == 0


def test_output_into_a_file_is_utf8_everywhere():
    code = "import sys; from helpers import __main__; sys.argv[1:] = ['fetch']; __main__.main()"
    done = run_python(code, PYTHONUTF8="0", PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, "")
    assert "매개변수" in done.stdout


def test_fetch_lists_the_catalogue(monkeypatch, capsys):
    assert command(monkeypatch, "fetch") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in resources.CATALOGUE)


# --- doctor --------------------------------------------------------------------------------------


def status_of(words: str) -> tuple[str, str]:
    """Status and advice of the line that contains the words."""
    ((status, advice),) = [
        (status, advice) for status, finding, advice in doctor.examine() if words in finding
    ]
    return status, advice


def test_doctor_finds_this_machine_ready(profile, monkeypatch):
    profile("ci")
    here = {canonicalize_name(d.name): Version(d.version).public for d in metadata.distributions()}
    monkeypatch.setattr(colab, "pinned_versions", lambda: here)  # newer releases are no failure
    monkeypatch.setattr(resources, "changed_files", list)
    failed = [finding for status, finding, _ in doctor.examine() if status == doctor.FAIL]
    assert failed == []
    for words in ("Python 3", "torch", "프로필(profile) ci", "장치(device) cpu", "글꼴", "sha256"):
        assert status_of(words) == (doctor.OK, "")


def test_doctor_estimates_the_course_from_a_step_measured_here(profile, monkeypatch):
    profile("local")
    assert 0 < doctor.training_step() < 60
    monkeypatch.setattr(doctor, "training_step", lambda: 2)
    assert status_of(f"약 {doctor.MINUTES + 2 * doctor.MORE}분") == (doctor.OK, "")


def test_doctor_finds_a_changed_file(monkeypatch, capsys):
    monkeypatch.setattr(resources, "changed_files", lambda: ["models/x.safetensors"])
    status, advice = status_of("내장 파일")
    assert status == doctor.FAIL and "models/x.safetensors" in advice
    assert command(monkeypatch, "doctor") == 1
    assert "[FAIL] 내장 파일 1개" in capsys.readouterr().out


def test_doctor_finds_little_memory_and_disk(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(available=2**30))
    assert status_of("메모리")[0] == doctor.WARN
    for free, status in ((2**28, doctor.FAIL), (2**31, doctor.WARN), (2**33, doctor.OK)):
        usage = types.SimpleNamespace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda path, usage=usage: usage)
        assert status_of("디스크")[0] == status


def test_doctor_finds_wrong_packages(monkeypatch):
    versions = {"transformers": "4.57.1", "torch": "2.6.0+cu124", "nbclient": None, "pooch": None}
    real = metadata.version

    def version(name):
        if versions.get(name, "") is None:
            raise metadata.PackageNotFoundError(name)
        return versions.get(name) or real(name)

    monkeypatch.setattr(metadata, "version", version)
    assert status_of("transformers 4.57.1")[0] == doctor.FAIL
    assert status_of("torch 2.6.0+cu124")[0] == doctor.WARN
    assert status_of("nbclient 없음")[0] == doctor.WARN
    assert status_of("pooch 없음")[0] == doctor.FAIL


def test_doctor_finds_profile_without_gpu_and_unknown_profile(profile, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    profile("full")
    assert status_of("장치(device) cpu")[0] == doctor.WARN
    profile("fast")
    assert status_of("프로필(profile)")[0] == doctor.FAIL


def test_doctor_finds_a_missing_font(monkeypatch):
    monkeypatch.setattr(course, "use_korean_font", lambda: None)
    assert status_of("글꼴")[0] == doctor.WARN
