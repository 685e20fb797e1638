"""Diagrams: tensors, what goes into and comes out of a model, steps, angles and ranks."""

from collections.abc import Mapping, Sequence
from math import acos, log2, sin

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from helpers.course import use_korean_font
from helpers.views.tokens import COLOURS

use_korean_font()
EDGE = "#374151"
ARROW = {"arrowstyle": "->", "color": EDGE}


def draw_shapes(shapes: Mapping[str, Mapping[str, int]]) -> Axes:
    """draw_shapes({"last_hidden_state": {"문장": 2, "토큰": 8, "차원": 384}}): a block a tensor.

    Every tensor has one to three named sizes; the last is drawn across, the one before it down, a
    first of three as sheets behind each other. Not to scale.
    """
    ax = blank_axes(2.6 * len(shapes), 2.6)
    for column, (name, sizes) in enumerate(shapes.items()):
        left, (*front, last) = 3.4 * column, sizes
        height = 1.4 if front else 0.3
        sheets = min(sizes[front[0]], 4) if len(front) == 2 else 1
        if len(front) == 1:
            height = min(1.4, 0.3 * sizes[front[0]])
        for sheet in reversed(range(sheets)):
            corner = (left + 0.14 * sheet, 0.14 * sheet)
            colour = COLOURS[column % len(COLOURS)]
            ax.add_patch(Rectangle(corner, 2, height, facecolor=colour, edgecolor=EDGE))
        ax.text(left + 1, -0.15, f"{last} {sizes[last]}", ha="center", va="top")
        if front:
            label = f"{front[-1]} {sizes[front[-1]]}"
            ax.text(left - 0.1, height / 2, label, ha="right", va="center", rotation=90)
        if len(front) == 2:
            top = height + 0.14 * (sheets - 1)
            ax.text(left + 2.1, top + 0.05, f"{front[0]} {sizes[front[0]]}")
        shape = ", ".join(map(str, sizes.values()))
        ax.text(left + 1, 2.35, f"{name}\n[{shape}]", ha="center", va="top", weight="bold")
    ax.set(xlim=(-0.6, 3.4 * len(shapes) - 0.3), ylim=(-0.6, 2.5))
    return ax


def draw_head(
    tokens: Sequence[str],
    outputs: Mapping[int, str],
    title: str,
    parts: Sequence[int] | None = None,
) -> Axes:
    """draw_head(["[CLS]", "좋다", "[SEP]"], {0: "긍정"}, "문장 분류") -> tokens in, answers out.

    outputs: position -> what comes out above that token. parts: one number a token; tokens of one
    number get one colour.
    """
    ax = blank_axes(max(4.5, 0.62 * len(tokens)), 2.5)
    width = len(tokens)
    ax.add_patch(Rectangle((-0.45, 1), width - 0.1, 0.7, facecolor="#e5e7eb", edgecolor=EDGE))
    ax.text((width - 1) / 2, 1.35, "BERT", ha="center", va="center", weight="bold")
    for position, token in enumerate(tokens):
        colour = COLOURS[parts[position] if parts else 0]
        box(ax, position, 0.2, token, colour)
        ax.annotate("", (position, 1), (position, 0.55), arrowprops=ARROW)
        if position in outputs:
            ax.annotate("", (position, 2.15), (position, 1.7), arrowprops=ARROW)
            box(ax, position, 2.15, outputs[position], "#bbf7d0")
    ax.set(xlim=(-0.6, width - 0.4), ylim=(0, 2.7), title=title)
    return ax


def draw_sum(rows: Mapping[str, Sequence[str]], title: str) -> Axes:
    """draw_sum({"토큰": ["이", "##순신은"], "개체": ["E1", "E1"]}, "입력"): rows of boxes, summed.

    One column a token. In a row of up to three different labels each label has its own colour.
    """
    ax = blank_axes(max(4.5, 0.72 * len(next(iter(rows.values()))) + 1.4), 0.55 * len(rows) + 0.5)
    for number, (name, labels) in enumerate(rows.items()):
        y = 0.55 * (len(rows) - 1 - number)
        ax.text(-0.7, y + 0.17, name, ha="right", va="center")
        different = list(dict.fromkeys(labels))
        palette = ["#f3f4f6", *COLOURS[1:3]] if len(different) <= 3 else [COLOURS[4]] * len(labels)
        for position, label in enumerate(labels):
            box(ax, position, y, label, palette[different.index(label)])
            if number:
                ax.text(position, y + 0.45, "+", ha="center", va="center", fontsize=8)
    ax.set(xlim=(-2.3, len(labels) - 0.4), ylim=(-0.1, 0.55 * len(rows)), title=title)
    return ax


def draw_layer() -> Axes:
    """Draw one layer of BERT from left to right; what came in is added along the arcs."""
    steps = ["어텐션", "+", "LayerNorm", "피드포워드", "+", "LayerNorm"]
    colours = {"어텐션": COLOURS[1], "피드포워드": COLOURS[2], "LayerNorm": COLOURS[0]}
    ax = blank_axes(8, 1.7)
    for x, step in enumerate(steps):
        box(ax, x, 0.5, step, colours.get(step, "#ffffff"))
        ax.annotate("", (x - 0.45, 0.67), (x - 0.55 - 0.25 * (x == 0), 0.67), arrowprops=ARROW)
    for start, end in ((-0.55, 1), (2.5, 4)):
        arc = ARROW | {"connectionstyle": "arc3,rad=-0.35", "linestyle": "--"}
        ax.annotate("", (end, 0.85), (start, 0.67), arrowprops=arc)
        ax.text((start + end) / 2, 1.1, "들어온 벡터를 그대로 더함", ha="center", fontsize=8)
    ax.annotate("", (5.8, 0.67), (5.45, 0.67), arrowprops=ARROW)
    for x, text in ((-0.85, "토큰마다\n벡터"), (5.85, "고친\n벡터")):
        ax.text(x, 0.67, text, ha="right" if x < 0 else "left", va="center", fontsize=8)
    ax.set(xlim=(-1.6, 6.6), ylim=(0.4, 1.25), title="BERT의 층 하나")
    return ax


def draw_steps(steps: Mapping[str, str]) -> Axes:
    """draw_steps({"질의": "이름이 뭐야?", "벡터": "[0.1, ...]"}): boxes with arrows between them.

    Below each box stands an example of what it holds.
    """
    ax = blank_axes(2.1 * len(steps), 1.5)
    for x, (name, example) in enumerate(steps.items()):
        box(ax, x, 0.5, name, COLOURS[x % len(COLOURS)])
        ax.text(x, 0.4, example, ha="center", va="top", fontsize=8)
        if x:
            ax.annotate("", (x - 0.45, 0.67), (x - 0.55, 0.67), arrowprops=ARROW)
    ax.set(xlim=(-0.6, len(steps) - 0.4), ylim=(-0.1, 0.9))
    return ax


def draw_angles(cosines: Mapping[str, float], title: str = "") -> Axes:
    """draw_angles({"질의": 1.0, "비슷한 질문": 0.9}): arrows of length 1 at those cosines.

    Each arrow makes with the horizontal one (cosine 1) the angle whose cosine is written at it.
    """
    ax = blank_axes(5.5, 3)
    for number, (name, cosine) in enumerate(cosines.items()):
        tip = cosine, sin(acos(cosine))
        ax.annotate("", tip, (0, 0), arrowprops=ARROW | {"color": f"C{number}", "lw": 2})
        side = "left" if cosine > -0.1 else "right"
        ax.text(*tip, f" {name}: {cosine:g} ", ha=side, va="bottom", color=f"C{number}")
    ax.set(xlim=(-1.9, 2.1), ylim=(-0.1, 1.2), aspect="equal", title=title)
    return ax


def draw_exposure(candidates: int, ranks: Mapping[str, int], title: str = "") -> Axes:
    """draw_exposure(1024, {"1등": 1, "가운데": 512}): ranks on a ruler of bits, right leaks more.

    A secret at a rank has log2(candidates) - log2(rank) bits: each halving of the rank is one bit.
    """
    most = log2(candidates)
    ax = plt.figure(figsize=(8, 1.8), layout="constrained").add_subplot()
    for number, (name, rank) in enumerate(ranks.items()):
        bits = most - log2(rank)
        ax.plot(bits, 0, "o", color=f"C{number}", markersize=9)
        words = f"{name}\n{rank:,}등: {bits:.1f}비트"
        ax.annotate(words, (bits, 0), (0, 9), textcoords="offset points", ha="center")
    ax.set(xlim=(-0.6, most + 0.6), ylim=(-0.3, 1.4), yticks=[], title=title)
    ax.set_xlabel(f"노출도(비트), 후보 {candidates:,}개")
    ax.spines[["left", "top", "right"]].set_visible(False)
    return ax


def box(ax: Axes, x: float, y: float, text: str, colour: str) -> None:
    ax.add_patch(Rectangle((x - 0.45, y), 0.9, 0.35, facecolor=colour, edgecolor=EDGE))
    ax.text(x, y + 0.17, text, ha="center", va="center", fontsize=8)


def blank_axes(width: float, height: float) -> Axes:
    ax = plt.figure(figsize=(width, height), layout="constrained").add_subplot()
    ax.axis("off")
    return ax
