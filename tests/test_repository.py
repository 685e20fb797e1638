import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import yaml
from markdown_it import MarkdownIt
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from helpers import ROOT, colab, course, notebooks
from helpers.runs import weights_of

PROJECT = colab.project()
PINS = colab.pinned_versions()
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [
    Requirement(text) for text in [*PROJECT["dependencies"], *EXTRAS["lab"], *EXTRAS["test"]]
]
# Installed by `make site` and `make test-all` only.
SITE = [Requirement(text) for text in EXTRAS["site"]]
NOTEBOOKS = sorted(notebooks.NOTEBOOKS.glob("*.ipynb"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def log(name: str) -> list[dict]:
    return [json.loads(line) for line in read(f"data/{name}.jsonl").splitlines()]


# --- one source for every version ----------------------------------------------------------------


def test_pyproject_has_ranges_and_constraints_pins():
    for requirement in DECLARED + SITE:
        pin = PINS[canonicalize_name(requirement.name)]
        assert requirement.specifier, requirement
        assert requirement.specifier.contains(pin), requirement


def test_every_constraint_is_one_exact_version():
    lines = [line for line in read("constraints.txt").splitlines() if not line.startswith("#")]
    exact = re.compile(r"[\w.-]+==[\w.]+( ; sys_platform == \"\w+\")?")
    assert all(exact.fullmatch(line) for line in lines)
    assert len(lines) == len(PINS)


def test_constraints_hold_the_whole_closure():
    """Whatever the declared packages pull in here has a pin, except torch's own GPU libraries.

    And the pin runs on the oldest Python that the course promises: Debian 12 has 3.11.2.
    """
    seen, queue = set(), [requirement.name for requirement in DECLARED]
    if any(metadata.version(name).split("+")[0] != PINS[canonicalize_name(name)] for name in queue):
        pytest.skip("other versions than the pinned ones are installed")
    while queue:
        name = canonicalize_name(queue.pop())
        if name in seen:
            continue
        seen.add(name)
        gpu_library = name.startswith(("nvidia-", "cuda-", "triton"))
        assert name in PINS or gpu_library, name
        if metadata.version(name).split("+")[0] == PINS.get(name):
            python = metadata.metadata(name)["Requires-Python"] or ""
            assert SpecifierSet(python).contains("3.11.0"), f"{name} needs Python {python}"
        if not gpu_library:
            needs = map(Requirement, metadata.requires(name) or [])
            queue += [need.name for need in needs if not need.marker or need.marker.evaluate()]


def test_conda_environment_has_no_version_of_its_own():
    environment = yaml.safe_load(read("environment.yml"))
    assert environment["channels"][0] == "conda-forge"
    python, pip, packages = environment["dependencies"]
    assert re.fullmatch(r"python=3\.\d+", python) and pip == "pip"
    assert tuple(map(int, python[7:].split("."))) >= (3, 11)
    assert packages == {"pip": ["-c constraints.txt", "-e .[dev]"]}


def set_up(*arguments: str) -> tuple[list[str], str]:
    """What `make` would install, in order, and every command it would run."""
    shown = subprocess.run(
        ["make", "-n", "-W", "constraints.txt", *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    commands = [line for line in shown.splitlines() if "-m pip" in line]
    return [line.split("pip-version-check ")[1].strip() for line in commands], shown


def test_set_up_installs_the_pinned_torch_first_and_alone():
    installs, shown = set_up("lab")
    assert installs == [f'"torch=={PINS["torch"]}"', '-c constraints.txt -e ".[dev]"']
    assert "jupyterlab notebooks" in shown


def test_address_stands_once():
    address = PROJECT["urls"]["Repository"]
    assert re.fullmatch(r"https://[\w.-]+(/[\w-]+)+", address)
    holders = [path for path in (ROOT / "helpers").rglob("*.*") if path.suffix in (".py", ".toml")]
    holders += [ROOT / name for name in ("Makefile", "environment.yml", "pyproject.toml")]
    assert [p for p in holders if address in p.read_text(encoding="utf-8")] == [
        ROOT / "pyproject.toml"
    ]


# --- continuous integration ----------------------------------------------------------------------


def steps_of(workflow: str) -> tuple[dict, list[str]]:
    text = yaml.safe_load(read(f".github/workflows/{workflow}"))
    (job,) = text["jobs"].values()
    assert set(job["strategy"]["matrix"]["os"]) == {
        "ubuntu-latest",
        "macos-latest",
        "windows-latest",
    }
    return text[True], [step["run"] for step in job["steps"] if "run" in step]  # YAML: on is True


def test_ci_runs_make_test_everywhere():
    triggers, runs = steps_of("tests.yml")
    assert {"push", "pull_request"} <= triggers.keys()
    assert runs[-1].startswith("./.ci/run ") and "'test-all'" in runs[-1] and "'test'" in runs[-1]
    assert read(".ci/run").rstrip().endswith('exec make "${1:-test}"')


def test_newest_releases_are_tested_weekly():
    triggers, runs = steps_of("weekly.yml")
    ((_, _, day, month, weekday),) = [entry["cron"].split() for entry in triggers["schedule"]]
    assert (day, month) == ("*", "*") and weekday in "0123456"
    (command,) = [run for run in runs if run.startswith("make test ")]
    installs, shown = set_up(*command.partition(" 2>&1")[0].split()[1:])
    assert installs == ['"torch"', '-e ".[dev]"']  # no pin, so pip takes the newest
    assert re.search(r"-m pytest .*tests$", shown, re.MULTILINE)


# --- code ----------------------------------------------------------------------------------------


def imports_of(source: str) -> set[str]:
    """{"numpy", "helpers.course", ...}: every module a piece of code imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
            if node.module.split(".")[0] == "helpers":
                found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def code_of(path: Path) -> str:
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


HELPERS = sorted((ROOT / "helpers").rglob("*.py"))
TESTS = sorted((ROOT / "tests").glob("*.py"))


@pytest.mark.parametrize(
    "path", [*HELPERS, *TESTS, *NOTEBOOKS], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_every_import_is_declared(path):
    modules = {
        "IPython": "ipython",
        "markdown_it": "markdown-it-py",
        "sklearn": "scikit-learn",
        "yaml": "pyyaml",
    }
    declared = {canonicalize_name(requirement.name) for requirement in DECLARED + SITE}
    local = {"helpers", "google", *(test.stem for test in TESTS)}
    for module in {name.split(".")[0] for name in imports_of(code_of(path))}:
        known = module in sys.stdlib_module_names or module in local
        assert known or canonicalize_name(modules.get(module, module)) in declared, module


def floor(module: str) -> int:
    """0: what all lessons share; 1: lessons; 2: views, exercises; 3: commands."""
    name = module.split(".")[1] if "." in module else ""
    shared = {
        "course",
        "examples",
        "resources",
        "architectures",
        "batches",
        "runs",
        "disk",
        "text",
        "colab",
    }
    if name in ("", "CourseError", "ROOT") or name in shared:
        return 0
    if name in ("notebooks", "grading", "doctor", "evaluate", "__main__"):
        return 3
    return 2 if name in ("views", "exercises") else 1


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_an_import_never_points_up(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    own = ".".join(parts)
    for module in imports_of(code_of(path)):
        if module.startswith("helpers"):
            assert floor(module) <= floor(own), f"{own} imports {module}"
            if floor(module) == floor(own) == 1:  # a lesson knows itself only
                assert module.split(".")[1] == parts[1], f"{own} imports {module}"
            if parts[1] == "views":
                assert floor(module) != 1, f"{own} knows a lesson"


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_helpers_can_be_read_at_a_sitting(path):
    code = code_of(path)
    assert code.count("\n") <= 350
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


# --- notebooks -----------------------------------------------------------------------------------

NUMBERED, CHECKED = re.compile(r"(?m)^(?:#+ |\*\*)연습 (\d+)"), re.compile(r"(?m)^q\.q(\d+)\.check")
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


@each_notebook
def test_notebook_begins_with_the_colab_cell_and_one_start(path):
    number, lesson = path.stem.split("_", 1)
    assert course.lesson_table(number, "ci")[0] == lesson
    first, second, *_ = code_cells(path)
    assert first.source == colab.colab_cell()
    starts = re.findall(r"^.*\bstart\(.*$", code_of(path), flags=re.MULTILINE)
    assert len(starts) == 1 and f'start("{number}")' in starts[0]
    assert starts[0] in second.source


@each_notebook
def test_notebook_is_stored_executed_and_clean(path):
    assert nbformat.read(path, as_version=4).metadata == notebooks.METADATA
    for number, cell in enumerate(code_cells(path), start=1):
        # nbval compares nothing in a cell without a count, so a stripped notebook would pass
        assert cell.execution_count == number or not cell.source.strip()
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr"
        stored = json.dumps(cell.outputs, ensure_ascii=False)
        assert not re.search(r"/(home|root|Users|tmp|content|site-packages)/|[A-Z]:\\\\", stored)


@each_notebook
def test_ten_outputs_are_compared_beside_those_of_exercises(path):
    compared = [
        cell
        for cell in code_cells(path)
        if "nbval-check-output" in cell.metadata.get("tags", []) and ".check(" not in cell.source
    ]
    assert len(compared) >= 10, len(compared)


@each_notebook
def test_exercises_are_numbered_as_their_checks(path):
    cells = nbformat.read(path, as_version=4).cells
    told = [n for c in cells if c.cell_type == "markdown" for n in NUMBERED.findall(c.source)]
    checked = [n for c in cells if c.cell_type == "code" for n in CHECKED.findall(c.source)]
    assert told == checked == [str(n) for n in range(1, len(told) + 1)]


@each_notebook
def test_bold_prose_shows_no_asterisks(path):
    """CommonMark leaves `**"..."**` as it is where a particle follows."""
    parser = MarkdownIt("commonmark")
    cells = nbformat.read(path, as_version=4).cells
    tokens = [t for c in cells if c.cell_type == "markdown" for t in parser.parse(c.source)]
    texts = [child.content for t in tokens for child in t.children or () if child.type == "text"]
    assert texts and [text for text in texts if "**" in text] == []


LOGS = (
    "entity_bert/pretraining",
    "entity_bert/results",
    "finetuning/results",
    "korean_pretraining/domain",
    "mask_attack/canaries",
    "mask_attack/nsmc",
)


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_of_the_model_that_ships(name):
    assert {row["weights"] for row in log(name)} == {weights_of("mini-bert-ko")}


def test_defences_and_attacks_of_the_logs_can_be_paired():
    """Each defence has every seed, each attack met the reviews of the others."""
    seeds: dict[str, set] = {}
    for row in log("mask_attack/canaries"):
        seeds.setdefault(row["arm"], set()).add(row["seed"])
    assert len(seeds) > 1 and len(set(map(frozenset, seeds.values()))) == 1
    met = {tuple(fooled is None for fooled in row["fooled"]) for row in log("mask_attack/nsmc")}
    assert len(log("mask_attack/nsmc")) > 1 and len(met) == 1
