"""The house style: sizes, colours, marks, and what every figure is built from."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from theta0.report.study import Study
from theta0.report.words import Unit, name
from theta0.sweep.runs import plain

ONE, TWO = 3.35, 6.9
"""Inches: the width of one column of a paper, and of two."""

INK, GREY, FAINT = "#222222", "#767676", "#EEEEEE"

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
"""Okabe and Ito (2008), Color universal design, those that stand out most first; their yellow is
not seen on white."""

DASHES = ["-", "--", ":", "-."]
"""Of the second, third and fourth seven lines."""

MARKERS = ["o", "s", "^", "D", "v", "P", "p", "<", "h", ">", "d", "*"]

COLOUR_MAP = "cividis"

STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType: journals refuse Type 3
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 7,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "text.color": INK,
    "axes.labelsize": 7,
    "axes.labelcolor": INK,
    "axes.titlesize": 7.5,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 6.5,
    "ytick.major.width": 0.6,
    "figure.titlesize": 8,
    "figure.labelsize": 7,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
}
"""For `matplotlib.style.context`, on top of matplotlib's own defaults."""

MEAN: dict[str, Any] = {"zorder": 3, "markeredgecolor": "white", "markeredgewidth": 0.5}
SEED: dict[str, Any] = {"s": 7, "alpha": 0.45, "linewidths": 0, "zorder": 2}
STRIP: dict[str, Any] = {"color": FAINT, "linewidth": 0, "zorder": 3.5}
LOST: dict[str, Any] = {"s": 11, "marker": "x", "linewidths": 0.8, "zorder": 4, "clip_on": False}
"""How a mean is drawn, a seed's run behind it, the strip over whatever goes beyond the axis, and a
run that diverged."""


# --------------------------------------------------------------------------- who is drawn, and how


@dataclass(frozen=True)
class Look:
    """How a method is drawn."""

    colour: str
    dash: str
    marker: str


class Looks:
    """One look a method, the same in all figures of a study.

    An optimizer is told by its panel and its marker, everything else (init, scheduler, ...) by
    colour and dash. Where nothing but the optimizer varies, it has the colours.

    Args:
        study: the whole of it.
    """

    def __init__(self, study: Study) -> None:
        runs = study.runs
        varied = [factor for factor in study.method if runs[factor].nunique(dropna=False) > 1]
        self.method = varied or ["optimizer", "init"]
        self.panel = "optimizer" if "optimizer" in varied and len(varied) > 1 else None
        self.lines = [factor for factor in self.method if factor != self.panel]
        levels = runs[self.lines].drop_duplicates().sort_values(self.lines)
        self._lines = [tuple(level) for level in levels.astype(str).to_numpy()]
        self._optimizers = sorted(runs["optimizer"].unique())

    def of(self, row: Mapping[str, Any]) -> Look:
        line = self._lines.index(tuple(str(row[factor]) for factor in self.lines))
        dash = line // len(COLOURS) % len(DASHES)
        marker = self._optimizers.index(row["optimizer"]) % len(MARKERS)
        return Look(COLOURS[line % len(COLOURS)], DASHES[dash], MARKERS[marker])

    def label(self, row: Mapping[str, Any]) -> str:
        """What a line is called within its panel."""
        return name(row, self.lines)

    def panels(self, table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
        """The rows of each panel under its title; "" where one holds all."""
        if self.panel is None:
            return [("", table)]
        return [(str(key), part) for key, part in table.groupby(self.panel, sort=True)]


# -------------------------------------------------------------------------------------- the figure


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


def heading(metric: str) -> str:
    """An axis' label: `test/acc (%)`."""
    sign = Unit.of(metric).sign.strip()
    return f"{metric} ({sign})" if sign else metric


def ends(*values: Any) -> tuple[float, float]:
    """The least and the largest finite number of all; (0, 1) where there is none."""
    numbers = np.concatenate([np.ravel(np.asarray(some, float)) for some in values])
    known = numbers[np.isfinite(numbers)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def room(values: Any, cells: pd.DataFrame, scale: float) -> tuple[float, float]:
    """From where to where an axis goes that holds values and the means' intervals, those of two or
    three seeds not whole: they would leave no room for anything else."""
    low, high = ends(scale * values)
    least, most = ends(scale * cells[["mean_low", "mean_high"]], [low, high])
    reach = 0.25 * (high - low) or math.inf
    return max(least, low - reach), min(most, high + reach)


def bars(cells: pd.DataFrame, scale: float) -> NDArray[np.float64]:
    """How far each mean's interval goes down and up from it, [2, cells]."""
    means = cells[["mean"]].to_numpy(float)
    return scale * np.abs(cells[["mean_low", "mean_high"]].to_numpy(float) - means).T


def frame(
    axes: Axes,
    axis: str,
    low: float,
    high: float,
    *,
    log: bool = False,
    gutter: str = "",
    above: bool = False,
    whole: bool = False,
) -> tuple[float, float]:
    """Limits and ticks of an axis ("x" or "y") that holds values from low to high.

    Args:
        log: whether the scale is logarithmic; low must then be positive.
        gutter: what runs without a value are called, for which a grey strip is left.
        above: whether it lies beyond the largest values, else below the least.
        whole: whether there is nothing between whole numbers.

    Returns:
        From where to where in the gutter marks may stand.
    """
    warp, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    first, last = float(warp(low)), float(warp(high))
    span = (last - first) or 0.1 * abs(first) or 1.0
    least, most = first - 0.06 * span, last + 0.06 * span
    strip = (most, most + 0.2 * span) if above else (least - 0.2 * span, least)
    ticks = _ticks(low, high, log, whole)
    labels = [short(tick) for tick in ticks]
    if gutter:
        least, most = min(least, strip[0]), max(most, strip[1])
        shade = axes.axvspan if axis == "x" else axes.axhspan
        shade(*(float(back(end)) for end in strip), **STRIP)
        ticks, labels = [*ticks, float(back(sum(strip) / 2))], [*labels, gutter]
    if log:
        axes.set(**{f"{axis}scale": "log"})
    axes.set(**{f"{axis}lim": (float(back(least)), float(back(most)))})
    along = axes.xaxis if axis == "x" else axes.yaxis
    along.set_ticks(ticks, labels=labels)
    along.set_minor_locator(NullLocator())
    inset = 0.2 * (strip[1] - strip[0])
    return float(back(strip[0] + inset)), float(back(strip[1] - inset))


def _ticks(low: float, high: float, log: bool, whole: bool) -> list[float]:
    margin = 1e-9 * (high - low)
    locators: list[Locator] = [MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=whole)]
    if log:
        locators = [*(LogLocator(subs=subs) for subs in ((1,), (1, 3), (1, 2, 5))), *locators]
    for locator in locators:
        found = locator.tick_values(low, high)
        within = [float(tick) for tick in found if low - margin <= tick <= high + margin]
        if len(within) > 2:
            break
    every = math.ceil(len(within) / 6)
    return within[::every] if within else [low]


def short(value: float) -> str:
    """A tick's label."""
    return f"{value:.6g}".replace("-", "−")


def spread(place: tuple[float, float], count: int) -> list[float]:
    """So many marks from here to there, side by side."""
    low, high = place
    return [low + (high - low) * (i + 0.5) / count for i in range(count)]


def swept(axes: Axes, key: str, values: Sequence[float]) -> float:
    """The x-axis of a setting; by what to multiply a value so as to go to its neighbour."""
    tried = np.unique(np.asarray(values, float))
    positive = bool(tried[0] > 0)
    if positive:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    if len(tried) <= 8:
        every = 1 if len(tried) <= 5 else 2
        labels = [plain(float(v)) if i % every == 0 else "" for i, v in enumerate(tried)]
        axes.set_xticks(tried, labels=labels)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(key)
    return float((tried[1:] / tried[:-1]).min()) if positive and len(tried) > 1 else 1.0


def text_colour(background: Any) -> str:
    """Black or white, whichever is read more easily."""
    return "black" if contrast("black", background) > contrast("white", background) else "white"


def contrast(a: Any, b: Any) -> float:
    """The ratio of two colours' luminance, from 1 to 21 (WCAG 2.2)."""

    def luminance(colour: Any) -> float:
        parts = np.array(to_rgb(colour))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    darker, lighter = sorted((luminance(a), luminance(b)))
    return (lighter + 0.05) / (darker + 0.05)
