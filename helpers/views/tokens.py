"""Tokens as coloured boxes."""

from collections.abc import Mapping, Sequence

from helpers.text import escape

COLOURS = ("#dbeafe", "#fee2e2", "#dcfce7", "#fef9c3", "#f3e8ff", "#ffedd5")


class TokenView:
    """Coloured tokens in a notebook, plain text wherever HTML is not shown (GitHub, a terminal)."""

    def __init__(self, tokens: Sequence[str], ids: Sequence[int] | None, marks: Mapping[int, str]):
        self.tokens, self.ids, self.marks = list(tokens), ids, marks

    def __repr__(self) -> str:
        words = []
        for position, token in enumerate(self.tokens):
            number = "" if self.ids is None else f"/{int(self.ids[position])}"
            mark = f"<{self.marks[position]}>" if position in self.marks else ""
            words.append(f"{token}{number}{mark}")
        return " ".join(words)

    def _repr_html_(self) -> str:
        labels = list(dict.fromkeys(self.marks.values()))
        boxes = []
        for position, token in enumerate(self.tokens):
            mark = self.marks.get(position)
            if labels:
                colour = "#f3f4f6" if mark is None else COLOURS[labels.index(mark) % len(COLOURS)]
            else:
                colour = COLOURS[position % len(COLOURS)]
            small = [] if self.ids is None else [str(int(self.ids[position]))]
            small += [] if mark is None else [str(mark)]
            notes = "".join(f"<br><small>{escape(note)}</small>" for note in small)
            boxes.append(
                f'<span style="display:inline-block;margin:2px;padding:2px 6px;border-radius:4px;'
                f"background:{colour};color:#111827;text-align:center;font-family:monospace;"
                f'white-space:pre">{escape(token)}{notes}</span>'
            )
        return f'<div style="line-height:1.6">{"".join(boxes)}</div>'


def show_tokens(
    tokens: Sequence[str],
    ids: Sequence[int] | None = None,
    marks: Mapping[int, str] | Sequence[str | None] | None = None,
) -> TokenView:
    """show_tokens(["[CLS]", "한국", "##어"], ids=[2, 812, 95], marks={1: "A"}) -> coloured tokens.

    ids: one number a token, written below it. marks: position -> label, or one label (or None) a
    token; tokens with the same label get the same colour. All text is escaped.
    Raises ValueError if the lengths differ.
    """
    if ids is not None and len(ids) != len(tokens):
        raise ValueError(f"토큰은 {len(tokens)}개인데 ids는 {len(ids)}개입니다.")
    if marks is not None and not isinstance(marks, Mapping):
        if len(marks) != len(tokens):
            raise ValueError(f"토큰은 {len(tokens)}개인데 marks는 {len(marks)}개입니다.")
        marks = {position: mark for position, mark in enumerate(marks) if mark is not None}
    return TokenView(tokens, ids, marks or {})
