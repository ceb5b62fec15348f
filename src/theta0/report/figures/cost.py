"""What the result costs."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from theta0.report.figures.axes import bars, ends, frame, heading, room
from theta0.report.figures.panels import legend
from theta0.report.figures.problem import Problem
from theta0.report.figures.style import GREY, MEAN, ONE, SEED
from theta0.report.words import Unit

SECONDS = "cost.fit_seconds"


def cost(problem: Problem) -> Figure | None:
    """Mean and interval of 95 % against mean seconds of training, of each combination at its best
    setting; behind each mean its seeds.

    The grey line joins those than which none is both better and cheaper. None for a single one.
    """
    study, looks, arms = problem.study, problem.looks, problem.statistics.arms
    arms = arms[(arms["n"] > 0) & arms["fit_seconds"].notna()]
    if len(arms) < 2:
        return None
    unit = Unit.of(study.metric)
    runs = problem.chosen()
    done = runs[runs["status"] == "done"]
    figure = Figure(figsize=(ONE, 2.9), layout="constrained")
    axes = figure.subplots()
    low, high = ends(done[SECONDS])
    log = low > 0 and high > 10 * low
    frame(axes, "x", low if log else 0, high, log=log)
    frame(axes, "y", *room(done[study.metric], arms, unit.scale))
    best = frontier(arms, study.mode)
    axes.step(
        best["fit_seconds"], unit.scale * best["mean"], where="post", color=GREY, lw=0.7, zorder=1
    )
    for _, arm in arms.sort_values(looks.method).iterrows():
        look = looks.of(arm)
        seeds = done[done["cell"] == arm["cell"]]
        axes.scatter(seeds[SECONDS], unit.scale * seeds[study.metric], color=look.colour, **SEED)
        axes.errorbar(
            [arm["fit_seconds"]], [unit.scale * arm["mean"]], bars(arm.to_frame().T, unit.scale),
            color=look.colour, marker=look.marker, ls="", elinewidth=0.8, **MEAN,
        )  # fmt: skip
    axes.set(xlabel="seconds of training", ylabel=heading(study.metric))
    if problem.title:
        figure.suptitle(problem.title)
    legend(figure, looks, arms, markers=True)
    return figure


def frontier(arms: pd.DataFrame, mode: str) -> pd.DataFrame:
    """Those than which none is both better and cheaper, the cheapest first."""
    order = arms.sort_values("fit_seconds", kind="stable")
    value = order["mean"] if mode == "max" else -order["mean"]
    return order[value > value.cummax().shift(fill_value=-np.inf)]
