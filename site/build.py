"""Build the static site: `make site`, or `python site/build.py --output build/site`.

1. npm packages (pinned by package-lock.json, no install script run)   -> site/node_modules/
2. models as ONNX and the demos' data, from data/                      -> OUTPUT/static/
3. pages: lessons, cards, API and what is written in site/pages/       -> OUTPUT/source/
4. Sphinx                                                              -> OUTPUT/html/
5. the search index (pagefind)                                         -> OUTPUT/html/pagefind/
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers import ROOT, CourseError

SITE = ROOT / "site"
MODULES = SITE / "node_modules"
TRANSFORMERS = "@huggingface/transformers/dist/transformers.min.js"
VENDOR = {  # what the pages load, and nothing else of the packages
    "transformers.min.js": TRANSFORMERS,
    "tokenizers.min.mjs": "@huggingface/tokenizers/dist/tokenizers.min.mjs",
    "ort-wasm-simd-threaded.mjs": "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm": "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
    "mathjax/tex-svg.js": "mathjax/es5/tex-svg.js",
}
UNUSED = ("searchindex.js", "objects.inv")  # Sphinx's own search does not know Korean
ENGLISH = ("teachers", "api/helpers", "cards/")  # for screen readers; all other pages are Korean
UNSEARCHED = ("_modules/", "genindex", "py-modindex", "search")  # code and lists


def main() -> None:
    parser = argparse.ArgumentParser(description="강의의 정적 사이트를 만듭니다.")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "site")
    parser.add_argument("--time-machine", type=Path, help="다른 기록 파일로 타임머신을 만듭니다.")
    arguments = parser.parse_args()
    try:
        build(arguments.output.resolve(), arguments.time_machine)
    except CourseError as error:
        sys.exit(f"오류: {error}")


def build(output: Path, time_machine: Path | None = None, work: Path | None = None) -> Path:
    """Build everything below `output`; return the folder to publish.

    work: where models are kept between builds, `output`/work if it is not said.
    """
    install_packages()
    static, source, html = (output / name for name in ("static", "source", "html"))
    for folder in (static, source, html):
        shutil.rmtree(folder, ignore_errors=True)
    from demos import TIME_MACHINE, write_demos
    from helpers.course import be_quiet
    from pages import write_api, write_cards, write_index, write_lessons

    be_quiet("local")
    print("모델과 데모의 데이터를 만듭니다.", flush=True)
    has_time_machine = write_demos(static, work or output / "work", time_machine or TIME_MACHINE)
    for name, path in VENDOR.items():
        (static / "vendor" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(MODULES / path, static / "vendor" / name)
    print("쪽을 만듭니다.", flush=True)
    shutil.copytree(SITE / "pages", source)
    shutil.copytree(SITE / "static", source / "_static")
    shutil.copytree(static, source / "_static", dirs_exist_ok=True)
    shutil.copytree(SITE / "templates", source / "_templates")
    shutil.copy(SITE / "conf.py", source / "conf.py")
    write_lessons(source / "lessons")
    write_index(source / "index.md")
    write_cards(source / "cards")
    write_api(source / "api")
    if not has_time_machine:
        drop_page(source, "time_machine")
    run(sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", source, html)
    finish(html)
    print("찾기 색인(pagefind)을 만듭니다.", flush=True)
    options = ["--force-language", "ko", "--exclude-selectors", ".headerlink", "--quiet"]
    run("node", MODULES / "pagefind/lib/runner/bin.cjs", "--site", html, *options)
    print(f"{html}/index.html")
    return html


def finish(html: Path) -> None:
    """What Sphinx leaves undone: headings without a level, and which pages the search knows."""
    for path in html.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        text = text.replace('role="heading">', 'role="heading" aria-level="2">')
        name = path.relative_to(html).as_posix()
        if not name.startswith(UNSEARCHED):
            text = text.replace("<article ", "<article data-pagefind-body ", 1)
        if name.startswith(ENGLISH) and not name.endswith("index.html"):
            text = text.replace("<article ", '<article lang="en" ', 1)
        path.write_text(text, encoding="utf-8")
    for name in UNUSED:
        (html / name).unlink(missing_ok=True)
    (html / ".nojekyll").touch()  # GitHub Pages would leave out folders that begin with _


def install_packages() -> None:
    """`npm ci`, unless the packages of this lock file are there."""
    lock, installed = SITE / "package-lock.json", MODULES / ".installed"
    if installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    npm = shutil.which("npm")  # on Windows npm.cmd
    if not npm:
        raise CourseError("npm이 없습니다. Node.js 20 이상을 설치한 뒤 다시 실행하십시오.")
    run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=SITE)
    shutil.copy(lock, installed)


def drop_page(source: Path, name: str) -> None:
    """Remove a demo's page and every line that leads to it."""
    (source / "demos" / f"{name}.md").unlink()
    for page in source.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        if f"demos/{name}" in text:
            kept = [line for line in text.split("\n") if f"demos/{name}" not in line]
            page.write_text("\n".join(kept), encoding="utf-8")


def run(*command, cwd: Path = ROOT) -> None:
    """Run a command; where it fails, so does the build."""
    command = [str(part) for part in command]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    if subprocess.run(command, cwd=cwd, env=environment).returncode:
        raise CourseError(f"`{' '.join(command[:4])}`이(가) 실패했습니다. 위의 출력을 보십시오.")


if __name__ == "__main__":
    main()
