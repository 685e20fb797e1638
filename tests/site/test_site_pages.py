"""Every page: links, layout, accessibility, search, and what it loads."""

import json
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from helpers import ROOT, colab
from helpers.notebooks import NOTEBOOKS

AXE = ROOT / "site" / "node_modules" / "axe-core" / "axe.min.js"
LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
DEMOS = ("wordpiece", "masks", "chat", "similarity", "time_machine")
KINDS = [
    "index.html",
    "teachers.html",
    "topics.html",
    "search.html",
    "cards/index.html",
    "cards/mini-bert-ko.html",
    "api/index.html",
    "api/helpers.views.masks.html",
    *(f"lessons/{lesson}.html" for lesson in LESSONS),
    *(f"demos/{demo}.html" for demo in DEMOS),
]


def pages_of(html: Path) -> dict[Path, BeautifulSoup]:
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(html.rglob("*.html"))
    }


@pytest.fixture(scope="module")
def pages(html):
    return pages_of(html)


def test_every_part_of_the_course_has_a_page(html):
    assert [name for name in KINDS if not (html / name).exists()] == []


def test_no_link_leads_nowhere(html, pages):
    anchors = {
        path: {tag.get("id") for tag in soup.find_all(id=True)}
        | {tag.get("name") for tag in soup.find_all("a", attrs={"name": True})}
        for path, soup in pages.items()
    }
    broken = []
    for path, soup in pages.items():
        for tag in soup.find_all(["a", "link", "script", "img"]):
            target = tag.get("href") or tag.get("src")
            if not target or urlsplit(target).scheme or target.startswith("#!"):
                continue
            file, _, anchor = target.partition("#")
            there = (path.parent / unquote(file.partition("?")[0])).resolve() if file else path
            if there.is_dir():
                there = there / "index.html"
            missing = not there.exists() or not there.is_relative_to(html)
            if missing or (anchor and there in anchors and unquote(anchor) not in anchors[there]):
                broken.append(f"{path.relative_to(html)}: {target}")
    assert broken == []


def test_no_docstring_was_misread_as_markup(pages):
    assert [path.name for path, soup in pages.items() if soup.select(".problematic")] == []


def test_nothing_is_loaded_from_another_host(pages):
    for path, soup in pages.items():
        for tag in soup.find_all(["script", "img", "iframe", "link", "source", "video"]):
            target = tag.get("src") or tag.get("href") or ""
            assert not urlsplit(target).netloc, f"{path.name}: {target}"


def test_links_to_the_repository_lead_to_files_that_exist(pages):
    repository = colab.project()["urls"]["Repository"]
    for path, soup in pages.items():
        for tag in soup.find_all("a", href=True):
            for kind in ("blob", "tree"):
                start = f"{repository}/{kind}/main/"
                if tag["href"].startswith(start):
                    target = ROOT / tag["href"].removeprefix(start)
                    assert target.exists(), f"{path.name}: {tag['href']}"


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_has_its_outputs_links_and_download(html, pages, lesson):
    soup = pages[html / "lessons" / f"{lesson}.html"]
    notebook = json.loads((NOTEBOOKS / f"{lesson}.ipynb").read_text(encoding="utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert len(soup.select(".cell_output img")) == pictures > 0
    assert all(image.get("alt") for image in soup.select(".cell_output img"))
    links = {
        " ".join(tag.get_text().split()): tag["href"] for tag in soup.select(".lesson-links a")
    }
    repository = urlsplit(colab.project()["urls"]["Repository"]).path
    opened = f"https://colab.research.google.com/github{repository}/blob/main/notebooks/"
    assert links["Colab에서 열기"] == f"{opened}{lesson}.ipynb"
    assert links["노트북 내려받기"].endswith(f"/{lesson}.ipynb")
    downloaded = (html / "lessons" / unquote(links["노트북 내려받기"])).read_bytes()
    assert downloaded == (NOTEBOOKS / f"{lesson}.ipynb").read_bytes()
    helpers = soup.select("details a[href*='api/helpers']")
    assert helpers, "no link to the helpers that the lesson imports"


def test_no_page_is_wider_than_its_window(html, open_page, address, pages):
    page = open_page("index.html")
    wide = []
    for path in pages:
        name = path.relative_to(html).as_posix()
        page.goto(address + name, wait_until="load")
        for width in (360, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            inner, outer = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            if inner > outer:
                wide.append(f"{name} at {width}: {inner}")
    assert wide == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", KINDS)
def test_axe_finds_no_serious_fault(open_page, name, dark):
    page = open_page(name, width=360 if dark else 1280, dark=dark)
    if name.startswith("demos/"):
        page.evaluate("window.demo")  # after the model is there
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]} ({len(fault['nodes'])})"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_the_theme_can_be_switched_by_hand(open_page):
    page = open_page("index.html")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.locator(".theme-toggle:visible").first.click()  # from the system's choice to the other
    assert page.evaluate(colour) != light


def test_the_first_page_is_under_a_megabyte(open_page):
    page = open_page("", wait="networkidle")
    kinds = "['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))"
    entries = page.evaluate(f"{kinds}.map((entry) => [entry.name, entry.encodedBodySize])")
    assert 10_000 < sum(size for _, size in entries) < 1_000_000
    assert not any("/models/" in name or "wasm" in name for name, _ in entries)


@pytest.mark.parametrize(
    ("asked", "inflected"),
    [
        ("무신", "무신이다"),
        ("토크나이저", "토크나이저를"),
        ("어텐션", "어텐션"),
        ("masked_accuracy", ""),
    ],
)
def test_search_finds_words_inside_inflected_ones(open_page, asked, inflected):
    page = open_page("index.html")
    box = page.locator("input.sidebar-search:visible")
    box.fill(asked)
    box.press("Enter")
    results = page.locator(".pagefind-ui__result")
    results.first.wait_for()
    text = " ".join(page.locator(".pagefind-ui__results").all_inner_texts())
    assert inflected in text
    link = results.first.locator("a").first
    link.click()
    page.wait_for_load_state()
    assert asked in page.locator("article").inner_text()


def test_search_without_a_result_says_so_and_shows_markup_as_text(open_page):
    page = open_page("search.html")
    box = page.locator("#search input")
    box.fill("<img src=x onerror=\"document.title='attacked'\">뷁쀍")
    message = page.locator(".pagefind-ui__message")
    message.wait_for()
    assert page.locator("#search img").count() == 0
    assert page.title() != "attacked"


def test_a_page_without_scripts_can_be_read(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}demos/masks.html")
    assert "JavaScript" in page.locator("[data-demo]").inner_text()
    page.goto(f"{address}lessons/{LESSONS[0]}.html")
    assert page.locator(".cell_output").count() > 20
    context.close()


def test_without_a_record_the_time_machine_hides_itself(tmp_path):
    import build
    import pages

    shutil.copytree(ROOT / "site" / "pages", tmp_path / "source")
    pages.write_api(tmp_path / "source" / "api")
    build.drop_page(tmp_path / "source", "time_machine")
    assert not (tmp_path / "source" / "demos" / "time_machine.md").exists()
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "source").rglob("*.md")]
    assert not any("demos/time_machine" in text or "타임머신" in text for text in texts)
    own_line = "\nhelpers.korean_pretraining.time_machine\n"  # in the API's contents
    assert any(own_line in text for text in texts)
    assert any("demos/masks" in text for text in texts)
