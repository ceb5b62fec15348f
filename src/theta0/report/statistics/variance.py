"""How much of the variance the optimizer, the init and both together explain."""

import numpy as np
import pandas as pd
from scipy import stats

from theta0.report.statistics.bootstrap import Values
from theta0.report.study import SEEDS, Study

TOGETHER = "optimizer × init"

TESTED = ("optimizer", "init", TOGETHER)
"""The sources of variance whose p counts, where both factors vary; seeds are blocks."""

ROUNDING = 1e-18
"""A sum of squares that is no larger a part of all is rounding, and so zero."""


def effects(study: Study, arms: pd.DataFrame) -> pd.DataFrame:
    """The two-way analysis of variance of the reported metric, for each context.

    A context is a combination of the factors other than optimizer and init; the columns are these,
    and those of `two_way`. The runs of the chosen cells count that are done; seeds are blocks, not
    tested. Where one factor alone varies nothing is tested either: pairs say as much.
    """
    others = [factor for factor in study.factors if factor not in ("optimizer", "init")]
    runs = study.runs[study.runs["cell"].isin(arms["cell"]) & (study.runs["status"] == "done")]
    runs = runs.dropna(subset=study.metric)
    parts = []
    for values, context in runs.groupby(others, dropna=False) if others else [((), runs)]:
        y = context[study.metric].to_numpy(float)
        seeds = context.groupby(SEEDS).ngroup()
        table = two_way(y, context["optimizer"], context["init"], seeds)
        both = {"optimizer", "init"} <= set(table["source"])
        table["p"] = table["p"].where(table["source"].isin(TESTED if both else ()))
        for factor, value in zip(reversed(others), reversed(values), strict=True):
            table.insert(0, factor, value)
        parts.append(table)
    columns = [*others, "source", "sum_sq", "df", "F", "p", "share"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def two_way(y: Values, optimizer: pd.Series, init: pd.Series, seed: pd.Series) -> pd.DataFrame:
    """Analysis of variance with sums of squares of type II: each source beside all that do not
    contain it.

    Columns: source ("optimizer", "init", "optimizer × init", "seed", "residual"), sum_sq, df, F, p,
    and share: of the sum of squares about the mean. The shares add up to 1 where no run is missing.
    A source without degrees of freedom, such as a factor with one level, has no row.
    """
    both = optimizer.astype(str).str.cat(init.astype(str), sep="\0")
    one = pd.Series("", index=optimizer.index)

    def left(*factors: pd.Series) -> tuple[float, int]:
        """The residual sum of squares of a model, and its degrees of freedom."""
        columns = [pd.get_dummies(factor, dtype=float).to_numpy() for factor in (one, *factors)]
        design = np.hstack(columns)
        fit, _, rank, _ = np.linalg.lstsq(design, y)
        squares = float(np.sum((y - design @ fit) ** 2))
        return squares if squares > ROUNDING * np.sum(y**2) else 0.0, len(y) - rank

    full, additive = left(both, seed), left(optimizer, init, seed)
    without = {
        "optimizer": (left(init, seed), additive),
        "init": (left(optimizer, seed), additive),
        TOGETHER: (additive, full),
        "seed": (left(both), full),
    }
    rows = [
        (source, smaller[0] - larger[0], smaller[1] - larger[1])
        for source, (smaller, larger) in without.items()
    ]
    table = pd.DataFrame([*rows, ("residual", *full)], columns=["source", "sum_sq", "df"])
    table = table[table["df"] > 0].reset_index(drop=True)
    tested = table["source"] != "residual"
    mean_square = table["sum_sq"] / table["df"]
    noise = full[0] / full[1] if full[1] else float("nan")
    table["F"] = (mean_square / noise).where(tested)
    table["p"] = stats.f.sf(table["F"], table["df"], full[1])
    table["share"] = table["sum_sq"] / left()[0]
    return table
