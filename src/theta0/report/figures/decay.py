"""Learning rate × weight decay: the means."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from theta0.report.figures.axes import heading
from theta0.report.figures.grid import Colours, lattice
from theta0.report.figures.problem import Problem
from theta0.report.figures.sensitivity import RATE, best_at
from theta0.report.figures.style import ONE, TWO
from theta0.report.words import Unit, fixed, name
from theta0.sweep.plain import plain

DECAY = "optimizer.weight_decay"


def decay(problem: Problem) -> Figure | None:
    """A heat map for each method, other settings at their best: mean, and how many runs diverged.

    The frame is round the cell that was chosen on validation. None unless a method has two rates
    and two decays, and half of their combinations.
    """
    study, looks = problem.study, problem.looks
    if not {RATE, DECAY} <= set(study.settings):
        return None
    best = best_at(problem, [RATE, DECAY]).dropna(subset=[RATE, DECAY])
    grids = [
        part for _, part in best.groupby(looks.method, dropna=False, sort=True) if _is_grid(part)
    ]
    if not grids:
        return None
    unit = Unit.of(study.metric)
    drawn = pd.concat(grids)
    colours = Colours(unit.scale * drawn["mean"], study.mode)
    digits = unit.places(unit.scale * (drawn["mean_high"] - drawn["mean_low"]) / 2)
    columns = max(part[RATE].nunique() for part in grids)
    rows = max(part[DECAY].nunique() for part in grids)
    across = min(len(grids), max(1, int(TWO / (0.5 * columns + 0.7))))
    down = -(-len(grids) // across)
    figure = Figure(
        figsize=(ONE if across == 1 else TWO, (0.36 * rows + 0.55) * down + 0.3),
        layout="constrained",
    )
    panels = list(figure.subplots(down, across, squeeze=False).ravel())
    for empty in panels[len(grids) :]:
        empty.remove()
    for axes, part in zip(panels, grids, strict=False):
        rates, decays = (sorted(part[key].unique()) for key in (RATE, DECAY))
        lattice(axes, [plain(rate) for rate in rates], [plain(value) for value in decays])
        axes.set_title(name(part.iloc[0], looks.method))
        for _, cell in part.iterrows():
            x, y = rates.index(cell[RATE]), decays.index(cell[DECAY])
            value = unit.scale * cell["mean"]
            colours.paint(axes, x, y, value)
            lost = f"\n{cell['diverged']} div." if cell["diverged"] else ""
            axes.text(
                x, y, fixed(value, digits) + lost, color=colours.ink(value), ha="center",
                va="center", fontsize=5.5, fontweight="bold" if cell["chosen"] else "normal",
            )  # fmt: skip
            if cell["chosen"]:
                box = (x - 0.46, y - 0.43)
                ink = colours.ink(value)
                axes.add_patch(Rectangle(box, 0.92, 0.86, fill=False, edgecolor=ink, linewidth=1))
    figure.supxlabel(RATE)
    figure.supylabel(DECAY)
    if problem.title:
        figure.suptitle(problem.title)
    figure.colorbar(colours.scale, ax=panels[: len(grids)], label=heading(study.metric), aspect=30)
    return figure


def _is_grid(part: pd.DataFrame) -> bool:
    rates, decays = part[RATE].nunique(), part[DECAY].nunique()
    return min(rates, decays) > 1 and 2 * len(part) >= rates * decays
