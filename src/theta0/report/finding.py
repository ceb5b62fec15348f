"""The finding in sentences, written from the numbers."""

from collections.abc import Iterator

import pandas as pd

from theta0.report.statistics import Statistics
from theta0.report.statistics.variance import TOGETHER
from theta0.report.study import Study
from theta0.report.words import Unit, fixed, listed, name, probability, seeds
from theta0.sweep.plain import plain

MOST = 6
"""Contexts that are told one by one."""

SOURCES = ("init", "optimizer", TOGETHER)
"""Of variance."""


def findings(study: Study, statistics: Statistics) -> list[str]:
    """What the study shows, a sentence each: the best, the differences, and the shares.

    A difference is told as one where its corrected p is below 5 %; else it is "not significant",
    which is not that there is none: the interval beside it says how large it may be.
    """
    sentences = [
        *_best(study, statistics.arms),
        *_differences(study, statistics),
        *_shares(study, statistics),
    ]
    return [sentence[0].upper() + sentence[1:] + "." for sentence in sentences]


def better_first(row: pd.Series) -> pd.Series:
    """A row of `comparisons`, told from its better side: `a` is better than `b`."""
    better = row["difference"] if row["test"] == "t" else row["probability"] - 0.5
    if not better < 0:
        return row
    turned = {
        "a": row["b"],
        "b": row["a"],
        "difference": -row["difference"],
        "low": -row["high"],
        "high": -row["low"],
        "effect": -row["effect"],
        "probability": 1 - row["probability"],
        "probability_low": 1 - row["probability_high"],
        "probability_high": 1 - row["probability_low"],
    }
    return pd.Series({**row, **turned})


def size(row: pd.Series, metric: str) -> str:
    """How far a comparison's sides are apart: `by 1.2 points [0.8, 1.7], n = 10 seeds`."""
    if row["both_done"] < row["n"]:
        better = f"{row['probability'] * row['n']:g} of {row['n']} seeds"
        return f"on {better}, a run having diverged on {row['n'] - row['both_done']}"
    if row["difference"] == 0:
        return f"by nothing, {seeds(row['n'])}"
    difference = Unit.of(metric).difference(row["difference"], row["low"], row["high"])
    return f"by {difference}, {seeds(row['n'])}"


def _best(study: Study, arms: pd.DataFrame) -> Iterator[str]:
    unit = Unit.of(study.metric)
    problems = arms.groupby(study.problem, dropna=False) if study.problem else [((), arms)]
    for _, problem in problems:
        best = problem.iloc[0]
        where = f" on {name(best, study.problem)}" if study.problem else ""
        if best["n"] == 0:
            yield f"no run is done{where}"
        else:
            value = unit.value(best["mean"], best["mean_low"], best["mean_high"])
            words = name(best, study.method)
            yield f"the best {study.metric}{where} is that of {words}: {value}, {seeds(best['n'])}"


def _differences(study: Study, statistics: Statistics) -> Iterator[str]:
    """The levels of each factor, under each combination of the others; of init first."""
    compared = statistics.comparisons
    if len(compared) and compared["p"].isna().all():
        yield "no two combinations share seeds enough to be compared"
        return
    for factor in sorted(compared["factor"].unique(), key=lambda factor: factor != "init"):
        others = [other for other in study.factors if other != factor]
        rows = compared[compared["factor"] == factor]
        told = []
        for _, arms in statistics.arms.groupby(others, dropna=False, sort=False):
            context = arms[others].iloc[0].astype(object)
            here = rows[(rows[others].map(plain) == context.map(plain)).all(axis=1)]
            if len(here):
                levels = list(arms[factor].astype(str))
                told.append(_difference(study, levels, _under(context), here))
        more = [f"{len(told) - MOST} more in the tables"] if len(told) > MOST else []
        yield "; ".join(told[:MOST] + more)


def _difference(study: Study, levels: list[str], under: str, rows: pd.DataFrame) -> str:
    """The best level, which stands first, against the others."""
    best = levels[0]
    pairs = [better_first(row) for _, row in rows.iterrows() if best in (row["a"], row["b"])]

    def other(pair: pd.Series) -> str:
        return str(pair["b"] if pair["a"] == best else pair["a"])

    pairs.sort(key=lambda pair: levels.index(other(pair)))
    apart = [pair for pair in pairs if pair["differs"] and pair["a"] == best]
    behind = [pair for pair in pairs if pair["differs"] and pair["b"] == best]
    close = [pair for pair in pairs if pd.notna(pair["p"]) and not pair["differs"]]
    told = []
    if apart:
        first, *more = apart
        too = f", and {listed([other(pair) for pair in more])} too" if more else ""
        told.append(f"{best} beats {first['b']} {under} {size(first, study.metric)}{too}")
    for pair in behind:  # on the seeds that both have, which are not all of them
        told.append(f"{pair['a']} beats {best} {under} {size(pair, study.metric)}")
    if close:
        widest = max(close, key=lambda pair: pair["difference"])
        most = "at most, " if len(close) > 1 else ""
        told.append(
            f"{'' if told else f'{under}, '}{best} does not differ significantly from"
            f" {listed([other(pair) for pair in close])}"
            f" ({most}{widest['a']} is better {size(widest, study.metric)},"
            f" p {_compared(widest['p_holm'])})"
        )
    return ", while ".join(told) or f"{under}, too few seeds are shared to compare {listed(levels)}"


def _under(context: pd.Series) -> str:
    """`under adam with data=mnist`, `from he`."""
    words = {"optimizer": "under", "init": "from"}
    first = [f"{words[key]} {context[key]}" for key in words if key in context]
    others = [key for key in context.index if key not in words]
    return " ".join([*first, *([f"with {name(context, others)}"] if others else [])])


def _shares(study: Study, statistics: Statistics) -> Iterator[str]:
    """How much of the variance each factor explains, where both were varied and seeds repeated."""
    effects = statistics.effects
    among = " among the runs that are done" if statistics.arms["diverged"].any() else ""
    others = [factor for factor in study.factors if factor in effects]
    contexts = effects.groupby(others, dropna=False) if others else [((), effects)]
    for _, table in contexts:
        rows = table.set_index("source")
        if not {*SOURCES, "residual"} <= set(rows.index) or rows["share"].isna().any():
            continue
        shares = [
            f"{fixed(100 * rows['share'][source], 0)} % (p {_compared(rows['p'][source])})"
            for source in SOURCES
        ]
        where = f" with {name(table.iloc[0], others)}" if others else ""
        yield (
            f"of the variance of {study.metric}{where}{among} the init explains {shares[0]}, the"
            f" optimizer {shares[1]}, and the two together {shares[2]} more"
        )


def _compared(p: float) -> str:
    text = probability(p)
    return text if text.startswith("<") else f"= {text}"
