"""A box to type in, and below it what each stage makes of the text."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from helpers.text import escape
from helpers.views.tokens import show_tokens
from helpers.views.window import Window, text_box

LIMIT = 300


class StageExplorer(Window):
    """StageExplorer(lambda text: {"낱말": {"tokens": text.split()}}, "한국어 문장")

    stages: text -> {name: arguments of `show_tokens`}; called again at every key. Names and tokens
    are escaped. Only the first LIMIT characters are shown, and a line says so.
    """

    def __init__(self, stages: Callable[[str], Mapping[str, Mapping[str, Any]]], text: str = ""):
        self._stages = stages
        self._typed = text_box(text)
        self._shown = widgets.HTML()
        self._typed.observe(self._draw, names="value")
        super().__init__([self._typed, self._shown])
        self._draw()

    def _draw(self, _change: Any = None) -> None:
        text = self._typed.value
        rows = [
            f"<b>{escape(name)}</b>{show_tokens(**stage)._repr_html_()}"
            for name, stage in self._stages(text[:LIMIT]).items()
        ]
        if len(text) > LIMIT:
            rows.insert(0, f"앞의 {LIMIT}자만 보여 줍니다. 문장을 줄이십시오.")
        self._shown.value = "".join(f"<div>{row}</div>" for row in rows)
