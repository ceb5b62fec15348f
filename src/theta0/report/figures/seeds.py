"""Every seed behind every mean."""

from matplotlib.figure import Figure

from theta0.report.figures.axes import bars, frame, heading, room, spread
from theta0.report.figures.panels import rows
from theta0.report.figures.problem import Problem
from theta0.report.figures.style import LOST, MEAN, SEED
from theta0.report.words import Unit, name


def seeds(problem: Problem) -> Figure | None:
    """Mean and interval of 95 % of each combination at its best setting, the best on top, and a dot
    for each run that is done; one that diverged is a cross in a strip of its own.

    None where no run is done.
    """
    study, looks, arms = problem.study, problem.looks, problem.statistics.arms
    if not arms["n"].any():
        return None
    unit = Unit.of(study.metric)
    runs = problem.chosen()
    done = runs[runs["status"] == "done"]
    names = [name(arm, looks.method) for _, arm in arms.iterrows()]
    figure, (axes,) = rows(names, title=problem.title)
    strip = frame(
        axes,
        "x",
        *room(done[study.metric], arms, unit.scale),
        gutter="diverged" if arms["diverged"].any() else "",
        above=study.mode == "min",
    )
    for y, (_, arm) in enumerate(arms.iterrows()):
        look = looks.of(arm)
        dots = unit.scale * done.loc[done["cell"] == arm["cell"], study.metric]
        axes.scatter(dots, spread((y - 0.35, y + 0.35), len(dots)), color=look.colour, **SEED)
        lost = int(arm["diverged"])
        axes.scatter(spread(strip, lost), [y] * lost, color=look.colour, **LOST)
        axes.errorbar(
            [unit.scale * arm["mean"]], [y], xerr=bars(arm.to_frame().T, unit.scale),
            color=look.colour, marker=look.marker, ls="", elinewidth=0.8, **MEAN,
        )  # fmt: skip
    axes.set_xlabel(heading(study.metric))
    return figure
