"""Sphinx settings; `site/build.py` lays out the pages and calls Sphinx."""

import re

project = "한국어로 배우는 BERT"
author = "bert-course-ko"
copyright = "bert-course-ko. 글과 그림 CC BY 4.0, 코드 MIT"
language = "ko"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.viewcode"]
exclude_patterns = ["lessons/downloads"]
default_role = "py:obj"  # `name` in a docstring links to what it names, if that has a page
suppress_warnings = [
    "mystnb.unknown_mime_type",  # the headline's own type; its text is shown
    "docutils",  # a sign in a docstring must not stop the site; tests/site finds it on the page
]

nb_execution_mode = "off"  # lessons are committed with their outputs
nb_ipywidgets_js: dict = {}  # widgets need a kernel; the pages under demos/ do not
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
mathjax_path = "vendor/mathjax/tex-svg.js"

autodoc_docstring_signature = False  # our first lines are examples
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = project
html_language = "ko"
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
html_css_files = ["course.css"]
html_js_files = [("course.js", {"type": "module"})]
html_copy_source = False
html_show_sphinx = False
html_permalinks_icon = "#"
templates_path = ["_templates"]
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def escape_docstring(app, what, name, obj, options, lines: list[str]) -> None:
    """Read our plain docstrings as they are meant: examples stay code, signs are no markup.

    The first line is an example where it has an arrow or a call; `*`, `|` and trailing `_` are
    text.
    """
    text = "\n".join(lines)
    first = text.partition("\n")[0]
    if re.search(r" -> |^\w+\(", first) or re.match(r"[\"\[({]", first):
        example, _, explanation = text.partition("\n\n")
        block = [f"   {line}" for line in example.split("\n")]
        lines[:] = ["::", "", *block, "", *escape(explanation).split("\n")]
    else:
        lines[:] = escape(text).split("\n")


def escape(text: str) -> str:
    """Escape reST's inline signs outside of backticks and of doctest blocks."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        if paragraph.lstrip().startswith(">>>"):
            paragraphs.append(paragraph)
        elif re.search(r"^\s{2,}\S", paragraph, re.MULTILINE):  # laid out by hand: keep it so
            literal = "\n".join(f"   {line}" for line in paragraph.split("\n"))
            paragraphs.append(f"::\n\n{literal}")
        else:
            parts = re.split(r"(`[^`\n]+`)", paragraph)
            paragraphs.append(
                "".join(
                    part if part.startswith("`") else re.sub(r"([*|_\\])", r"\\\1", part)
                    for part in parts
                )
            )
    return "\n\n".join(paragraphs)


def skip_foreign(app, what, name, obj, skip, options) -> bool | None:
    """Leave out members that only name a class of another package."""
    if isinstance(obj, type) and not obj.__module__.startswith("helpers"):
        return True
    return None


def setup(app) -> None:
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("autodoc-process-docstring", escape_docstring)
