"""Figures for papers, as PDF and PNG: one look, seen by the colour-blind, made without LaTeX."""

import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure

from theta0.report.figures.cost import cost
from theta0.report.figures.curves import curves
from theta0.report.figures.decay import decay
from theta0.report.figures.grid import grid
from theta0.report.figures.problem import Problem, problems
from theta0.report.figures.profiles import profiles
from theta0.report.figures.seeds import seeds
from theta0.report.figures.sensitivity import sensitivity
from theta0.report.figures.signal import signal
from theta0.report.figures.style import STYLE
from theta0.report.figures.times import times
from theta0.report.statistics import Statistics
from theta0.report.study import Study
from theta0.results import write_atomically

__all__ = ["FIGURES", "draw"]

FIGURES: dict[str, Callable[[Problem], Figure | None]] = {
    "grid": grid,
    "seeds": seeds,
    "curves-epoch": partial(curves, by="epoch"),
    "curves-step": partial(curves, by="step"),
    "curves-seconds": partial(curves, by="seconds"),
    "sensitivity": sensitivity,
    "decay": decay,
    "signal": signal,
    "times": times,
    "cost": cost,
}
"""By the names of their files; each None where a study has not what it shows."""

KINDS = {"png": {}, "pdf": {"CreationDate": None}}
"""Formats, and what is said in each: no date, so that the same study gives the same bytes."""


def draw(study: Study, statistics: Statistics, folder: Path) -> list[str]:
    """Every figure that a study has something for, in `folder`, as name.pdf and name.png.

    Where there are several problems, one each, as name-<problem>; `profiles` is of all. Those of an
    earlier report that this one has not are removed.

    Returns:
        The names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with matplotlib.style.context(STYLE, after_reset=True):
        parts = list(problems(study, statistics))
        for problem in parts:
            for name, figure_of in FIGURES.items():
                behind = f"-{problem.title}" if problem.title else ""
                drawn += _save(figure_of(problem), f"{name}{behind}", folder)
        drawn += _save(profiles(parts[0]), "profiles", folder)
    ours = re.compile(rf"({'|'.join([*FIGURES, 'profiles'])})(-[\w.@]+=.*)?")
    for path in (path for kind in KINDS for path in folder.glob(f"*.{kind}")):
        if ours.fullmatch(path.stem) and path.stem not in drawn:
            path.unlink()
    return drawn


def _save(figure: Figure | None, title: str, folder: Path) -> list[str]:
    if figure is None:
        return []
    name = re.sub(r"[^\w.=-]+", "-", title)
    for kind, metadata in KINDS.items():
        content = io.BytesIO()
        figure.savefig(content, format=kind, metadata=metadata)
        figure.set_layout_engine("none")  # the first has laid it out
        write_atomically(folder / f"{name}.{kind}", content.getvalue())
    return [name]
