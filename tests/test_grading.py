"""`python -m helpers grade` on small notebooks; each that is run costs the start of a kernel."""

import json
import os
import subprocess
import sys

import nbformat
import pytest

from helpers import ROOT, CourseError, grading
from helpers.exercises import RESULT

IMPORT = "from helpers.exercises import entity_bert as q"  # needs no torch, starts in a second
RIGHT = "q.q1.check(q.micro_f1)"


def submit(path, *cells):
    path.parent.mkdir(exist_ok=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, path)
    return path


def graded(path, *cells, timeout=20):
    rows = grading.grade([submit(path, *cells)], "ci", timeout)
    return {row.exercise.rpartition(".")[2]: (row.status, row.message) for row in rows}


def test_right_wrong_untouched_syntax_error_and_never_checked(tmp_path):
    rows = graded(
        tmp_path / "a.ipynb",
        IMPORT,
        RIGHT,
        "def ids(length, subject, object):\n    return [0] * length\nq.q2.check(ids)",
        "q.q3.check(...)",
        "def add_tags(sentence, subject, object) return\nq.q4.check(add_tags)",
        "q.q5.check(3)\nq.q5.check((24 * 384, 13 * 384))",  # the last one counts
        "q.q6.check(not_there)",
    )
    assert list(rows) == [f"q{number}" for number in range(1, 9)]
    assert rows["q1"] == ("right", "맞습니다!")
    assert rows["q2"][0] == "wrong"
    assert rows["q3"][0] == "untouched"
    assert rows["q4"][0] == "not run" and "5번째 셀에서 SyntaxError" in rows["q4"][1]
    assert rows["q5"][0] == "right"
    assert rows["q6"][0] == "not run" and "NameError" in rows["q6"][1]
    assert rows["q7"][0] == "not run" and "q.q7.check(" in rows["q7"][1]


STUBBORN = """
while True:
    try:
        q.q2.check(...)
        while True:
            pass
    except BaseException:
        pass
"""


def test_cells_below_an_infinite_loop_are_graded(tmp_path):
    rows = graded(tmp_path / "a.ipynb", IMPORT, RIGHT, STUBBORN, "q.q3.check(...)", timeout=6)
    assert rows["q1"][0] == "right"
    assert rows["q2"][0] == "untouched"  # said before the loop
    assert rows["q3"][0] == "untouched"


def test_after_too_many_loops_the_notebook_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "RESTARTS", 0)
    rows = graded(tmp_path / "a.ipynb", IMPORT, RIGHT, STUBBORN, "q.q3.check(...)", timeout=6)
    assert rows["q1"][0] == "right"
    assert rows["q3"][0] == "not run" and "6초 안에" in rows["q3"][1]


def test_a_dead_kernel_and_two_submissions_of_the_same_name(tmp_path):
    died = submit(
        tmp_path / "kim" / "01.ipynb",
        IMPORT,
        RIGHT,
        "import os\nos._exit(1)\nq.q2.check(...)",
        "q.q3.check(...)",
    )
    lives = submit(tmp_path / "lee" / "01.ipynb", IMPORT, "q.q1.check(...)")
    before = died.read_bytes()
    rows = {
        (row.notebook, row.exercise): row for row in grading.grade([died, lives], "ci", timeout=20)
    }
    assert rows[str(died), "entity_bert.q1"].status == "right"
    assert "커널" in rows[str(died), "entity_bert.q2"].message
    assert rows[str(died), "entity_bert.q3"].status == "untouched"
    assert rows[str(lives), "entity_bert.q1"].status == "untouched"
    assert died.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "형식이 아닙니다"),
        ("hello", "형식이 아닙니다"),
        ("[]", "형식이 아닙니다"),
        ("{}", "형식이 아닙니다"),
        ('{"cells": [{}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "형식이 아닙니다"),
        ('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "from helpers"),
        (None, "열 수 없습니다"),
    ],
)
def test_what_is_no_notebook_has_one_row(tmp_path, text, part):
    path = tmp_path / "a.ipynb"
    if text is not None:
        path.write_text(text)
    (row,) = grading.grade([path], "ci", timeout=20)
    assert (row.notebook, row.exercise, row.status) == (str(path), "", "not run")
    assert part in row.message


def test_a_forged_record_does_not_stop_the_grading():
    outputs = [
        nbformat.v4.new_output("display_data", {RESULT: forged})
        for forged in ("right", {}, {"status": []}, {"status": "wrong", "question": 1})
    ]
    cell = nbformat.v4.new_code_cell("", outputs=outputs)
    assert grading.recorded(nbformat.v4.new_notebook(cells=[cell])) == {"1": ("wrong", "None")}


def test_a_message_with_markup_is_printed_as_it_is(capsys):
    grading.print_table([grading.Row("a", "q1", "wrong", "[/SUB]")], to_stderr=False)
    assert "[/SUB]" in capsys.readouterr().out


def test_result_that_cannot_be_written_is_one_korean_sentence(tmp_path):
    with pytest.raises(CourseError, match="그런 파일이나 폴더가 없습니다.*--json"):
        grading.write_json([], str(tmp_path / "missing" / "result.json"))
    with pytest.raises(CourseError, match="파일이 아니라 폴더입니다"):
        grading.write_json([], str(tmp_path))


def test_the_command_prints_a_table_and_json(tmp_path):
    paths = submit(tmp_path / "a.ipynb", IMPORT, RIGHT), tmp_path / "missing.ipynb"
    done = subprocess.run(
        [sys.executable, "-m", "helpers", "grade", *map(str, paths), "--json", "-"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    first, *_, last = json.loads(done.stdout)
    assert first == {
        "notebook": str(paths[0]),
        "exercise": "entity_bert.q1",
        "status": "right",
        "message": "맞습니다!",
    }
    assert last["notebook"] == str(paths[1])
    assert "맞음" in done.stderr and "Traceback" not in done.stderr
