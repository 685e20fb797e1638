"""What all widgets of the course have: a sentence for the reader whose kernel was restarted."""

from collections.abc import Sequence

import ipywidgets as widgets

# JupyterLab gives this class to widgets whose kernel is gone, and otherwise leaves them as they
# were: they take text and clicks, and do nothing.
RESTARTED = """\
<style>.course-restarted { display: none; color: #b91c1c }
.jupyter-widgets-disconnected .course-restarted { display: block }</style>
<div class="course-restarted">커널(kernel)이 다시 시작되어 이 창은 멈추었으니 위의 셀들과 이 셀을 \
다시 실행하십시오.</div>"""


class Window(widgets.VBox):
    """Window([widgets.Text(), widgets.HTML()]): widgets below each other, and below them the
    sentence.
    """

    def __init__(self, children: Sequence[widgets.Widget]):
        super().__init__([*children, widgets.HTMLMath(RESTARTED)])
