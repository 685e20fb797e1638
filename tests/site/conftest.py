"""The built site behind a server of its own, and a browser that complains about everything.

Not part of `make test`: these tests are collected only where this folder is named, as `make
test-all` does. COURSE_SITE_HTML=build/site/html tests a site that is already built.
"""

import os
import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from helpers import ROOT, CourseError

sys.path.insert(0, str(ROOT / "site"))
PREFIX = "/bert-course-ko/"  # GitHub Pages serves a project below its name
TIME_MACHINE = Path(__file__).with_name("time_machine.json")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
BROWSER = {"executable_path": CHROMIUM} if CHROMIUM else {"channel": "chrome"}
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]


def pytest_ignore_collect(collection_path, config):
    """`pytest tests` stays fast; `pytest tests/site` runs these tests."""
    named = any(
        Path(argument.split("::")[0]).resolve().is_relative_to(HERE) for argument in config.args
    )
    return None if named else True


HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def html(tmp_path_factory) -> Path:
    """The folder of the built site; its time machine shows a small record of the tests' own."""
    if built := os.environ.get("COURSE_SITE_HTML"):
        return Path(built).resolve()
    pytest.importorskip("sphinx", reason="the packages of .[site] are not installed")
    if not shutil.which("npm"):
        pytest.skip("no npm on this machine")
    from build import build, install_packages

    try:
        install_packages()
    except CourseError as error:  # no way to npm's registry; `make site` would fail on it
        pytest.skip(str(error))
    output = tmp_path_factory.mktemp("site")
    return build(output, TIME_MACHINE, work=ROOT / "build" / "site" / "work")


class Handler(SimpleHTTPRequestHandler):
    """Files below PREFIX, as a static host sends them."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript",
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def translate_path(self, path: str) -> str:
        if not path.startswith(PREFIX):
            return str(Path(self.directory) / "outside-of-the-site")
        return super().translate_path("/" + path.removeprefix(PREFIX))

    def log_message(self, *_arguments) -> None:
        pass


@pytest.fixture(scope="session")
def address(html) -> str:
    """Where the site is served: http://127.0.0.1:PORT/bert-course-ko/"""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
    server.shutdown()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium or Chrome; without one these tests are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    playwright.expect.set_options(timeout=60_000)
    with playwright.sync_playwright() as running:
        try:
            browser = running.chromium.launch(**BROWSER, args=QUIET)
        except playwright.Error as error:
            if CHROMIUM:
                raise
            pytest.skip(f"no Chromium or Chrome on this machine ({error.message.splitlines()[0]})")
        yield browser
        browser.close()


class Complaints(list):
    """What went wrong in a page: console errors, exceptions, failed and foreign requests."""

    def listen(self, page, address: str) -> None:
        page.on("console", lambda m: self.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on(
            "response", lambda r: self.append(f"{r.status} {r.url}") if r.status >= 400 else None
        )
        page.on(
            "request",
            lambda request: (
                self.append(f"foreign: {request.url}")
                if not request.url.startswith((address, "data:", "blob:"))
                else None
            ),
        )


@pytest.fixture
def open_page(browser, address):
    """open_page("demos/masks.html", width=360, dark=True) -> a page; it must not complain."""
    contexts, complaints = [], Complaints()

    def opened(path: str, width: int = 1280, dark: bool = False, wait: str = "load"):
        scheme = "dark" if dark else "light"
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, locale="ko-KR"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        complaints.listen(page, address)
        page.goto(address + path, wait_until=wait)
        return page

    opened.complaints = complaints
    yield opened
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def demo(open_page):
    """demo("masks") -> the page with its demo ready: models loaded."""

    def opened(name: str, **options):
        page = open_page(f"demos/{name}.html", **options)
        page.evaluate("window.demo.then(() => true)")
        return page

    opened.complaints = open_page.complaints
    return opened
