"""Two combinations of factors on the seeds that they share."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from theta0.report.statistics.bootstrap import Values, mean_intervals
from theta0.report.study import SEEDS, Study

ALPHA = 0.05

EQUAL = 1e-9
"""Differences are equal that vary by no more of the values: rounding is no spread."""

LEVELS = 12
"""Of a factor with more levels, each is compared with the best alone: pairs grow as the square."""


def comparisons(study: Study, arms: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Every two levels of a factor, all other factors being equal: one row a pair of them.

    Columns: factor; a and b, its levels, as text; the study's factors, with the values that both
    sides share (none for the factor itself); then what `compare` gives, with Holm's correction over
    all rows of a factor. Problems are not compared: numbers on other data mean something else.

    Args:
        study: the study.
        arms: its chosen cells, best first.
        seed: of the resampling.
    """
    parts = []
    for factor in study.factors:
        if factor.partition(".")[0] != "data":
            pairs = _pairs(study, arms, factor)
            a, b = (arms.iloc[[pair[side] for pair in pairs]].reset_index() for side in (0, 1))
            sides = {"factor": factor, "a": a[factor].astype(str), "b": b[factor].astype(str)}
            shared = a[study.factors].astype(object).assign(**{factor: None})
            parts.append(pd.DataFrame(sides).join(shared).join(compare(study, arms, pairs, seed)))
    return pd.concat(parts, ignore_index=True)


def _pairs(study: Study, arms: pd.DataFrame, factor: str) -> list[tuple[int, int]]:
    """Rows of `arms` that differ in the factor alone, in the order of its levels."""
    others = [other for other in study.factors if other != factor]
    numbered = arms.reset_index(drop=True)
    pairs: list[tuple[int, int]] = []
    for _, group in numbered.groupby(others, dropna=False, sort=True):
        rows = list(group.sort_values(factor, kind="stable").index)
        best = group.index[0]
        pairs += [
            pair for pair in itertools.combinations(rows, 2) if len(rows) <= LEVELS or best in pair
        ]
    return pairs


def compare(
    study: Study, arms: pd.DataFrame, pairs: Sequence[tuple[int, int]], seed: int = 0
) -> pd.DataFrame:
    """Row i tells of `pairs[i]`, two rows of `arms`, a and b, on the reported metric.

    Runs are paired by their seeds; each is done or diverged. Columns:

    - n: pairs; both_done: those of them in which neither run diverged.
    - difference: the mean over the latter of a − b, or b − a where less is better, so that a is
      better where it is positive; low and high: its interval, pairs being resampled; effect: it
      over the differences' standard deviation (Cohen's d of pairs).
    - probability that a is better on a seed, ties counting half and a diverged run as the worst,
      with Wilson's interval: probability_low and probability_high.
    - p: of the paired t test, or of the sign test where there is none (fewer than two pairs in
      which neither diverged, or equal differences). Where a run diverged and there are both: twice
      the smaller (Bonferroni), the t test counting only if it speaks for the side that wins on more
      seeds, since it has not seen who diverged. `test` tells which ("t" or "sign"); p_holm:
      corrected for all rows; differs: below 5 %.
    """
    scores = _scores(study, arms)
    a, b = (scores[:, [pair[side] for pair in pairs]] for side in (0, 1))
    shared = ~(np.isnan(a) | np.isnan(b))
    finite = np.isfinite(a) & np.isfinite(b)
    n, both_done = shared.sum(axis=0), finite.sum(axis=0)
    finite_a, finite_b = np.where(finite, a, 0), np.where(finite, b, 0)
    difference = np.where(finite, finite_a - finite_b, np.nan)
    wins, losses = (shared & (a > b)).sum(axis=0), (shared & (a < b)).sum(axis=0)
    points = wins + (n - wins - losses) / 2

    table = pd.DataFrame({"n": n, "both_done": both_done})
    table[["difference", "low", "high", "effect", "p"]] = np.nan
    table["test"] = "t"
    for count in np.unique(both_done[both_done > 0]):
        columns = np.flatnonzero(both_done == count)
        values = np.stack([difference[finite[:, c], c] for c in columns], axis=1)
        low, high = mean_intervals(values, seed)
        p, effect = np.full((2, len(columns)), np.nan)
        spread = np.ptp(values, axis=0) > EQUAL * np.abs(finite_a[:, columns]).max(axis=0)
        if spread.any():
            varied = values[:, spread]
            p[spread] = stats.ttest_1samp(varied, 0).pvalue
            effect[spread] = varied.mean(axis=0) / varied.std(axis=0, ddof=1)
        table.loc[columns, ["difference", "low", "high", "effect", "p"]] = np.stack(
            [values.mean(axis=0), low, high, effect, p], axis=1
        )
    for i in np.flatnonzero((n > 1) & ((n > both_done) | table["p"].isna())):
        agree = np.sign(wins[i] - losses[i]) == np.sign(table["difference"].iloc[i])
        decided = _decide(table["p"].iloc[i], int(wins[i]), int(losses[i]), bool(agree))
        table.loc[i, ["p", "test"]] = decided
    low, high = proportion_confint(points, np.maximum(n, 1), alpha=ALPHA, method="wilson")
    for name, values in {"": points / np.maximum(n, 1), "_low": low, "_high": high}.items():
        table[f"probability{name}"] = np.where(n > 0, values, np.nan)
    table["p_holm"] = np.nan
    known = table["p"].notna()
    table.loc[known, "p_holm"] = holm(table.loc[known, "p"].to_numpy())
    table["differs"] = table["p_holm"] < ALPHA
    return table


def _decide(t: float, wins: int, losses: int, agree: bool) -> tuple[float, str]:
    """p and its test, from that of the t test, NaN where there is none, and the signs."""
    sign = float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    if np.isnan(t):
        return sign, "sign"
    p, test = (t, "t") if agree and t < sign else (sign, "sign")
    return min(1.0, 2 * p), test


def holm(p: Values) -> Values:
    """p-values corrected for their number (Holm 1979): the k-th smallest times n + 1 − k.

    (statsmodels collects garbage whenever it is asked for them, which takes longer than the rest.)
    """
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1)
    return corrected


def _scores(study: Study, arms: pd.DataFrame) -> Values:
    """[seeds, arms]: the reported metric, more being better; −∞ where a run diverged, NaN where
    there is none that ended."""
    sign = 1 if study.mode == "max" else -1
    runs = study.runs[study.runs["cell"].isin(arms["cell"])]
    score = (sign * runs[study.metric]).where(runs["status"] == "done")
    score = score.mask(runs["status"] == "diverged", -np.inf)
    table = runs.assign(score=score).pivot(index=SEEDS, columns="cell", values="score")
    return table[list(arms["cell"])].to_numpy(float)


def leading(study: Study, arms: pd.DataFrame, seed: int = 0) -> pd.Series:
    """Whether an arm is the best of its problem, or not significantly worse than it.

    `arms` stand best first within a problem. Holm's correction is over the arms of the problem. One
    that cannot be compared, for want of shared seeds, does not lead, nor does one of which no run
    is done.
    """
    led = pd.Series(False, index=arms.index)
    problems = arms.groupby(study.problem, dropna=False) if study.problem else [((), arms)]
    for _, problem in problems:
        best, *others = problem.index
        led[best] = problem["n"].iloc[0] > 0
        against = compare(study, arms, [(best, other) for other in others], seed)
        worse = against["differs"] & (against["probability"] > 0.5)
        close = (against["p"].notna() & ~worse).to_numpy()
        led[others] = close & (problem.loc[others, "n"] > 0)
    return led
