"""Learning curves."""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from theta0.report.figures.axes import ends, frame, heading
from theta0.report.figures.panels import legend, panels
from theta0.report.figures.problem import Problem
from theta0.report.figures.style import LOST
from theta0.report.words import Unit

By = Literal["epoch", "step", "seconds"]

AXIS = {"epoch": "epoch", "step": "step", "seconds": "seconds of training"}


def curves(problem: Problem, by: By) -> Figure | None:
    """The objective of each combination at its best setting: means over the runs that are done,
    with bands of 95 % (Student's).

    A run that diverged ends in a cross. None unless there are two epochs to draw.
    """
    study, looks = problem.study, problem.looks
    metric = study.objective.metric
    if metric not in study.curves:
        return None
    arms = problem.statistics.arms
    runs = study.runs.loc[study.runs["cell"].isin(arms["cell"]), ["study", "run", "cell", "status"]]
    columns = dict.fromkeys(["study", "run", "epoch", by, metric])
    epochs = study.curves[list(columns)].replace([np.inf, -np.inf], np.nan).merge(runs).dropna()
    epochs[metric] *= Unit.of(metric).scale
    done = epochs[epochs["status"] == "done"]
    lost = epochs[epochs["status"] == "diverged"].drop_duplicates(["study", "run"], keep="last")
    means = mean_curves(done, metric, by)
    if means["epoch"].nunique() < 2:
        return None
    least, most = ends(done[metric], lost[metric])
    right = max(means["x"].max(), lost[by].max() if len(lost) else 0)
    parts = looks.panels(arms.sort_values(looks.method))
    figure, axes = panels(len(parts), title=problem.title)
    for axis, (title, part) in zip(axes, parts, strict=True):
        axis.set_title(title)
        axis.set(xlabel=AXIS[by])
        frame(axis, "y", least, most)
        frame(axis, "x", 0, right, whole=by != "seconds")
        for _, arm in part.iterrows():
            look = looks.of(arm)
            line = means[means["cell"] == arm["cell"]]
            axis.fill_between(
                line["x"], line["mean"] - line["half"], line["mean"] + line["half"],
                color=look.colour, alpha=0.18, linewidth=0, zorder=1,
            )  # fmt: skip
            axis.plot(line["x"], line["mean"], color=look.colour, ls=look.dash, zorder=3)
            end = lost[lost["cell"] == arm["cell"]]
            axis.scatter(end[by], end[metric], color=look.colour, **LOST)
    figure.supylabel(heading(metric))
    legend(figure, looks, arms)
    return figure


def mean_curves(done: pd.DataFrame, metric: str, by: By) -> pd.DataFrame:
    """Columns: cell; epoch; x, the mean of `by`; n; mean; half of its interval, NaN for n < 2."""
    grouped = done.groupby(["cell", "epoch"])
    means = pd.DataFrame(
        {
            "x": grouped[by].mean(),
            "n": grouped.size(),
            "mean": grouped[metric].mean(),
            "std": grouped[metric].std(),
        }
    ).reset_index()
    quantile = stats.t.ppf(0.975, np.maximum(means["n"] - 1, 1))
    means["half"] = quantile * means["std"] / np.sqrt(means["n"])
    return means
