"""A slider over the moments of a training: what the model answered at each of them."""

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets

from helpers.text import escape
from helpers.views.window import Window, bars

BESIDE = 3  # prompts in a row


class MomentExplorer(Window):
    """MomentExplorer({"prompts": ["봄, [MASK]"], "moments": [{"step": 0, "minutes": 0,
    "answers": [[["여름", 0.9]]]}]})

    record: what `korean_pretraining.time_machine` writes; answers: for each prompt (piece,
    probability) pairs. All text is escaped.
    """

    def __init__(self, record: Mapping[str, Any]):
        self._prompts, self._moments = record["prompts"], record["moments"]
        names = [f"{moment['step']:,}스텝" for moment in self._moments]
        self._moment = widgets.SelectionSlider(
            options=[(name, number) for number, name in enumerate(names)],
            description="학습",
            layout=widgets.Layout(width="95%"),
        )
        self._shown = widgets.HTML()
        self._moment.observe(self._draw, names="value")
        super().__init__([self._moment, self._shown])
        self._draw()

    def _draw(self, _change: Any = None) -> None:
        answers = self._moments[self._moment.value]["answers"]
        boxes = "".join(
            f'<div style="min-width:18em"><b>{escape(prompt)}</b>{bars(pairs, 6)}</div>'
            for prompt, pairs in zip(self._prompts, answers, strict=True)
        )
        self._shown.value = (
            f'<div style="display:grid;grid-template-columns:repeat({BESIDE},auto);gap:1em">'
            f"{boxes}</div>"
        )
