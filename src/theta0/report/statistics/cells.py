"""What each cell's runs came to, and the cell that stands for each combination of factors."""

import numpy as np
import pandas as pd

from theta0.report.statistics.bootstrap import STATISTICS, Values, intervals
from theta0.report.statistics.limits import limits
from theta0.report.study import Study

UNTIMELY = ("diverged", "failed", "pruned", "unfinished")
"""How a run may end, or stand, that is not done."""

DESCRIPTION = [
    "mean", "mean_low", "mean_high", "std",
    "median", "median_low", "median_high", "iqm", "iqm_low", "iqm_high",
]  # fmt: skip


def cells(study: Study, seed: int = 0) -> pd.DataFrame:
    """One row a cell, in the order of the axes' values.

    Columns: the axes; cell; n, the number of runs that are done, and how many are not; of the
    reported metric over those done: mean, sample standard deviation, median and interquartile mean,
    with intervals of 95 %, each for itself (see `theta0.report.statistics.bootstrap`), which end
    where the metric does (`theta0.report.statistics.limits`); `selection` and `standing`,
    the means of the objective and of the reported metric, to which a run that diverged or was
    pruned contributes the worst that any run of its problem has; mean seconds of everything and of
    fit, and mean steps, over those done; `chosen`: whether the cell stands for its combination of
    factors.

    That is the one of its settings with the best `selection`: test rows choose nothing, and no
    setting wins by its lucky seeds alone.
    """
    runs = study.runs.assign(
        ended=study.runs["status"].replace({"running": "unfinished", "interrupted": "unfinished"}),
        selection=with_lost(study, "objective.value", study.objective.mode),
        standing=with_lost(study, study.metric, study.mode),
    )
    ends = limits(study.metric, runs[study.metric])
    rows = []
    for values, cell in runs.groupby(study.axes, dropna=False, sort=True):
        done = cell[cell["status"] == "done"]
        known = done[study.metric].dropna().to_numpy(float)
        counts = cell["ended"].value_counts()
        rows.append(
            dict(zip(study.axes, values, strict=True))
            | {"cell": cell["cell"].iloc[0], "n": len(known)}
            | {end: int(counts.get(end, 0)) for end in UNTIMELY}
            | _describe(known, seed, ends)
            | {
                "selection": cell["selection"].mean(),
                "standing": cell["standing"].mean(),
                "seconds": done["cost.wall_seconds"].mean(),
                "fit_seconds": done["cost.fit_seconds"].mean(),
                "steps": done["cost.steps"].mean(),
            }
        )
    table = pd.DataFrame(rows)
    best_first = ranked(table, "selection", study.objective.mode)
    table["chosen"] = ~best_first.duplicated(study.factors).reindex(table.index)
    return table


def with_lost(study: Study, column: str, mode: str) -> pd.Series:
    """A column over runs that are done; the worst value of their problem where a run diverged, was
    pruned, or has no best epoch, its objective never having been finite; NaN elsewhere."""
    runs = study.runs
    good = (runs["status"] == "done") & runs["objective.value"].notna()
    done = runs[column].where(good)
    problems = [runs[factor] for factor in study.problem] or [pd.Series(0, runs.index)]
    worst = done.groupby(problems, dropna=False).transform("min" if mode == "max" else "max")
    return done.mask(runs["status"].isin(["diverged", "pruned", "done"]) & ~good, worst)


def ranked(cells: pd.DataFrame, column: str, mode: str) -> pd.DataFrame:
    """Cells with the best first, by a column; of equal ones that of which fewer runs diverged.

    Those of which no run is done come last.
    """
    value = cells[column] if mode == "min" else -cells[column]
    keys = pd.DataFrame({"none": cells["n"] == 0, "value": value, "lost": cells["diverged"]})
    return cells.loc[keys.sort_values(list(keys), kind="stable").index]


def _describe(values: Values, seed: int, ends: tuple[float, float]) -> dict[str, float]:
    numbers = dict.fromkeys(DESCRIPTION, float("nan"))
    if len(values) > 1:
        numbers["std"] = float(np.std(values, ddof=1))
    if len(values) > 0:
        ordered = np.sort(values)
        for name, (low, high) in intervals([values], seed).items():
            numbers |= {name: float(STATISTICS[name](ordered))}
            numbers |= {f"{name}_low": max(low, ends[0]), f"{name}_high": min(high, ends[1])}
    return numbers
