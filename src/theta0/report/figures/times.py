"""Time to target."""

import numpy as np
from matplotlib.figure import Figure

from theta0.report.figures.axes import ends, frame, spread
from theta0.report.figures.panels import rows
from theta0.report.figures.problem import Problem
from theta0.report.figures.style import LOST, MEAN, SEED
from theta0.report.words import Unit, name

MEASURES = {"step": "steps", "seconds": "seconds of training"}


def times(problem: Problem) -> Figure | None:
    """When each run of each combination at its best setting first reached the target, in steps and
    in seconds, and the median; the soonest on top.

    A run that did not is a cross in a strip of its own. None where no run reached it.
    """
    study, looks = problem.study, problem.looks
    targets = problem.statistics.targets
    targets = targets[targets["chosen"]]
    if not targets["reached"].any():
        return None
    cells = problem.statistics.arms[[*study.factors, "cell"]]
    table = problem.statistics.times.merge(cells)
    table = table.sort_values(["step", "seconds"], kind="stable")
    missed = not targets["reached"].all()
    unit, sign = Unit.of(study.objective.metric), "≥" if study.objective.mode == "max" else "≤"
    told = f"{unit.scale * table['target'].iloc[0]:.4g}{unit.sign}"
    figure, panels = rows(
        [name(arm, looks.method) for _, arm in table.iterrows()],
        across=len(MEASURES),
        title=f"{problem.title}: until {study.objective.metric} {sign} {told}".removeprefix(": "),
    )
    for axes, (measure, label) in zip(panels, MEASURES.items(), strict=True):
        low, high = ends(targets[measure])
        log = low > 0 and high > 10 * low
        strip = frame(
            axes,
            "x",
            low if log else 0,
            high,
            log=log,
            gutter="never" if missed else "",
            above=True,
        )
        for y, (_, arm) in enumerate(table.iterrows()):
            look = looks.of(arm)
            runs = targets[targets["cell"] == arm["cell"]]
            there = runs.loc[runs["reached"], measure]
            axes.scatter(there, spread((y - 0.35, y + 0.35), len(there)), color=look.colour, **SEED)
            never = int((~runs["reached"]).sum())
            axes.scatter(spread(strip, never), [y] * never, color=look.colour, **LOST)
            if np.isfinite(arm[measure]):
                axes.plot([arm[measure]], [y], color=look.colour, marker=look.marker, ls="", **MEAN)
        axes.set_xlabel(label)
    return figure
