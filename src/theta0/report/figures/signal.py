"""How signals pass through the layers, forward and backward."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from theta0.errors import first_line
from theta0.files import open_plain
from theta0.report.figures.axes import ends, frame
from theta0.report.figures.panels import legend
from theta0.report.figures.problem import Problem
from theta0.report.figures.style import TWO

QUANTITIES = {"activation_std": "std of activations", "grad_std": "std of gradients"}
"""Columns of diagnostics.csv, and what they are called."""


def signal(problem: Problem) -> Figure | None:
    """Standard deviations of activations and of gradients with respect to pre-activations against
    depth, at θ₀, and for each optimizer at the last step that all runs measured.

    Medians over seeds; bands from the least to the largest. What is 0 has no place on a logarithmic
    axis: a line ends there. None without diagnostics, or with those of a single layer.
    """
    looks = problem.looks
    layers = measured(problem)
    if layers.empty or layers["depth"].max() < 2:
        return None
    done = layers[layers["status"] == "done"]
    common = done.groupby("step")["number"].nunique()
    last = int(common.index[common == common.max()].max()) if len(common) else 0
    parts = [("θ₀", layers[layers["step"] == 0])]
    if last > 0:
        for title, part in looks.panels(layers[layers["step"] == last]):
            after = f"after {last} steps"
            parts.append((f"{title}, {after}" if title else after, part))
    figure = Figure(figsize=(TWO, 1.6 * len(parts) + 0.5), layout="constrained")
    panels = figure.subplots(len(parts), len(QUANTITIES), squeeze=False, sharey="col")
    for row, (title, part) in zip(panels, parts, strict=True):
        for axes, (quantity, label) in zip(row, QUANTITIES.items(), strict=True):
            axes.set_title(title)
            axes.set_ylabel(label)
            for _, line in part.groupby(looks.lines, dropna=False, sort=True):
                look = looks.of(line.iloc[0])
                _draw(axes, line, quantity, look.colour, look.dash)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axes in panels[-1]:
        axes.set_xlabel("weighted layer")
    for axes, quantity in zip(panels[0], QUANTITIES, strict=True):
        shown = pd.concat([part for _, part in parts])[quantity]
        if (shown > 0).any():
            frame(axes, "y", *ends(shown[shown > 0]), log=True)
    if problem.title:
        figure.suptitle(problem.title)
    legend(figure, looks, layers)
    return figure


def _draw(axes: Axes, line: pd.DataFrame, quantity: str, colour: str, dash: str) -> None:
    known = line[line[quantity].notna()]
    by_depth = known.groupby("depth")[quantity].agg(["median", "min", "max"])
    positive = by_depth.where(by_depth > 0)
    axes.plot(positive.index, positive["median"], color=colour, ls=dash, zorder=3)
    axes.fill_between(
        positive.index, positive["min"], positive["max"], color=colour, alpha=0.18, linewidth=0
    )


def measured(problem: Problem) -> pd.DataFrame:
    """diagnostics.csv of the runs of the chosen cells, one row a run, step and weighted layer.

    A file that cannot be read is added to the study's `broken`.

    Columns: those of the method; number, of the run; status; step; depth, from 1; the quantities.
    """
    runs = problem.chosen()
    columns = ["step", "layer", *QUANTITIES]
    parts = {}
    for number in runs.index:
        path = problem.study.paths[number] / "diagnostics.csv"
        try:
            with open_plain(path) as file:
                rows = pd.read_csv(file, usecols=columns, dtype=dict.fromkeys(QUANTITIES, float))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            problem.study.broken.append(f"{path}: cannot be read: {first_line(error)}")
            continue
        rows = rows[rows["layer"].notna()]  # the whole network's
        parts[number] = rows.assign(depth=rows.groupby("step").cumcount() + 1)
    if not parts:
        return pd.DataFrame(columns=[*problem.looks.method, "number", "status", "depth", *columns])
    layers = pd.concat(parts, names=["number"]).reset_index("number")
    return layers.join(
        runs[["status", *dict.fromkeys(["optimizer", *problem.looks.method])]], on="number"
    )
