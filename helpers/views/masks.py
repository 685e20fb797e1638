"""A sentence whose words are buttons: a click hides a word, and bars show what models put there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from helpers.text import escape
from helpers.views.tokens import COLOURS
from helpers.views.window import Window, text_box

LIMIT = 200


class MaskExplorer(Window):
    """MaskExplorer({"모델": lambda text: [[("조선", 0.9)]]}, "이순신은 조선 중기의 무신이다.")

    models: name -> function that takes the text with its masks and gives, for every mask in order,
    (token, probability) pairs; the models stand side by side. An exception of a model is shown as
    its text. mask: what stands in the text for a hidden word; it may be typed, too. All text is
    escaped. Only the first LIMIT characters count.
    """

    def __init__(
        self,
        models: Mapping[str, Callable[[str], Sequence[Sequence[tuple[str, float]]]]],
        text: str = "",
        mask: str = "[MASK]",
    ):
        self._models, self._mask = models, mask
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
            words.append(self._mask + tail if button.value and self._mask not in word else word)
        return " ".join(words)

    def _split(self, _change: Any = None) -> None:
        """Make one button a word; a word that stays where it was stays hidden or shown."""
        before = [(button.description, button.value) for button in self._words.children]
        buttons = []
        for place, word in enumerate(self._typed.value[:LIMIT].split()):
            hidden = self._mask in word or (before[place : place + 1] == [(word, True)])
            button = widgets.ToggleButton(
                value=hidden, description=word, layout=widgets.Layout(width="auto")
            )
            button.observe(self._draw, names="value")
            buttons.append(button)
        self._words.children = buttons
        self._draw()

    def _draw(self, _change: Any = None) -> None:
        text = self.text
        if self._mask not in text:
            self._shown.value = "낱말을 눌러 가리십시오."
            return
        columns = []
        for number, (name, fill) in enumerate(self._models.items()):
            try:
                body = "".join(
                    f"<p>{place}. "
                    f"{escape(self._mask)}</p>{bars(masks, COLOURS[number % len(COLOURS)])}"
                    for place, masks in enumerate(fill(text), start=1)
                )
            except Exception as error:  # whatever a model says about the text is for its reader
                body = escape(str(error))
            columns.append(
                f'<div style="flex:1;margin-right:2em"><b>{escape(name)}</b>{body}</div>'
            )
        sentence = f'<div style="font-family:monospace">{escape(text)}</div>'
        self._shown.value = f'{sentence}<div style="display:flex">{"".join(columns)}</div>'


def bars(pairs: Sequence[tuple[str, float]], colour: str) -> str:
    """bars([("조선", 0.9)], "#dbeafe") -> HTML: one row a token, as long as its probability."""
    rows = [
        f'<div style="display:flex"><span style="width:6em">{escape(token)}</span>'
        f'<span style="width:9em"><span style="display:inline-block;background:{colour};'
        f'border:1px solid #9ca3af;width:{max(1, round(100 * probability))}%">&nbsp;</span></span>'
        f"<span>{probability:.1%}</span></div>"
        for token, probability in pairs
    ]
    return "".join(rows)
