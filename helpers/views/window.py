"""What the widgets share: a sentence where no kernel answers, a box to type in, a bar."""

from collections.abc import Iterable, Sequence
from typing import Any

import ipywidgets as widgets

from helpers.text import check_text, escape

# JupyterLab gives this class to widgets whose kernel is gone, and otherwise leaves them as they
# were: they take text and clicks, and do nothing.
RESTARTED = """\
<style>.course-restarted { display: none; color: #b91c1c }
.jupyter-widgets-disconnected .course-restarted { display: block }</style>
<div class="course-restarted">커널(kernel)이 다시 시작되어 이 창은 멈추었으니 위의 셀들과 이 셀을 \
다시 실행하십시오.</div>"""


class Window(widgets.VBox):
    """Window([widgets.Text(), widgets.HTML()]): widgets below each other, then the sentence."""

    def __init__(self, children: Sequence[widgets.Widget]):
        super().__init__([*children, widgets.HTMLMath(RESTARTED)])

    def __repr__(self) -> str:
        return "이 창은 노트북을 JupyterLab이나 Colab에서 실행하면 나타납니다."


def text_box(text: str, placeholder: str = "문장을 입력하십시오", kind=widgets.Text) -> Any:
    """text_box("한국어 문장"): a box as wide as the page; kind: `Text` or `Textarea`."""
    layout = widgets.Layout(width="95%")
    return kind(value=check_text(text), placeholder=placeholder, layout=layout)


def bar(name: str, share: float, number: str, width: int) -> str:
    """bar("긍정", 0.9, "90 %", 8) -> HTML: the name, `width` em wide, a bar and the number."""
    length = 9 * min(1, max(0, share))
    return (
        f'<div><span style="display:inline-block;width:{width}em">{escape(name)}</span>'
        f'<span style="display:inline-block;height:0.8em;background:#60a5fa;width:{length:.2f}em">'
        f"</span> {number}</div>"
    )


def bars(shares: Iterable[tuple[str, float]], width: int) -> str:
    """bars([("긍정", 0.9)], 8) -> HTML: a bar a name, with its percentage."""
    return "".join(bar(name, share, f"{share:.1%}", width) for name, share in shares)
