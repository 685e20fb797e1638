"""The widgets inside JupyterLab, driven by a real browser."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import nbformat
import pytest

from helpers import ROOT
from helpers.notebooks import METADATA

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect, sync_playwright = playwright.expect, playwright.sync_playwright
PlaywrightError = playwright.Error
expect.set_options(timeout=30_000)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
# Elsewhere than on Linux the browser is not on the path; Playwright knows where Chrome is
# installed.
BROWSER = {"executable_path": CHROMIUM} if CHROMIUM else {"channel": "chrome"}
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]

STAGES_CELL = """\
from transformers import BertTokenizerFast
from helpers.hf_basics import tokenization_stages
from helpers.views.stages import StageExplorer

pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "한국", "##어", "##말", "<", ">", "b", "/"]
vocab = {piece: number for number, piece in enumerate(pieces)}
tokenizer = BertTokenizerFast(vocab=vocab, do_lower_case=False)
StageExplorer(lambda text: tokenization_stages(tokenizer, text), "한국어")"""

MASKS_CELL = """\
from helpers.views.masks import MaskExplorer

def fill(text):
    return [[("조선", 0.75), (text.split()[0], 0.25)] for _ in range(text.count("[MASK]"))]

MaskExplorer({"내장 모델": fill, "배운 모델": fill}, "이순신은 조선 중기의 무신이다.")"""


CHAT_CELL = """\
from helpers.views.chat import ChatWindow

table = {"이름이 뭐야?": "버티예요.", "몇 살이야?": "나이가 없어요."}
table["<img src=x>"] = "그림이 아니에요."


def search(query):
    scored = [(q, a, len(set(q) & set(query)) / len(set(q))) for q, a in table.items()]
    return sorted(scored, key=lambda row: -row[2])


ChatWindow(search, threshold=0.7, ask_from=0.2)"""


REAL_CHAT_CELL = """\
from helpers.course import be_quiet
from helpers.similarity_chatbot import course_chatbot, load_sentence_encoder
from helpers.views.chat import ChatWindow

be_quiet("local")
chatbot = course_chatbot(load_sentence_encoder())
ChatWindow(
    lambda query: [match[:3] for match in chatbot.search([query])[0]],
    chatbot.threshold,
    ask_from=chatbot.ask_from,
)"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A JupyterLab of its own: (address, token, folder of its notebooks)."""
    folder, token = tmp_path_factory.mktemp("lab"), secrets.token_hex(16)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_NO_CONFIG": "1"}
    for name in ("RUNTIME_DIR", "LAB_SETTINGS_DIR", "LAB_WORKSPACES_DIR"):
        environment[f"JUPYTER{name if name[0] == 'L' else '_' + name}"] = str(folder / name)
    options = [f"--port={port}", f"--IdentityProvider.token={token}", f"--notebook-dir={folder}"]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *options]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api", process, folder / "log")
        yield address, token, folder
    finally:
        process.terminate()  # the server ends its kernels with itself
        process.wait(timeout=20)


def wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    """Return once the server answers; fail with its log if it ends or never does."""
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            return urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not answer: {log.read_text()}")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium or Chrome; without one the tests of the widgets are skipped."""
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(**BROWSER, args=QUIET)
        except PlaywrightError as error:
            if CHROMIUM:
                raise
            pytest.skip(f"no Chromium or Chrome on this machine ({error.message.splitlines()[0]})")
        yield browser
        browser.close()


@pytest.fixture
def run_cell(browser, server):
    """run_cell("code") -> a browser page where a notebook's only cell has
    been run by its reader.
    """
    address, token, folder = server
    with browser.new_context() as context:
        page = context.new_page()
        page.set_viewport_size({"width": 1100, "height": 800})

        def run(code: str):
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
            notebook.metadata = nbformat.from_dict(METADATA)
            nbformat.write(notebook, folder / "widget.ipynb")
            page.goto(f"{address}/doc/tree/widget.ipynb?token={token}")
            cell = page.locator(".jp-CodeCell")
            for _ in range(50):  # a run before the kernel is there is silently dropped
                cell.locator(".cm-content").click()
                page.keyboard.press("Control+Enter")
                page.wait_for_timeout(1000)
                if cell.locator(".jp-InputPrompt").inner_text() != "[ ]:":
                    return page
            pytest.fail("the kernel did not start")

        page.set_default_timeout(100_000)
        yield run


def test_tokenisation_stages_follow_the_typing(run_cell):
    page = run_cell(STAGES_CELL)
    box = page.locator(".jp-OutputArea input[type=text]")
    shown = page.locator(".jp-OutputArea .widget-html-content")
    box.wait_for()
    assert box.input_value() == "한국어"
    expect(shown).to_contain_text("##어")
    expect(shown).not_to_contain_text("##말")
    box.fill("")
    box.press_sequentially("한국말")
    expect(shown).to_contain_text("##말")
    expect(shown).not_to_contain_text("##어")
    box.fill("<b>한국</b><img src=x onerror=\"document.title='attacked'\">")
    expect(shown).to_contain_text("<b>한국</b><img src=x")  # the text itself, as it was typed
    assert shown.locator("img").count() == 0
    assert page.title() != "attacked"


RELATION_CELL = """\
from helpers.views.relation import RelationExplorer


def relations(sentence, subject, object):
    words = [sentence[first : last + 1] for first, last in (subject, object)]
    return {"/".join(words): 0.75, "no_relation": 0.25}


RelationExplorer(relations, "이순신은 조선의 무신이다.")"""


def test_entities_are_marked_with_the_mouse(run_cell):
    page = run_cell(RELATION_CELL)
    output = page.locator(".jp-OutputArea-output")
    letters = output.locator(".widget-box button.jupyter-button:not(.widget-toggle-button)")
    shown = output.locator(".widget-html-content")
    expect(letters).to_have_count(len("이순신은 조선의 무신이다."))
    letters.nth(0).click()
    letters.nth(2).click()  # 이순신, without its particle
    expect(shown).to_contain_text("주어(subject): 이순신")
    letters.nth(6).click()
    letters.nth(5).click()  # backwards is fine
    expect(shown).to_contain_text("목적어(object): 조선")
    expect(shown).to_contain_text("이순신/조선")
    expect(shown).to_contain_text("75.0%")
    output.locator(".widget-toggle-button", has_text="주어").click()
    letters.nth(9).click()
    letters.nth(10).click()
    expect(shown).to_contain_text("무신/조선")
    box = output.locator("input[type=text]")
    attack = "<b>가</b><img src=x onerror=\"document.title='attacked'\">"
    box.fill(attack)
    expect(letters).to_have_count(len(attack))
    letters.nth(0).click()
    letters.nth(7).click()
    letters.nth(8).click()
    letters.nth(len(attack) - 1).click()
    expect(shown).to_contain_text("<b>가</b>/<img src=x")  # the text itself, as it was typed
    assert shown.locator("img").count() == 0


def test_chat_window_answers_on_enter(run_cell):
    page = run_cell(CHAT_CELL)
    output = page.locator(".jp-OutputArea")
    box = output.locator("input[type=text]").first
    shown = output.locator(".widget-html-content").first
    box.wait_for()
    box.press_sequentially("이름이 뭐야?")
    box.press("Enter")
    expect(shown).to_contain_text("버티예요.")
    expect(shown).to_contain_text("1.000 · 이름이 뭐야?")
    expect(box).to_have_value("")
    box.press_sequentially("몇 살이니?")  # the box still has the focus, and Enter works again
    box.press("Enter")
    expect(shown).to_contain_text("나이가 없어요.")
    output.get_by_role("button", name="다른 답").click()
    expect(shown).not_to_contain_text("나이가 없어요.")
    assert shown.inner_text().count("버티예요.") == 2
    output.get_by_text("마지막 질문의 후보").click()
    expect(output.get_by_role("table")).to_contain_text("나이가 없어요.")
    attack = "<b>이름</b><img src=x onerror=\"document.title='attacked'\">"
    box.fill(attack)
    output.get_by_role("button", name="보내기").click()
    expect(shown).to_contain_text(attack)  # the text itself, as it was typed
    assert output.locator("img").count() == 0
    assert page.title() != "attacked"


def test_chat_window_asks_back_and_takes_an_offer_with_the_keyboard(run_cell):
    page = run_cell(CHAT_CELL)
    output = page.locator(".jp-OutputArea")
    box = output.locator("input[type=text]").first
    shown = output.locator(".widget-html-content").first
    box.press_sequentially("이름을 말해")  # between the two thresholds
    box.press("Enter")
    expect(shown).to_contain_text("혹시 이 질문인가요?")
    offers = output.locator("button:visible", has_text="?")
    expect(offers).to_have_text(["이름이 뭐야?", "몇 살이야?"])
    expect(output.get_by_role("button", name="<img src=x>")).to_be_visible()  # as text
    assert output.locator("img").count() == 0
    box.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(offers.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(shown).to_contain_text("나이가 없어요.")
    expect(shown).not_to_contain_text("혹시 이 질문인가요?")
    expect(offers).to_have_count(0)
    expect(box).to_be_focused()  # and one can go on typing


TASKS_CELL = """\
from helpers.views.tasks import TaskExplorer


def entities(text):
    start = text.find("세종")
    return [] if start < 0 else [(start, start + 2, "PS")]


def reading(question, text):
    start = text.find("훈민정음")
    return None if start < 0 else (start, start + 4)


TaskExplorer(
    lambda text: {"긍정": 0.75, "부정": 0.25},
    entities,
    reading,
    lambda one, other: 5.0 * len(set(one) & set(other)) / len(set(one) | set(other)),
    "세종은 훈민정음을 반포했다.",
    "무엇을 반포했는가?",
)"""


def test_four_tasks_answer_about_one_text(run_cell):
    page = run_cell(TASKS_CELL)
    output = page.locator(".jp-OutputArea-output")
    sentiment, entities, reading, similarity = (
        output.locator(".widget-html-content").nth(number) for number in range(4)
    )
    expect(sentiment).to_contain_text("75.0%")
    expect(entities.locator("mark")).to_have_text("세종 PS")
    expect(reading.locator("mark")).to_have_text("훈민정음")
    expect(similarity).to_contain_text("빈 칸을 채우면")
    question, other = (output.locator("input[type=text]").nth(number) for number in range(2))
    other.fill("세종은 훈민정음을 반포했다.")
    expect(similarity).to_contain_text("5.0")
    question.fill("")
    expect(reading).to_contain_text("빈 칸을 채우면")
    expect(entities.locator("mark")).to_have_text("세종 PS")
    attack = "<b>세종</b><img src=x onerror=\"document.title='attacked'\">"
    output.locator("textarea").fill(attack)
    expect(entities).to_contain_text("</b><img src=x")  # the text itself, as it was typed
    expect(entities.locator("mark")).to_have_text("세종 PS")
    question.fill(attack)
    expect(reading).to_contain_text("찾지 못했습니다")
    assert output.locator("img").count() == 0
    assert page.title() != "attacked"


def test_the_course_chatbot_answers_and_is_photographed_for_the_readme(run_cell, tmp_path):
    page = run_cell(REAL_CHAT_CELL)
    page.set_viewport_size({"width": 1000, "height": 900})
    output = page.locator(".jp-OutputArea")
    shown = output.locator(".widget-html-content").first
    box = output.locator("input[type=text]").first
    for query in ("이름 좀 알려 줄래?", "화성에는 언제 갈 수 있어?", "어디가 아파?"):
        box.press_sequentially(query)
        box.press("Enter")
        expect(shown).to_contain_text(query)
    expect(shown).to_contain_text("이름이 뭐야?")
    expect(shown).to_contain_text("잘 모르겠어요")
    expect(shown).to_contain_text("혹시 이 질문인가요?")
    output.get_by_text("마지막 질문의 후보").click()
    expect(output.get_by_role("table")).to_be_visible()
    page.add_style_tag(content=".Toastify { display: none }")  # JupyterLab's offer of its news
    page.wait_for_timeout(500)  # the list unfolds
    picture = Path(os.environ.get("COURSE_SCREENSHOT", tmp_path / "chat.png"))
    output.screenshot(path=picture)
    assert picture.stat().st_size > 10_000


def test_clicked_words_become_masks_with_bars(run_cell):
    page = run_cell(MASKS_CELL)
    output = page.locator(".jp-OutputArea")
    shown = output.locator(".widget-html-content")
    words = output.locator("button")
    expect(words).to_have_count(4)
    expect(shown).not_to_contain_text("75.0%")
    words.nth(1).click()
    expect(shown).to_contain_text("이순신은 [MASK] 중기의 무신이다.")
    expect(shown).to_contain_text("75.0%")
    expect(shown).to_contain_text("배운 모델")
    words.nth(3).click()
    expect(shown).to_contain_text("[MASK] 중기의 [MASK].")
    box = output.locator("input[type=text]")
    box.fill("서울은 <img src=x onerror=\"document.title='attacked'\"> 수도이다")
    expect(words).to_have_count(5)  # the new words are there: the old first one is no more
    words.first.click()
    expect(shown).to_contain_text("[MASK] <img src=x")
    assert output.locator("img").count() == 0
    assert page.title() != "attacked"
