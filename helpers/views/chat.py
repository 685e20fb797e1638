"""A chat window: a box to type in, the conversation above it, and why each answer was chosen."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ipywidgets as widgets

from helpers.text import cut, escape
from helpers.views.window import Window

LIMIT = 300  # characters of a message that are shown
TURNS = 50  # messages that are kept
OFFERED = 3  # questions that are offered where the window asks back
ON_BUTTON = 60  # characters of a question on its button
ANSWER, ASK, UNKNOWN = "answer", "ask", "unknown"
SAYS = {ASK: "혹시 이 질문인가요?", UNKNOWN: "잘 모르겠어요. 다르게 물어봐 주시겠어요?"}
SETTLE = 0.2  # seconds
BUBBLE = "max-width:80%;margin:4px 8px;padding:6px 10px;border-radius:10px;color:#111827;"


class Candidate(NamedTuple):
    """A possible answer, the stored question it belongs to, and its score."""

    question: str
    answer: str
    score: float


class ChatWindow(Window):
    """ChatWindow(lambda query: [("이름이 뭐야?", "버티예요.", 0.9), ...], threshold=0.6)

    search: query -> candidates (question, answer, score, ...), best first. From the upper threshold
    on it answers; from the lower one, `ask_from`, on it asks back, with the best questions on
    buttons; below both it does not know. Moving a threshold judges the whole conversation anew.
    '다른 답' answers the last query with the next candidate, else with the first. All text is
    escaped.
    """

    def __init__(
        self,
        search: Callable[[str], Sequence[tuple]],
        threshold: float = 0.5,
        ask_from: float | None = None,
    ):
        self._search = search
        # Query, candidates, and which of them the reader has chosen, if any.
        self.turns: list[tuple[str, list[Candidate], int | None]] = []
        self._shown = widgets.HTML()
        self._typed = widgets.Text(
            placeholder="질문을 쓰고 Enter를 누르십시오", layout=widgets.Layout(flex="1 1 auto")
        )
        send = widgets.Button(description="보내기", button_style="primary")
        self._retry = widgets.Button(description="다른 답(retry)", disabled=True)
        self._offers = [widgets.Button(layout=widgets.Layout(width="auto")) for _ in range(OFFERED)]
        self._thresholds = widgets.FloatRangeSlider(
            value=(threshold if ask_from is None else min(ask_from, threshold), threshold),
            min=0,
            max=1,
            step=0.01,
            description="문턱값(threshold)",
            style={"description_width": "initial"},
            layout=widgets.Layout(width="420px"),
        )
        self._table = widgets.HTML()
        candidates = widgets.Accordion([self._table], selected_index=None)
        candidates.set_title(0, "마지막 질문의 후보")
        self._typed.on_msg(self._entered)
        send.on_click(lambda _button: self.send(self._typed.value))
        self._retry.on_click(lambda _button: self.retry())
        for number, button in enumerate(self._offers):
            button.on_click(lambda _button, number=number: self._taken(number))
        self._thresholds.observe(self._draw, names="value")
        offers = widgets.HBox(self._offers, layout=widgets.Layout(flex_flow="row wrap"))
        row = widgets.HBox([self._typed, send, self._retry])
        super().__init__([self._shown, offers, row, self._thresholds, candidates])
        self._draw()

    def _entered(self, _widget: Any, content: dict, _buffers: Any) -> None:
        """Send when Enter was pressed (`on_submit`, which does the same, is deprecated).

        The browser reports Enter at once but the last keys a moment later, so wait for them.
        """
        if content.get("event") == "submit":
            asyncio.get_running_loop().call_later(SETTLE, lambda: self.send(self._typed.value))

    def _taken(self, number: int) -> None:
        """Answer with an offered question; its button goes, so the keyboard returns to the box."""
        self.choose(number)
        if hasattr(self._typed, "focus"):  # since ipywidgets 8
            self._typed.focus()

    def send(self, query: str) -> None:
        """Ask, show the reply and empty the box; blank text is ignored."""
        query = query.strip()
        if not query:
            return
        self._typed.value = ""
        candidates = [Candidate(*found[:3]) for found in self._search(query)]
        self.turns = [*self.turns, (query, candidates, None)][-TURNS:]
        self._draw()

    def retry(self) -> None:
        """Answer the last query with the next candidate, after the last with the first again."""
        if self.turns and self.turns[-1][1]:
            _, candidates, chosen = self.turns[-1]
            if chosen is None and self.zone(candidates) == ANSWER:
                chosen = 0  # what is shown now
            self.choose(0 if chosen is None else (chosen + 1) % len(candidates))

    def choose(self, number: int) -> None:
        """Answer the last query with one of its candidates, whatever its score."""
        query, candidates, _ = self.turns[-1]
        self.turns[-1] = (query, candidates, number)
        self._draw()

    def zone(self, candidates: Sequence[Candidate]) -> str:
        """Say what the thresholds make of a query: ANSWER, ASK or UNKNOWN."""
        lower, upper = self._thresholds.value
        score = candidates[0].score if candidates else -1
        return ANSWER if score >= upper else ASK if score >= lower else UNKNOWN

    def reply(self, candidates: Sequence[Candidate], chosen: int | None) -> tuple[str, str]:
        """The answer of a turn, and in one line where it comes from."""
        if not candidates:
            return SAYS[UNKNOWN], "후보가 없습니다"
        zone = self.zone(candidates)
        best = candidates[chosen or 0]
        source = f"{best.score:.3f} · {best.question}"
        if chosen is not None or zone == ANSWER:
            return best.answer, source
        return SAYS[zone], f"가장 가까운 질문: {source}"

    def _draw(self, _change: Any = None) -> None:
        def shown(text: str) -> str:
            return escape(cut(text, LIMIT))

        boxes = []
        for query, candidates, chosen in self.turns:
            answer, source = self.reply(candidates, chosen)
            boxes.append(
                f'<div style="{BUBBLE}align-self:flex-end;background:#dbeafe">{shown(query)}</div>'
                f'<div style="{BUBBLE}align-self:flex-start;background:#f3f4f6">{shown(answer)}'
                f'<br><small style="color:#6b7280">{shown(source)}</small></div>'
            )
        # Columns in reverse keep the newest message in sight.
        self._shown.value = (
            '<div style="height:320px;overflow-y:auto;display:flex;flex-direction:column-reverse;'
            'border:1px solid #d1d5db;border-radius:6px"><div style="display:flex;'
            f'flex-direction:column;line-height:1.5">{"".join(boxes)}</div></div>'
        )
        _, candidates, chosen = self.turns[-1] if self.turns else ("", [], None)
        self._retry.disabled = not candidates
        asks = chosen is None and self.zone(candidates) == ASK
        for number, button in enumerate(self._offers):
            offered = candidates[number].question if asks and number < len(candidates) else ""
            button.description = button.tooltip = cut(offered, ON_BUTTON)
            button.layout.display = None if offered else "none"
        rows = "".join(
            f"<tr><td>{number}</td><td>{candidate.score:.3f}</td>"
            f'<td style="padding:0 12px">{shown(candidate.question)}</td>'
            f"<td>{shown(candidate.answer)}</td></tr>"
            for number, candidate in enumerate(candidates, start=1)
        )
        self._table.value = f"<table>{rows}</table>" if rows else "아직 질문이 없습니다."
