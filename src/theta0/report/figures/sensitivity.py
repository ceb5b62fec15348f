"""What the learning rate does to the result."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from theta0.report.figures.axes import bars, frame, heading, room, spread, swept
from theta0.report.figures.panels import legend, panels
from theta0.report.figures.problem import Problem
from theta0.report.figures.style import LOST, MEAN, SEED
from theta0.report.statistics.cells import ranked
from theta0.report.words import Unit

RATE = "optimizer.lr"


def sensitivity(problem: Problem) -> Figure | None:
    """Mean and interval of 95 % against the learning rate, other settings at their best for each;
    behind each mean its seeds.

    A run that diverged is a cross in a strip of its own, to which a dashed line leads where all of
    a rate did. None unless two rates were tried, and runs came to something.
    """
    study, looks = problem.study, problem.looks
    rated = RATE in study.settings and pd.api.types.is_numeric_dtype(study.runs[RATE])
    if not rated or study.runs[RATE].nunique() < 2:
        return None
    best = best_at(problem, [RATE]).dropna(subset=[RATE]).sort_values(RATE)
    if not (best["n"] + best["diverged"]).any():
        return None
    runs = study.runs[study.runs["cell"].isin(best["cell"])]
    scale, above = Unit.of(study.metric).scale, study.mode == "min"
    done = runs[runs["status"] == "done"]
    least, most = room(done[study.metric], best, scale)
    parts = looks.panels(best)
    figure, axes = panels(len(parts), title=problem.title)
    for axis, (title, part) in zip(axes, parts, strict=True):
        axis.set_title(title)
        step = swept(axis, RATE, part[RATE].tolist())
        strip = frame(
            axis, "y", least, most, gutter="diverged" if best["diverged"].any() else "", above=above
        )
        arms = [arm for _, arm in part.groupby(looks.method, dropna=False, sort=True)]
        for number, arm in enumerate(arms):
            look = looks.of(arm.iloc[0])
            aside = step ** (0.2 * ((number + 0.5) / len(arms) - 0.5))
            x, mean = arm[RATE].to_numpy(float) * aside, scale * arm["mean"].to_numpy(float)
            lost = np.isnan(mean) & (arm["diverged"].to_numpy() > 0)
            fallen = np.where(lost, sum(strip) / 2, mean)
            known = ~np.isnan(fallen)
            axis.plot(
                x[known], fallen[known], color=look.colour, ls=(0, (2, 2)), lw=0.7, zorder=3.7
            )
            axis.errorbar(
                x, mean, bars(arm, scale), color=look.colour, ls=look.dash, marker=look.marker,
                elinewidth=0.8, **MEAN,
            )  # fmt: skip
            for place, cell in zip(x, arm["cell"], strict=True):
                seeds = runs[runs["cell"] == cell]
                done = scale * seeds.loc[seeds["status"] == "done", study.metric]
                axis.scatter([place] * len(done), done, color=look.colour, **SEED)
                count = int((seeds["status"] == "diverged").sum())
                axis.scatter([place] * count, spread(strip, count), color=look.colour, **LOST)
    figure.supylabel(heading(study.metric))
    legend(figure, looks, best)
    return figure


def best_at(problem: Problem, settings: Sequence[str]) -> pd.DataFrame:
    """The cells that are best on validation at each value of some settings, for each method."""
    order = ranked(problem.statistics.cells, "selection", problem.study.objective.mode)
    return order.drop_duplicates([*problem.study.method, *settings])
