"""Two combinations of factors on the seeds that they share."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from theta0.report.statistics.bootstrap import Values
from theta0.report.study import SEEDS, Study

EQUAL = 1e-9
"""Differences are equal that vary by no more of the values: rounding is no spread."""

LEVELS = 12
"""Of a factor with more levels, each is shown against the best alone: pairs grow as the square.
They are all corrected for."""

Pair = tuple[int, int]
"""Two rows of arms."""


def pairs(study: Study, arms: pd.DataFrame) -> list[Pair]:
    """Every two combinations that the report may compare, each once: all of one problem, which the
    best is chosen from, and those of different problems that differ in one factor alone."""
    seen: dict[frozenset[int], Pair] = {}
    within = (itertools.combinations(rows, 2) for rows in problems(study, arms))
    neighbours = (pair for _, pair in _neighbours(study, arms))
    for pair in itertools.chain(neighbours, itertools.chain.from_iterable(within)):
        seen.setdefault(frozenset(pair), pair)
    return list(seen.values())


def problems(study: Study, arms: pd.DataFrame) -> Iterator[list[int]]:
    """The rows of `arms` that solve the same problem, in their order."""
    if study.problem:
        for _, rows in arms.groupby(study.problem, dropna=False):
            yield list(rows.index)
    else:
        yield list(arms.index)


def comparisons(study: Study, arms: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """Every two levels of a factor, all other factors being equal: one row a pair of them.

    Columns: factor; a and b, its levels, as text; the study's factors, with the values that both
    sides share (none for the factor itself); then those of `compared`. Problems are not compared:
    numbers on other data mean something else.

    Args:
        study: the study.
        arms: its chosen cells, best first, numbered from 0.
        compared: every pair; see `theta0.report.statistics.family.correct`.
    """
    rows = list(_neighbours(study, arms, LEVELS))
    factors = pd.Series([factor for factor, _ in rows], dtype=str)
    a, b = (arms.iloc[[pair[side] for _, pair in rows]].reset_index(drop=True) for side in (0, 1))
    shared = a[study.factors].astype(object)
    sides = pd.DataFrame({"factor": factors, "a": "", "b": ""})
    for factor in study.factors:
        here = sides["factor"] == factor
        sides.loc[here, "a"], sides.loc[here, "b"] = a[factor].astype(str), b[factor].astype(str)
        shared.loc[here, factor] = None
    between = select(compared, [pair for _, pair in rows])
    return pd.concat([sides, shared, between.drop(columns=["first", "second"])], axis=1)


def select(compared: pd.DataFrame, wanted: Sequence[Pair]) -> pd.DataFrame:
    """The rows of `compared` for these pairs, in their order, seen from the first of each."""
    sides = zip(compared["first"], compared["second"], strict=True)
    place = {pair: number for number, pair in enumerate(sides)}
    as_is = np.array([pair in place for pair in wanted], bool)
    rows = compared.iloc[[place[p if p in place else p[::-1]] for p in wanted]]
    rows = rows.reset_index(drop=True)
    return pd.concat([rows[as_is], rows[~as_is].assign(**_other_side(rows[~as_is]))]).sort_index()


def turned(row: pd.Series) -> pd.Series:
    """A row of `comparisons` seen from its other side."""
    return pd.Series({**row, "a": row["b"], "b": row["a"], **_other_side(row)})


def _other_side(row: Any) -> dict[str, Any]:
    """What changes of a row, or of several."""
    swap = [("first", "second"), ("second", "first")]
    return {one: row[other] for one, other in swap if one in row} | {
        "difference": -row["difference"],
        "low": -row["high"],
        "high": -row["low"],
        "effect": -row["effect"],
        "wins": row["n"] - row["wins"],
        "probability": 1 - row["probability"],
        "probability_low": 1 - row["probability_high"],
        "probability_high": 1 - row["probability_low"],
    }


def _neighbours(
    study: Study, arms: pd.DataFrame, levels: float = float("inf")
) -> Iterator[tuple[str, Pair]]:
    """(factor, pair) of rows of `arms` that differ in that factor alone, in the order of its
    levels; of a factor with more than so many levels, the pairs with the best."""
    for factor in study.factors:
        if factor.partition(".")[0] == "data":
            continue
        others = [other for other in study.factors if other != factor]
        for _, group in arms.groupby(others, dropna=False, sort=True):
            rows = list(group.sort_values(factor, kind="stable").index)
            best = group.index[0]
            for pair in itertools.combinations(rows, 2):
                if len(rows) <= levels or best in pair:
                    yield factor, pair


def compare(study: Study, arms: pd.DataFrame, wanted: Sequence[Pair]) -> pd.DataFrame:
    """Row i tells of `wanted[i]`, two rows of `arms`, on the reported metric; nothing is corrected.

    Runs are paired by their seeds; each is done or diverged. Columns:

    - first, second: the pair.
    - n: pairs of runs; both_done: those of them in which neither run diverged.
    - difference: the mean over the latter of first − second, or second − first where less is
      better, so that the first is better where it is positive; error: its standard error; effect:
      it over the differences' standard deviation (Cohen's d of pairs).
    - wins: seeds on which the first is better, ties counting half and a diverged run as the worst;
      probability: their share.
    - p: of the paired t test, or of the sign test where there is none (fewer than two pairs in
      which neither diverged, or equal differences). Where a run diverged and there are both: twice
      the smaller (Bonferroni), the t test counting only if it speaks for the side that wins on more
      seeds, since it has not seen who diverged. NaN of fewer than two pairs. `test` names it ("t"
      or "sign").
    """
    scores = _scores(study, arms)
    a, b = (scores[:, [pair[side] for pair in wanted]] for side in (0, 1))
    shared = ~(np.isnan(a) | np.isnan(b))
    finite = np.isfinite(a) & np.isfinite(b)
    n, both_done = shared.sum(axis=0), finite.sum(axis=0)
    finite_a, finite_b = np.where(finite, a, 0), np.where(finite, b, 0)
    difference = np.where(finite, finite_a - finite_b, np.nan)
    wins, losses = (shared & (a > b)).sum(axis=0), (shared & (a < b)).sum(axis=0)

    mean, error, effect, p = np.full((4, len(wanted)), np.nan)
    for count in np.unique(both_done[both_done > 0]):
        columns = np.flatnonzero(both_done == count)
        values = np.stack([difference[finite[:, c], c] for c in columns], axis=1)
        mean[columns] = values.mean(axis=0)
        if count > 1:
            error[columns] = values.std(axis=0, ddof=1) / np.sqrt(count)
            varied = np.ptp(values, axis=0) > EQUAL * np.abs(finite_a[:, columns]).max(axis=0)
            some = columns[varied]
            t = mean[some] / error[some]
            effect[some] = t / np.sqrt(count)
            p[some] = 2 * stats.t.sf(np.abs(t), count - 1)
    test = np.full(len(wanted), "t", dtype=object)
    for i in np.flatnonzero((n > 1) & ((n > both_done) | np.isnan(p))):
        agree = bool(np.sign(wins[i] - losses[i]) == np.sign(mean[i]))
        p[i], test[i] = _decide(p[i], int(wins[i]), int(losses[i]), agree)
    points = wins + (n - wins - losses) / 2
    first, second = np.array(wanted, int).reshape(-1, 2).T
    return pd.DataFrame(
        {
            "first": first, "second": second, "n": n, "both_done": both_done, "difference": mean,
            "error": error, "effect": effect, "wins": points,
            "probability": np.where(n > 0, points / np.maximum(n, 1), np.nan), "p": p, "test": test,
        }
    )  # fmt: skip


def _decide(t: float, wins: int, losses: int, agree: bool) -> tuple[float, str]:
    """p and its test, from that of the t test, NaN where there is none, and the signs."""
    sign = _sign_test(wins, losses)
    if np.isnan(t):
        return sign, "sign"
    p, test = (t, "t") if agree and t < sign else (sign, "sign")
    return min(1.0, 2 * p), test


@functools.cache
def _sign_test(wins: int, losses: int) -> float:
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def _scores(study: Study, arms: pd.DataFrame) -> Values:
    """[seeds, arms]: the reported metric, more being better; −∞ where a run diverged, NaN where
    there is none that ended."""
    sign = 1 if study.mode == "max" else -1
    runs = study.runs[study.runs["cell"].isin(arms["cell"])]
    score = (sign * runs[study.metric]).where(runs["status"] == "done")
    score = score.mask(runs["status"] == "diverged", -np.inf)
    table = runs.assign(score=score).pivot(index=SEEDS, columns="cell", values="score")
    return table[list(arms["cell"])].to_numpy(float)


def leading(study: Study, arms: pd.DataFrame, compared: pd.DataFrame) -> pd.Series:
    """Whether nothing says that an arm is worse than the best of its problem: it is that, or it is
    not significantly worse.

    `arms` stand best first within a problem; the best is chosen by the values that are then
    compared, so `compared` has to be corrected for all pairs. One of which no run is done does not
    lead.
    """
    led = arms["n"] > 0
    for best, *others in problems(study, arms):
        against = select(compared, [(best, other) for other in others])
        worse = against["differs"] & (against["wins"] > against["n"] / 2)
        led[others] &= ~worse.to_numpy(bool)
    return led
