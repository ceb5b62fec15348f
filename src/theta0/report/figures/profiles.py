"""Performance profiles, over all problems."""

from matplotlib.figure import Figure

from theta0.report.figures.axes import ends, frame, spread
from theta0.report.figures.panels import legend, panels
from theta0.report.figures.problem import Problem

MEASURES = {"step": "steps", "seconds": "seconds"}
APART = (-0.03, 0.03)
"""Lines stand so far aside from their shares, each elsewhere: many would hide each other."""


def profiles(problem: Problem) -> Figure | None:
    """The share of instances (a problem with its seeds) on which a method takes at most τ times as
    long as the fastest one to reach the target (Dolan and Moré 2002).

    Of all problems in one. None where there are no profiles, or those of a single method.
    """
    table, looks = problem.statistics.profiles, problem.looks
    if len(table.drop_duplicates(looks.method)) < 2:
        return None
    figure, axes = panels(len(MEASURES), height=2.2)
    for axis, (measure, label) in zip(axes, MEASURES.items(), strict=True):
        part = table[table["measure"] == measure]
        furthest = 1.1 * ends(part["tau"].astype(float))[1]
        frame(axis, "x", 1, furthest, log=True)
        lines = [line for _, line in part.groupby(looks.method, dropna=False, sort=True)]
        for line, aside in zip(lines, spread(APART, len(lines)), strict=True):
            look = looks.of(line.iloc[0])
            tau = [*line["tau"], furthest]
            share = [*(line["share"] + aside), line["share"].iloc[-1] + aside]
            axis.step(
                tau, share, where="post", color=look.colour, ls=look.dash, marker=look.marker,
                markersize=3, markevery=slice(0, len(line)),
            )  # fmt: skip
        axis.set(xlabel=f"τ, in {label}")
        frame(axis, "y", 0, 1)
    axes[0].set_ylabel("share of instances")
    legend(figure, looks, table, markers=True)
    return figure
