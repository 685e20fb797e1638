"""A sentence whose words are buttons: a click hides a word, and bars show what models put there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from helpers.text import escape
from helpers.views.window import Window, bars, text_box

LIMIT = 200
MASK = "[MASK]"


class MaskExplorer(Window):
    """MaskExplorer({"모델": lambda text: [[("조선", 0.9)]]}, "이순신은 조선 중기의 무신이다.")

    models: name -> function that takes the text with its masks and gives, for every mask in order,
    (token, probability) pairs; the models stand side by side. An exception of a model is shown as
    its text. A mask may be typed, too. All text is escaped. Only the first LIMIT characters count.
    """

    def __init__(
        self,
        models: Mapping[str, Callable[[str], Sequence[Sequence[tuple[str, float]]]]],
        text: str = "",
    ):
        self._models = models
        self._typed = text_box(text)
        self._typed.value = self._typed.value[:LIMIT]
        self._words = widgets.Box(layout=widgets.Layout(flex_flow="row wrap"))
        self._shown = widgets.HTML()
        self._typed.observe(self._split, names="value")
        super().__init__([self._typed, self._words, self._shown])
        self._split()

    @property
    def text(self) -> str:
        """The sentence with its hidden words as masks; signs at a word's end stay visible."""
        words = []
        for button in self._words.children:
            word = button.description
            tail = word[len(word.rstrip(".,!?~…")) :]
            words.append(MASK + tail if button.value and MASK not in word else word)
        return " ".join(words)

    def _split(self, _change: Any = None) -> None:
        """Make one button a word; a word that stays where it was stays hidden or shown."""
        before = [(button.description, button.value) for button in self._words.children]
        buttons = []
        for place, word in enumerate(self._typed.value[:LIMIT].split()):
            hidden = MASK in word or (before[place : place + 1] == [(word, True)])
            button = widgets.ToggleButton(
                value=hidden, description=word, layout=widgets.Layout(width="auto")
            )
            button.observe(self._draw, names="value")
            buttons.append(button)
        self._words.children = buttons
        self._draw()

    def _draw(self, _change: Any = None) -> None:
        text = self.text
        if MASK not in text:
            self._shown.value = "낱말을 눌러 가리십시오."
            return
        columns = []
        for name, fill in self._models.items():
            try:
                body = "".join(
                    f"<p>{place}. {MASK}</p>{bars(pairs, 6)}"
                    for place, pairs in enumerate(fill(text), start=1)
                )
            except Exception as error:  # whatever a model says about the text is for its reader
                body = escape(str(error))
            columns.append(
                f'<div style="flex:1;margin-right:2em"><b>{escape(name)}</b>{body}</div>'
            )
        sentence = f'<div style="font-family:monospace">{escape(text)}</div>'
        self._shown.value = f'{sentence}<div style="display:flex">{"".join(columns)}</div>'
