"""Init × optimizer: the means."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from theta0.report.figures.axes import ends, heading
from theta0.report.figures.problem import Problem
from theta0.report.figures.style import COLOUR_MAP, FAINT, GREY, ONE, text_colour
from theta0.report.words import Unit, fixed, name

WIDTH, HEIGHT = 0.95, 0.62
"""Inches of a cell; it is wider where an optimizer's name is."""


def grid(problem: Problem) -> Figure | None:
    """A heat map of each combination at its best setting: mean, interval of 95 %, runs done, and
    how many are not; in bold the best and what is not significantly worse. The lighter, the better.

    One panel for each combination of the other choices of a method. None unless two inits and two
    optimizers are there.
    """
    arms, study = problem.statistics.arms, problem.study
    inits, optimizers = (sorted(arms[f].unique()) for f in ("init", "optimizer"))
    if min(len(inits), len(optimizers)) < 2:
        return None
    others = [f for f in study.method if f not in ("optimizer", "init")]
    parts = list(arms.groupby(others, dropna=False, sort=True)) if others else [((), arms)]
    unit = Unit.of(study.metric)
    colours = Colours(unit.scale * arms["mean"], study.mode)
    digits = unit.places(unit.scale * (arms["mean_high"] - arms["mean_low"]) / 2)
    longest = max(map(len, inits))
    width = max(WIDTH, 0.065 * max(map(len, optimizers)))
    size = (
        max(width * len(optimizers) + 0.06 * longest + 1.0, ONE),
        (HEIGHT * len(inits) + 0.5) * len(parts) + 0.2,
    )
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(parts), 1, squeeze=False).ravel()
    for axes, (_, part) in zip(panels, parts, strict=True):
        cells = [
            (optimizers.index(arm["optimizer"]), inits.index(arm["init"]), arm)
            for _, arm in part.iterrows()
        ]
        lattice(axes, optimizers, inits)
        for x, y, arm in cells:
            colours.paint(axes, x, y, unit.scale * arm["mean"])
            _describe(axes, x, y, arm, unit, digits, colours)
        if others:
            axes.set_title(name(part.iloc[0], others))
    if problem.title:
        figure.suptitle(problem.title)
    figure.colorbar(colours.scale, ax=list(panels), label=heading(study.metric), aspect=30)
    return figure


def _describe(
    axes: Axes, x: int, y: int, arm: Mapping[str, Any], unit: Unit, digits: int, colours: "Colours"
) -> None:
    """The cell's lines of text: the value, and smaller what it is worth."""
    value, low, high = (unit.scale * arm[key] for key in ("mean", "mean_low", "mean_high"))
    ink = colours.ink(value)
    lines = [] if np.isnan(low) else [f"[{fixed(low, digits)}, {fixed(high, digits)}]"]
    lines += [f"n = {arm['n']}"]
    ended = [
        f"{arm[end]} {end}" for end in ("diverged", "failed", "pruned", "unfinished") if arm[end]
    ]
    lines += [", ".join(ended)] if ended else []
    axes.text(
        x, y - 0.06, fixed(value, digits), color=ink, ha="center", va="bottom", fontsize=8,
        fontweight="bold" if arm["leading"] else "normal",
    )  # fmt: skip
    axes.text(
        x, y, "\n".join(lines), color=ink, ha="center", va="top", fontsize=5.5, linespacing=1.25
    )


# ---------------------------------------------------------------------- what every heat map is from


class Colours:
    """From values to colours, the lighter the better; grey where there is none.

    Args:
        values: all that will be painted.
        mode: whether more is better ("max") or less ("min").
    """

    def __init__(self, values: Any, mode: str) -> None:
        name = COLOUR_MAP if mode == "max" else f"{COLOUR_MAP}_r"
        self.scale = ScalarMappable(Normalize(*ends(values)), matplotlib.colormaps[name])

    def of(self, value: Any) -> Any:
        return FAINT if np.isnan(value) else self.scale.cmap(self.scale.norm(value))

    def ink(self, value: float) -> str:
        return text_colour(self.of(value))

    def paint(self, axes: Axes, x: int, y: int, value: float) -> None:
        colour = self.of(value)
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1)
        )


def lattice(axes: Axes, columns: list[str], rows: list[str]) -> None:
    """Empty cells at whole numbers, the first row on top; hatched where none will be painted."""
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.add_patch(
        Rectangle(
            (-0.5, -0.5), len(columns), len(rows), facecolor="white", edgecolor=GREY, hatch="////",
            linewidth=0, zorder=0,
        )
    )  # fmt: skip
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
