"""All differences that a report may assert are one family: at most 5 % of reports on data in which
nothing differs assert any.

Its members are the comparisons of every two combinations, also of those in no table, since the best
is chosen among them (bold, the recommendation), and the sources of the analyses of variance.
p is corrected by Holm's method; intervals of differences hold all at once at 95 % (Bonferroni).
"""

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from theta0.report.statistics.bootstrap import Values
from theta0.report.statistics.variance import TESTED

ALPHA = 0.05
"""Of the whole family."""


def family_size(compared: pd.DataFrame, effects: pd.DataFrame) -> int:
    """How many hypotheses the report tests."""
    return int(compared["p"].notna().sum() + _tested(effects).notna().sum())


def correct(
    compared: pd.DataFrame, effects: pd.DataFrame, limits: tuple[float, float]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables with corrected p and simultaneous intervals.

    Args:
        compared: see `theta0.report.statistics.comparisons.compare`. Gets low and high, the
            interval of the difference (Student's, NaN of fewer than two pairs); probability_low
            and probability_high (Wilson's); p_corrected; differs: whether that is below 5 %.
        effects: see `theta0.report.statistics.variance.effects`. Gets p_corrected, NaN of what is
            not tested.
        limits: between which a difference of the metric lies.
    """
    p = pd.concat([compared["p"], _tested(effects)], ignore_index=True).to_numpy(float)
    known = ~np.isnan(p)
    corrected = np.full(len(p), np.nan)
    corrected[known] = holm(p[known])
    alpha = ALPHA / max(1, int(known.sum()))

    freedom = (compared["both_done"] - 1).to_numpy(float)
    half = stats.t.isf(alpha / 2, np.maximum(freedom, 1)) * compared["error"]
    compared["low"] = (compared["difference"] - half).clip(*limits)
    compared["high"] = (compared["difference"] + half).clip(*limits)
    n = compared["n"].to_numpy()
    ends = proportion_confint(compared["wins"], np.maximum(n, 1), alpha=alpha, method="wilson")
    for name, values in zip(("low", "high"), ends, strict=True):
        compared[f"probability_{name}"] = pd.Series(values, compared.index).where(n > 0)
    compared["p_corrected"] = corrected[: len(compared)]
    compared["differs"] = compared["p_corrected"] < ALPHA
    effects["p_corrected"] = corrected[len(compared) :]
    return compared, effects


def _tested(effects: pd.DataFrame) -> pd.Series:
    return effects["p"].where(effects["source"].isin(TESTED)).astype(float)


def holm(p: Values) -> Values:
    """p-values corrected for their number (Holm 1979): the k-th smallest times n + 1 − k.

    (statsmodels collects garbage whenever it is asked for them, which takes longer than the rest.)
    """
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1)
    return corrected
