"""A real submission: lesson 01 with two answers written into it."""

import nbformat

from helpers import grading, notebooks


def test_lesson_01_with_two_answers(tmp_path):
    notebook = nbformat.read(notebooks.NOTEBOOKS / "01_hf_basics.ipynb", as_version=4)
    for cell in notebook.cells:
        if "q.q1.check(" in cell.source:
            cell.source = cell.source.replace("...", '["한국말", "##을", "[UNK]"]')
        elif "q.q5.check(" in cell.source:
            cell.source = cell.source.replace("...", "3")
    nbformat.write(notebook, tmp_path / "01.ipynb")
    rows = grading.grade([tmp_path / "01.ipynb"], "ci", timeout=300)
    untouched = ["untouched"] * 7
    assert [row.status for row in rows] == ["right", *untouched[:3], "wrong", *untouched[:2]]
