"""The pages that are made from what the repository holds: lessons, cards, the API."""

import ast
import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import nbformat

from helpers import ROOT, colab
from helpers.notebooks import NOTEBOOKS, headline

ADDRESS = colab.project()["urls"]["Repository"]
CARDS = [
    *sorted((ROOT / "data").glob("*/README.md")),
    *sorted((ROOT / "data").glob("*/*/README.md")),
]
HELPERS = ROOT / "helpers"


# --- lessons -------------------------------------------------------------------------------------


def write_lessons(folder: Path) -> list[Path]:
    """Copy every notebook with its stored outputs, a line of links below its title."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    for path in paths:
        (folder / "downloads").mkdir(exist_ok=True)
        shutil.copy(path, folder / "downloads" / path.name)  # as it lies, for the reader
        notebook = lesson(path)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = relink(cell.source, path, folder)
        nbformat.write(notebook, folder / path.name)
    return paths


def lesson(path: Path) -> nbformat.NotebookNode:
    """A notebook as a page: links below its title, every picture named,
    nothing for Colab or tests.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not is_colab_cell(cell)]
    first = notebook.cells[0]
    title, _, rest = first.source.partition("\n")
    first.source = f"{title}\n\n{links(path, notebook)}\n{rest}"
    heading = title.lstrip("# ")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE) or [heading])[-1]
            continue
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            # what a screen reader says instead of the picture
            cell.metadata["mystnb"] = {"image": {"alt": f"‘{plain(heading)}’의 그림"}}
    return notebook


def write_index(index: Path) -> None:
    """Put the lessons, each with the headline
    that it printed when it was executed, into the index.
    """
    rows = ["| 수업 | 대표 결과 (프로필 `local`) |", "|---|---|"]
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        title = notebook.cells[0].source.partition("\n")[0].lstrip("# ")
        rows.append(f"| [{title}](lessons/{path.name}) | {headline(notebook).replace('|', '/')} |")
    text = index.read_text(encoding="utf-8")
    index.write_text(text.replace("<!-- lessons -->", "\n".join(rows)), encoding="utf-8")


def is_colab_cell(cell: nbformat.NotebookNode) -> bool:
    return cell.cell_type == "code" and cell.source == colab.colab_cell()


def links(path: Path, notebook: nbformat.NotebookNode) -> str:
    """Markdown: Colab, the file itself, its source, and the helpers that the lesson imports."""
    repository = urlsplit(ADDRESS).path
    opened = f"https://colab.research.google.com/github{repository}/blob/main/notebooks/{path.name}"
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    roles = ", ".join(f"{{py:obj}}`{name.split('.')[-1]} <{name}>`" for name in helpers_of(code))
    return (
        f"::::{{container}} lesson-links\n[Colab에서 열기]({opened})\n"
        f"{{download}}`노트북 내려받기 <downloads/{path.name}>`\n"
        f"[GitHub에서 보기]({ADDRESS}/blob/main/notebooks/{path.name})\n::::\n\n"
        f"<details><summary>이 수업이 쓰는 helpers</summary>\n\n{roles}\n\n</details>\n"
    )


def helpers_of(code: str) -> list[str]:
    """helpers_of("from helpers.course import start")
    -> ["helpers.course.start"], in their order.
    """
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "helpers":
            found += [f"{node.module}.{name.name}" for name in node.names]
    return list(dict.fromkeys(found))


def plain(markdown: str) -> str:
    return re.sub(r"[`*$\\]", "", markdown)


# --- cards ---------------------------------------------------------------------------------------


def write_cards(folder: Path) -> None:
    """Copy the cards of models and data sets; a link leads to a card,
    to a picture, or to the source.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for card in CARDS:
        text = card.read_text(encoding="utf-8")
        text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)  # the hub's settings
        text = relink(text, card, folder)
        (folder / f"{card.parent.name}.md").write_text(text, encoding="utf-8")
    names = "\n".join(card.parent.name for card in CARDS)
    (folder / "index.md").write_text(
        f"{CARDS_HEAD}\n```{{toctree}}\n{names}\n```\n", encoding="utf-8"
    )


CARDS_HEAD = """\
# 모델과 데이터의 카드

카드(card)에는 무엇으로 어떻게 만들었는지, 얼마나 잘하는지, 무엇을 못하는지,
어떤 조건으로 쓸 수 있는지가 적혀 있습니다.
저장소의 `data/`에 있는 파일 그대로입니다.
"""


def relink(text: str, source: Path, folder: Path) -> str:
    """Lead the relative links of a file of the repository to where they go on the site."""

    def link(match: re.Match) -> str:
        return f"]({new_target(match[1], source, folder)})"

    return re.sub(r"\]\((?!https?:|#|mailto:)([^)\s]+)\)", link, text)


def new_target(target: str, source: Path, folder: Path) -> str:
    """A card, a lesson, a copied picture, or the source;
    what does not exist stays and fails there.
    """
    path = Path(os.path.normpath(source.parent / target.split("#")[0]))
    if path in CARDS:
        return f"../cards/{path.parent.name}.md"
    if path.parent == NOTEBOOKS and path.suffix == ".ipynb":
        return f"../lessons/{path.name}"
    if not path.exists() or not path.is_relative_to(ROOT):
        return target
    if path.suffix == ".png":
        copy = f"{source.parent.name}-{path.name}"
        shutil.copy(path, folder / copy)
        return copy
    kind = "tree" if path.is_dir() else "blob"
    return f"{ADDRESS}/{kind}/main/{path.relative_to(ROOT).as_posix()}"


# --- API -----------------------------------------------------------------------------------------

API_HEAD = """\
# API: `helpers`

수업이 부르는 함수와 클래스를 코드의 설명문(docstring)에서 옮겼습니다.
설명문은 영어이고 보기로 시작합니다.
함수의 코드는 노트북에서 `이름??`으로 볼 수 있습니다.
"""


def write_api(folder: Path) -> None:
    """A page for every module below helpers/ whose docstring is not empty."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = {}
    for path in sorted(HELPERS.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if parts[-1] != "__main__":
            modules[name] = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    rows = []
    for name, docstring in modules.items():
        title = f"``{name}``"
        page = f"{title}\n{'=' * len(title)}\n\n.. automodule:: {name}\n   :members:\n"
        (folder / f"{name}.rst").write_text(page, encoding="utf-8")
        summary = docstring.split("\n")[0].replace("|", "\\|")
        rows.append(f"| [`{name}`]({name}.rst) | {summary} |")
    table = "\n".join(["| 모듈 | 하는 일 |", "|---|---|", *rows])
    tree = "```{toctree}\n:hidden:\n" + "\n".join(modules) + "\n```"
    (folder / "index.md").write_text(f"{API_HEAD}\n{table}\n\n{tree}\n", encoding="utf-8")
