"""A sentence to type, two entities to mark with the mouse, and the relations as bars."""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from helpers import CourseError
from helpers.text import escape
from helpers.views.tokens import COLOURS
from helpers.views.window import Window, bars, text_box

LIMIT, TOP = 150, 5
ROLES = {"주어(subject)": COLOURS[0], "목적어(object)": COLOURS[1]}
HALF_DONE = "#9ca3af"  # the first letter is clicked, the last is still to come
Span = tuple[int, int]


class RelationExplorer(Window):
    """RelationExplorer(lambda sentence, subject, object: {"per:title": 0.9}, "이순신은 무신이다.")

    relations: sentence and two (first, last) characters -> {relation: probability}; called as soon
    as both entities are marked, and the TOP best are shown. An entity is marked by clicking its
    first and last letter, so that a particle can be left out. A CourseError is shown as its
    sentence. All text is escaped.
    """

    def __init__(
        self,
        relations: Callable[[str, Span, Span], Mapping[str, float]],
        text: str = "",
    ):
        self._relations = relations
        self._typed = text_box(text)
        self._role = widgets.ToggleButtons(options=list(ROLES))
        # One button a letter: plain widgets know no text selection, and these work everywhere.
        self._letters: list[widgets.Button] = []
        self._layout = widgets.Layout(width="auto", height="30px", margin="0", padding="0 2px")
        colours = {None: "transparent", "half": HALF_DONE, **ROLES}
        self._styles = {k: widgets.ButtonStyle(button_color=c) for k, c in colours.items()}
        self._sentence = widgets.Box(layout=widgets.Layout(flex_flow="row wrap"))
        self._shown = widgets.HTML()
        self._typed.observe(self._retype, names="value")
        self._role.observe(self._forget_half, names="value")
        super().__init__([self._typed, self._role, self._sentence, self._shown])
        self._retype()

    def mark(self, role: str, first: int, last: int) -> None:
        """mark("주어(subject)", 0, 2) does what two clicks do."""
        self._role.value = role
        self._click(first)
        self._click(last)

    def _retype(self, _change: Any = None) -> None:
        self._text = unicodedata.normalize("NFC", self._typed.value)[:LIMIT]
        self._spans: dict[str, Span] = {}
        self._half: int | None = None
        self._role.value = next(iter(ROLES))
        while len(self._letters) < len(self._text):
            button = widgets.Button(layout=self._layout, style=self._styles[None])
            button.on_click(lambda pressed: self._click(self._letters.index(pressed)))
            self._letters.append(button)
        letters = self._letters[: len(self._text)]
        for button, letter in zip(letters, self._text, strict=True):
            button.description = "\N{NO-BREAK SPACE}" if letter.isspace() else letter
        self._sentence.children = letters
        self._draw()

    def _forget_half(self, _change: Any = None) -> None:
        self._half = None
        self._draw()

    def _click(self, place: int) -> None:
        role = self._role.value
        if self._half is None:
            self._spans.pop(role, None)
            self._half = place
        else:
            self._spans[role] = min(self._half, place), max(self._half, place)
            self._half = None
            self._role.value = next((r for r in ROLES if r not in self._spans), role)
        self._draw()

    def _draw(self) -> None:
        for place, button in enumerate(self._sentence.children):
            inside = [r for r, (first, last) in self._spans.items() if first <= place <= last]
            state = "half" if place == self._half else inside[-1] if inside else None
            button.style = self._styles[state]
        self._shown.value = f"<div>{self._answer()}</div>"

    def _answer(self) -> str:
        lines = []
        if len(self._typed.value) > LIMIT:
            lines.append(f"앞의 {LIMIT}자만 봅니다. 문장을 줄이십시오.")
        for role in [role for role in ROLES if role in self._spans]:
            first, last = self._spans[role]
            lines.append(f"{role}: <b>{escape(self._text[first : last + 1])}</b>")
        if self._half is not None:
            lines.append(f"{self._role.value}의 마지막 글자를 누르십시오(한 글자면 같은 글자).")
        elif len(self._spans) < len(ROLES):
            lines.append(f"{self._role.value}의 첫 글자를 누르십시오.")
        else:
            try:
                relations = self._relations(self._text, *(self._spans[role] for role in ROLES))
                best = sorted(relations.items(), key=lambda item: -item[1])[:TOP]
                lines.append(bars(best, 15))
            except CourseError as error:
                lines.append(escape(str(error)))
        return "".join(f"<div>{line}</div>" for line in lines)
