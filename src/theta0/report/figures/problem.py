"""A study problem by problem: no figure puts accuracies on two data sets side by side."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import pandas as pd

from theta0.report.figures.looks import Looks
from theta0.report.statistics import Statistics
from theta0.report.study import Study
from theta0.report.words import name


@dataclass(frozen=True)
class Problem:
    """What a figure is drawn from.

    Attributes:
        title: the problem, in words; "" where there is one alone.
        study: its runs, and their curves.
        statistics: their numbers.
        looks: of the methods, those of all problems.
    """

    title: str
    study: Study
    statistics: Statistics
    looks: Looks

    def chosen(self) -> pd.DataFrame:
        """The runs of the cells that stand for their combination."""
        runs = self.study.runs
        return runs[runs["cell"].isin(self.statistics.arms["cell"])]


def problems(study: Study, statistics: Statistics) -> Iterator[Problem]:
    """Each problem of a study."""
    looks = Looks(study)
    if not study.problem:
        yield Problem("", study, statistics, looks)
        return
    for values, runs in study.runs.groupby(study.problem, dropna=False, sort=True):
        row = dict(zip(study.problem, values, strict=True))
        part = replace(
            study,
            runs=runs.reset_index(drop=True),
            curves=study.curves.merge(runs[["study", "run"]]),
            results=[study.results[number] for number in runs.index],
            paths=[study.paths[number] for number in runs.index],
        )
        tables = {f.name: _of(row, getattr(statistics, f.name)) for f in fields(Statistics)}
        yield Problem(name(row, study.problem), part, Statistics(**tables), looks)


def _of(problem: Mapping[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a statistic that are about a problem; all where it tells none."""
    factors = list(problem)
    if not set(factors) <= set(table):
        return table
    there = (table[factors].astype(str) == pd.Series(problem).astype(str)).all(axis=1)
    return table[there].reset_index(drop=True)
