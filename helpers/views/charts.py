"""Charts with Korean labels: bars, lines, a heat map and a live loss."""

from collections.abc import Mapping, Sequence
from math import floor, log10

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from transformers import TrainerCallback

from helpers.course import use_korean_font

# Colours that the colour-blind can tell apart: Okabe & Ito 2008, "Color Universal Design".
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6b7280"]
STYLE = {
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#6b7280",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 2,
}
BESIDE = 4, 16  # so many lines, with names of so many letters, are named at their ends

use_korean_font()
plt.rcParams.update(STYLE)


def bars(
    labels: Sequence[str],
    values: Sequence[float] | Mapping[str, Sequence[float]],
    ylabel: str = "",
    title: str = "",
    errors: Sequence | Mapping[str, Sequence] | None = None,
    families: Sequence[str] | None = None,
) -> Axes:
    """bars(["일반", "법률"], {"처음부터": [.1, .2], "이어서": [.3, .4]}) -> grouped bars.

    values: one number a label, or series name -> one number a label. The number stands on the bar,
    above the error bars where `errors` gives their lengths, one a label, or all down and all up;
    by series name where the series have errors of their own.
    families: one a label; the bars of a family have one colour, and a legend names it.
    """
    series = values if isinstance(values, Mapping) else {None: values}
    ax = new_axes(title, "", ylabel)
    width = 0.8 / len(series)
    numbers = [abs(n) for heights in series.values() for n in heights if np.isfinite(n)]
    # Three digits of the tallest bar set the decimals of all, so that nothing reads 0.000768.
    whole = all(float(number).is_integer() for number in numbers)
    decimals = 0 if whole else max(0, 2 - floor(log10(max(numbers))))
    for index, (name, heights) in enumerate(series.items()):
        x = np.arange(len(labels)) + (index - (len(series) - 1) / 2) * width
        own = errors[name] if isinstance(errors, Mapping) else errors
        drawn = ax.bar(x, heights, width, label=name, yerr=own, capsize=3)
        ax.bar_label(drawn, fmt=f"%.{decimals}f", fontsize=8, padding=2)
    ax.set_xticks(range(len(labels)), labels)
    if families:
        colours = dict(zip(dict.fromkeys(families), COLOURS, strict=False))
        for bar, family in zip(drawn, families, strict=True):
            bar.set_facecolor(colours[family])
        handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
        ax.legend(handles=handles, ncols=len(handles), loc="upper left")
    if len(series) > 1:
        ax.margins(y=0.2)  # room above the bars, so that the legend hides no number
        ax.legend(ncols=len(series), loc="upper right")
    return ax


def dots(
    groups: Mapping[str, Sequence[float]],
    xlabel: str = "",
    title: str = "",
    marks: Mapping[str, float] | None = None,
) -> Axes:
    """dots({"tags": [77.3, 75.9], "plain": [69.7]}, "micro F1") -> a row a name, a dot a number.

    A short stroke stands at each mean. marks: name -> a dashed line across all rows.
    """
    ax = new_axes(title, xlabel, "")
    for row, values in enumerate(groups.values()):
        ax.plot(values, [row] * len(values), "o", color=COLOURS[0], alpha=0.7)
        ax.plot([np.mean(values)] * 2, [row - 0.3, row + 0.3], color=COLOURS[0])
    for colour, (name, value) in zip(COLOURS[1:], (marks or {}).items(), strict=False):
        ax.axvline(value, color=colour, linestyle="--", linewidth=1.5)
        place = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        ax.text(value, 1.01, name, fontsize=9, color=colour, **place)
    ax.set_yticks(range(len(groups)), list(groups))
    ax.set_ylim(len(groups) - 0.5, -0.5)  # the first on top
    ax.figure.set_size_inches(7, max(2.5, 0.3 * len(groups) + 1))
    if marks:
        ax.set_title(title, pad=18)
    return ax


def lines(
    series: Mapping[str, tuple[Sequence[float], ...]],
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    marks: Mapping[str, float] | None = None,
) -> Axes:
    """lines({"손실": ([0, 100], [7.6, 6.2])}, "스텝", "손실") -> one line a name.

    A third sequence beside x and y draws error bars of that length up and down. marks: name -> a
    dashed line across. A few lines are named at their ends, in their colours; more get a legend.
    """
    ax = new_axes(title, xlabel, ylabel)
    names = [*series, *(marks or {})]
    beside = len(names) <= BESIDE[0] and max(map(len, names), default=0) <= BESIDE[1]
    ends = []
    for name, (x, y, *error) in series.items():
        label = f"_{name}" if beside else name  # a legend leaves out what begins with _
        if error:
            drawn = ax.errorbar(x, y, *error, label=label, marker="o", capsize=3).lines[0]
        else:
            (drawn,) = ax.plot(x, y, label=label)
        if len(y):
            ends.append((float(drawn.get_ydata()[-1]), name, drawn.get_color()))
    for name, height in (marks or {}).items():
        label = f"_{name}" if beside else name
        ax.axhline(height, color=COLOURS[-1], linestyle="--", linewidth=1.5, label=label)
        ends.append((height, name, COLOURS[-1]))
    if beside and len(names) > 1:
        name_ends(ax, ends)
    elif len(names) > 1:
        ax.legend()
    return ax


def name_ends(ax: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write (height, name, colour) at the right edge, from below, a line of text apart at least."""
    ends = sorted(ends)
    names = [
        ax.annotate(
            name,
            (1, height),
            (6, 0),
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=colour,
        )
        for height, name, colour in ends
    ]

    def part(axes: Axes) -> None:
        line, lowest = 14, -np.inf  # points
        for (height, _, _), name in zip(ends, names, strict=True):
            place = axes.transData.transform((0, height))[1] * 72 / axes.figure.dpi
            lowest = max(place, lowest + line)
            name.set_position((6, lowest - place))

    part(ax)
    ax.callbacks.connect("ylim_changed", part)  # what is drawn later may move the lines together


def heat_map(
    matrix: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], title: str = ""
) -> Axes:
    """heat_map([[1, .2], [.2, 1]], ["가", "나"], ["가", "나"]) -> rows x columns in colour."""
    ax = new_axes(title, "", "")
    image = ax.imshow(np.asarray(matrix, dtype=float), aspect="auto", cmap="viridis")
    ax.grid(False)
    ax.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    ax.set_yticks(range(len(rows)), rows)
    ax.figure.colorbar(image, ax=ax)
    return ax


def new_axes(title: str, xlabel: str, ylabel: str) -> Axes:
    ax = plt.figure(figsize=(7, 3.5), layout="constrained").add_subplot()
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3)
    ax.set_axisbelow(True)
    return ax


class LiveLoss(TrainerCallback):
    """A loss curve that grows during training and stays as one picture in the saved notebook.

    Give it to a Trainer (`callbacks=[LiveLoss()]`), or call `update(100, loss=6.2)` yourself. A
    title may say how far the loss came: "손실 {first:.2f} → {last:.2f}".
    """

    def __init__(
        self, keys: Sequence[str] = ("loss", "eval_loss"), title: str = "마지막 손실: {ends}"
    ):
        self.keys, self.title = keys, title
        self.points: dict[str, tuple[list[float], list[float]]] = {}
        self._handle = None

    def update(self, step: int, **losses: float) -> None:
        """Add one point a curve and redraw."""
        for name, value in losses.items():
            x, y = self.points.setdefault(name, ([], []))
            x.append(step)
            y.append(value)
        several = len(self.points) > 1
        ends = [f"{name} " * several + f"{y[-1]:.3g}" for name, (_, y) in self.points.items()]
        (_, curve), *_ = self.points.values()
        title = self.title.format(first=curve[0], last=curve[-1], ends=", ".join(ends))
        figure = lines(self.points, "스텝(step)", "손실(loss)", title).figure
        plt.close(figure)  # else the notebook would show it a second time
        if self._handle is None:
            self._handle = display(figure, display_id=True)
        else:
            self._handle.update(figure)

    def on_log(self, args, state, control, logs=None, **kwargs):
        losses = {key: logs[key] for key in self.keys if key in (logs or {})}
        if losses and state.is_world_process_zero:
            self.update(state.global_step, **losses)
