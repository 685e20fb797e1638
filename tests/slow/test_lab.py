"""Every lesson in JupyterLab, opened in a real browser."""

import re
import shutil
import sys

import pytest

from helpers import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from test_widgets import STAGES_CELL, browser, expect, run_cell, server

__all__ = ["browser", "run_cell", "server"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_lesson_opens_without_an_error(path, browser, server):
    address, token, folder = server
    shutil.copy(path, folder)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}/doc/tree/{path.name}?token={token}")
        title = page.locator(".jp-RenderedMarkdown h1").first
        expect(title).to_contain_text(re.compile(r"^\d강\."))
        expect(page.locator(".jp-CodeCell .cm-content").first).to_contain_text("Colab")
        expect(page.locator(".jp-CodeCell .jp-OutputArea-output").first).to_be_visible()
        page.wait_for_timeout(2000)
        assert page.locator(".jp-Dialog").count() == 0


def restart_kernel(page) -> None:
    page.keyboard.press("Escape")
    page.keyboard.press("0")
    page.keyboard.press("0")
    page.locator(".jp-Dialog .jp-mod-warn").click()


def test_widget_of_a_restarted_kernel_says_so(run_cell):
    page = run_cell(STAGES_CELL)
    sentence = page.get_by_text("다시 실행하십시오")
    box = page.locator(".jp-OutputArea input[type=text]")
    box.wait_for()
    assert not sentence.is_visible()
    restart_kernel(page)
    expect(sentence).to_be_visible()
    page.locator(".jp-CodeCell .cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(sentence).not_to_be_visible()
    box.fill("한국말")
    expect(page.locator(".jp-OutputArea .widget-html-content")).to_contain_text("##말")
