"""Tokens as coloured boxes."""

from collections.abc import Sequence

from helpers import CourseError
from helpers.text import escape

COLOURS = ("#dbeafe", "#fee2e2", "#dcfce7", "#fef9c3", "#f3e8ff", "#ffedd5")


class TokenView:
    """Coloured tokens in a notebook, plain text wherever HTML is not shown (GitHub, a terminal)."""

    def __init__(self, rows: Sequence[tuple[str, int | None, str | None]]):
        self.rows = rows  # token, number, mark

    def __repr__(self) -> str:
        return " ".join(
            token + ("" if number is None else f"/{number}") + ("" if mark is None else f"<{mark}>")
            for token, number, mark in self.rows
        )

    def _repr_html_(self) -> str:
        labels = list(dict.fromkeys(mark for *_, mark in self.rows if mark is not None))
        boxes = []
        for position, (token, number, mark) in enumerate(self.rows):
            place = position if mark is None else labels.index(mark)
            colour = "#f3f4f6" if labels and mark is None else COLOURS[place % len(COLOURS)]
            small = [escape(str(note)) for note in (number, mark) if note is not None]
            notes = "".join(f"<br><small>{note}</small>" for note in small)
            boxes.append(
                f'<span style="display:inline-block;margin:2px;padding:2px 6px;border-radius:4px;'
                f"background:{colour};color:#111827;text-align:center;font-family:monospace;"
                f'white-space:pre">{escape(token)}{notes}</span>'
            )
        return f'<div style="line-height:1.6">{"".join(boxes)}</div>'


def show_tokens(
    tokens: Sequence[str],
    ids: Sequence[int] | None = None,
    marks: Sequence[str | None] | None = None,
) -> TokenView:
    """show_tokens(["[CLS]", "한국"], ids=[2, 812], marks=[None, "A"]) -> coloured tokens.

    ids: one number a token, written below it. marks: one label (or None) a token; tokens with the
    same label get the same colour. All text is escaped. Raises CourseError if the lengths differ.
    """
    for name, values in (("ids", ids), ("marks", marks)):
        if values is not None and len(values) != len(tokens):
            raise CourseError(
                f"토큰은 {len(tokens)}개인데 {name}는 {len(values)}개입니다. 같은 수로 주십시오."
            )
    nothing = [None] * len(tokens)
    numbers = nothing if ids is None else map(int, ids)
    return TokenView(list(zip(tokens, numbers, nothing if marks is None else marks, strict=True)))
