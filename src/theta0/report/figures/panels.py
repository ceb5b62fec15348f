"""What every figure is built from: panels, rows, and the legend below them."""

import math
import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from theta0.report.figures.looks import Look, Looks
from theta0.report.figures.style import FAINT, GREY, ONE, TWO


def panels(count: int, height: float = 1.9, title: str = "") -> tuple[Figure, list[Axes]]:
    """A figure of panels with one y-axis, three abreast or, of two or four, two.

    Args:
        count: how many.
        height: of each, in inches.
        title: above all.
    """
    across = {1: 1, 2: 2, 4: 2}.get(count, 3)
    down = math.ceil(count / across)
    size = (ONE if across == 1 else TWO, height * down + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False, sharey=True).ravel())
    for empty in axes[count:]:
        empty.remove()
    if title:
        figure.suptitle(title)
    return figure, axes[:count]


def rows(names: Sequence[str], across: int = 1, title: str = "") -> tuple[Figure, list[Axes]]:
    """A figure of a row for each name, the first on top, in so many panels abreast."""
    labels = [textwrap.fill(name, 36) for name in names]
    lines = [line for label in labels for line in label.split("\n")]
    high = 0.21 if len(lines) == len(labels) else 0.3
    narrow = across == 1 and max(map(len, lines)) < 25
    size = (ONE if narrow else TWO, high * len(labels) + 0.6 + 0.2 * bool(title))
    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(1, across, squeeze=False, sharey=True).ravel())
    panels[0].set_ylim(len(labels) - 0.5, -0.5)
    panels[0].set_yticks(range(len(labels)), labels)
    for axes in panels:
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
    if title:
        figure.suptitle(title)
    return figure, panels


def legend(figure: Figure, looks: Looks, shown: pd.DataFrame, markers: bool = False) -> None:
    """Below the panels, never over data; nothing where a single line is drawn.

    Args:
        figure: it grows where the legend has several rows.
        looks: of its lines.
        shown: what is drawn, at least a row a line.
        markers: whether optimizers are told by their markers, else by their panels.
    """
    shown = shown.drop_duplicates(looks.method)
    keys = {
        textwrap.fill(looks.label(row), 60): _key(looks.of(row), markers and not looks.panel)
        for _, row in shown.sort_values(looks.lines).iterrows()
    }
    if markers and looks.panel:
        for _, row in shown.sort_values(looks.panel).iterrows():
            keys[row[looks.panel]] = Line2D([], [], color=GREY, ls="", marker=looks.of(row).marker)
    if len(keys) < 2:
        return
    width = 0.45 + 0.055 * max(map(len, keys))
    abreast = min(len(keys), max(1, int(figure.get_figwidth() / width)))
    figure.legend(list(keys.values()), list(keys), loc="outside lower center", ncols=abreast)
    figure.set_figheight(figure.get_figheight() + 0.15 * (math.ceil(len(keys) / abreast) - 1))


def _key(look: Look, marker: bool) -> Line2D:
    return Line2D([], [], color=look.colour, ls=look.dash, marker=look.marker if marker else "")
