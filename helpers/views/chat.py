"""A chat window: a box to type in, the conversation above it, and why each answer was chosen."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ipywidgets as widgets

from helpers.text import escape
from helpers.views.window import Window

LIMIT = 300  # characters of a message that are shown
TURNS = 50  # messages that are kept
SETTLE = 0.2  # seconds
BUBBLE = "max-width:80%;margin:4px 8px;padding:6px 10px;border-radius:10px;color:#111827;"


class Candidate(NamedTuple):
    """A possible answer, the stored question it belongs to, and its score."""

    question: str
    answer: str
    score: float


class ChatWindow(Window):
    """ChatWindow(lambda query: [("이름이 뭐야?", "버티예요.", 0.9), ...], threshold=0.6)

    search: query -> candidates (question, answer, score, ...), best first. Below the threshold of
    the slider the reply is `unknown`; moving the slider judges the whole conversation anew. '다른
    답' answers the last query with the next candidate, after `unknown` with the first. All text is
    escaped.
    """

    def __init__(
        self,
        search: Callable[[str], Sequence[tuple]],
        threshold: float = 0.5,
        unknown: str = "잘 모르겠습니다. 다른 말로 다시 물어봐 주십시오.",
    ):
        self._search, self._unknown = search, unknown
        self.turns: list[tuple[str, list[Candidate], int]] = []  # query, candidates, retries
        self._shown = widgets.HTML()
        self._typed = widgets.Text(
            placeholder="질문을 쓰고 Enter를 누르십시오", layout=widgets.Layout(flex="1 1 auto")
        )
        self._send = widgets.Button(description="보내기", button_style="primary")
        self._retry = widgets.Button(description="다른 답(retry)", disabled=True)
        self._threshold = widgets.FloatSlider(
            value=threshold,
            min=0,
            max=1,
            step=0.01,
            description="문턱값(threshold)",
            style={"description_width": "initial"},
            layout=widgets.Layout(width="340px"),
        )
        self._table = widgets.HTML()
        self._candidates = widgets.Accordion([self._table], selected_index=None)
        self._candidates.set_title(0, "마지막 질문의 후보")
        self._typed.on_msg(self._entered)
        self._send.on_click(lambda _button: self.send(self._typed.value))
        self._retry.on_click(lambda _button: self.retry())
        self._threshold.observe(self._draw, names="value")
        row = widgets.HBox([self._typed, self._send, self._retry])
        super().__init__([self._shown, row, self._threshold, self._candidates])
        self._draw()

    def _entered(self, _widget: Any, content: dict, _buffers: Any) -> None:
        """Send when Enter was pressed (`on_submit`, which does the same, is deprecated).

        The browser reports Enter at once but the last keys a moment later, so wait for them.
        """
        if content.get("event") == "submit":
            asyncio.get_running_loop().call_later(SETTLE, lambda: self.send(self._typed.value))

    def send(self, query: str) -> None:
        """Ask, show the reply and empty the box; blank text is ignored."""
        query = query.strip()
        if not query:
            return
        self._typed.value = ""
        candidates = [Candidate(*found[:3]) for found in self._search(query)]
        self.turns = [*self.turns, (query, candidates, 0)][-TURNS:]
        self._draw()

    def retry(self) -> None:
        """Answer the last query with the next candidate, after the last with the first again."""
        if self.turns:
            query, candidates, retries = self.turns[-1]
            self.turns[-1] = (query, candidates, retries + 1)
            self._draw()

    def reply(self, candidates: Sequence[Candidate], retries: int) -> tuple[str, str]:
        """The answer of a turn, and in one line where it comes from."""
        if not candidates:
            return self._unknown, "후보가 없습니다"
        # One who asks for another answer has seen the score and wants the answer all the same.
        known = candidates[0].score >= self._threshold.value
        best = candidates[max(0, retries - (not known)) % len(candidates)]
        source = f"{best.score:.3f} · {best.question}"
        if known or retries:
            return best.answer, source
        return self._unknown, f"가장 가까운 질문: {source}"

    def _draw(self, _change: Any = None) -> None:
        boxes = []
        for query, candidates, retries in self.turns:
            answer, source = self.reply(candidates, retries)
            boxes.append(
                f'<div style="{BUBBLE}align-self:flex-end;background:#dbeafe">{clip(query)}</div>'
                f'<div style="{BUBBLE}align-self:flex-start;background:#f3f4f6">{clip(answer)}'
                f'<br><small style="color:#6b7280">{clip(source)}</small></div>'
            )
        # Columns in reverse keep the newest message in sight.
        self._shown.value = (
            '<div style="height:320px;overflow-y:auto;display:flex;flex-direction:column-reverse;'
            'border:1px solid #d1d5db;border-radius:6px"><div style="display:flex;'
            f'flex-direction:column;line-height:1.5">{"".join(boxes)}</div></div>'
        )
        candidates = self.turns[-1][1] if self.turns else []
        self._retry.disabled = not candidates
        rows = "".join(
            f"<tr><td>{number}</td><td>{candidate.score:.3f}</td>"
            f'<td style="padding:0 12px">{clip(candidate.question)}</td>'
            f"<td>{clip(candidate.answer)}</td></tr>"
            for number, candidate in enumerate(candidates, start=1)
        )
        self._table.value = f"<table>{rows}</table>" if rows else "아직 질문이 없습니다."

    def __repr__(self) -> str:
        return "대화창은 노트북을 JupyterLab이나 Colab에서 실행하면 나타납니다."


def clip(text: str) -> str:
    """Escape a text for HTML, cut to LIMIT characters."""
    return escape(text if len(text) <= LIMIT else text[: LIMIT - 1] + "…")
