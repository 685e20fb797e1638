"""Four tasks side by side on one text: sentiment, entities, an answer, a similarity."""

from collections.abc import Callable, Mapping, Sequence

import ipywidgets as widgets

from helpers import CourseError
from helpers.text import escape
from helpers.views.tokens import COLOURS
from helpers.views.window import Window, bar, bars, text_box

LIMIT = 1000  # characters
Span = tuple[int, int]


class TaskExplorer(Window):
    """TaskExplorer(lambda text: {"긍정": 0.9, "부정": 0.1}, entities,
    reading, similarity, "재미있다.")

    sentiment: text -> {label: probability}. entities: text -> [(first, end, type), ...], half-open.
    reading: question, text -> (first, end) of the answer, or None. similarity: two texts -> 0 to 5.
    All four are asked again as soon as a box changes; those that need an empty box are not. A
    CourseError is shown as its sentence. All text is escaped.
    """

    def __init__(
        self,
        sentiment: Callable[[str], Mapping[str, float]],
        entities: Callable[[str], Sequence[tuple[int, int, str]]],
        reading: Callable[[str, str], Span | None],
        similarity: Callable[[str, str], float],
        text: str = "",
        question: str = "",
        other: str = "",
    ):
        text = text_box(text, "글을 입력하십시오", widgets.Textarea)
        question = text_box(question, "글에 대한 질문")
        other = text_box(other, "견줄 다른 문장")

        def meter(score: float) -> str:
            return bar("0 ~ 5", score / 5, f"{score:.1f}", 8)

        self._parts = [  # title, function, the boxes it reads
            ("감성(sentiment)", lambda t: bars(sentiment(t).items(), 8), [text]),
            ("개체명(entities)", lambda t: _coloured(t, entities(t)), [text]),
            ("독해(reading)", lambda q, t: _answer(t, reading(q, t)), [question, text]),
            ("유사도(similarity)", lambda t, o: meter(similarity(t, o)), [text, other]),
        ]
        self._shown = [widgets.HTML() for _ in self._parts]
        for box in (text, question, other):
            box.observe(self._draw, names="value")
        super().__init__([text, question, other, *self._shown])
        self._draw()

    def _draw(self, change: dict | None = None) -> None:
        for (title, answer, boxes), shown in zip(self._parts, self._shown, strict=True):
            if change is None or change["owner"] in boxes:
                shown.value = (
                    f'<div style="margin:4px 0;line-height:1.8"><b>{title}</b>'
                    f"<div>{self._ask(answer, boxes)}</div></div>"
                )

    def _ask(self, answer: Callable[..., str], boxes: Sequence[widgets.Text]) -> str:
        texts = [box.value for box in boxes]
        if not all(text.strip() for text in texts):
            return "위의 빈 칸을 채우면 답이 나타납니다."
        if any(len(text) > LIMIT for text in texts):
            return f"한 칸에 {LIMIT:,}자까지 씁니다. 글을 줄이십시오."
        try:
            return answer(*texts)
        except CourseError as error:
            return escape(str(error))


def _marked(text: str, spans: Sequence[tuple[int, int, str]], colours: Mapping[str, str]) -> str:
    """The text with coloured spans and their names; spans in order and apart."""
    parts, place = [], 0
    for first, end, name in spans:
        label = f" <small>{escape(name)}</small>" if name else ""
        parts += [
            escape(text[place:first]),
            f'<mark style="background:{colours[name]};color:#111827;border-radius:3px;'
            f'padding:1px 3px">{escape(text[first:end])}{label}</mark>',
        ]
        place = end
    return f'<span style="white-space:pre-wrap">{"".join(parts)}{escape(text[place:])}</span>'


def _coloured(text: str, entities: Sequence[tuple[int, int, str]]) -> str:
    kinds = sorted({kind for _, _, kind in entities})
    colours = {kind: COLOURS[i % len(COLOURS)] for i, kind in enumerate(kinds)}
    nothing = "" if entities else "<div>찾은 개체명이 없습니다.</div>"
    return _marked(text, sorted(entities), colours) + nothing


def _answer(text: str, span: Span | None) -> str:
    if span is None:
        return "글에서 답을 찾지 못했습니다."
    return _marked(text, [(*span, "")], {"": COLOURS[3]})
