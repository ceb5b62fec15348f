"""Limits, ticks and labels of an axis, and what is placed along it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from theta0.report.figures.style import STRIP
from theta0.report.words import Unit
from theta0.sweep.plain import plain


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
