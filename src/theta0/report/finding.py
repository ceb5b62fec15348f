"""The finding in sentences, written from the numbers."""

from collections.abc import Iterator

import pandas as pd

from theta0.report.statistics import Statistics
from theta0.report.statistics.comparisons import turned
from theta0.report.statistics.family import ALPHA
from theta0.report.statistics.variance import TOGETHER
from theta0.report.study import Study
from theta0.report.words import Unit, corrected, fixed, listed, name, seeds
from theta0.sweep.plain import plain

MOST = 6
"""Contexts that are told one by one."""

SOURCES = {"init": "the init", "optimizer": "the optimizer", TOGETHER: "their interaction"}
"""Of variance, in words."""


def findings(study: Study, statistics: Statistics) -> list[str]:
    """What the study shows, a sentence each: the best, the differences, and the shares.

    A difference is asserted where its p, corrected for all that the page tests, is below 5 %; else
    it is "not significant", which does not mean that there is none: the interval beside it says
    how large it may be.
    """
    sentences = [
        *_best(study, statistics.arms),
        *_differences(study, statistics),
        *_shares(study, statistics),
    ]
    return [sentence[0].upper() + sentence[1:] + "." for sentence in sentences]


def better_first(row: pd.Series) -> pd.Series:
    """A row of `comparisons` seen from its better side: `a` is better than `b`."""
    better = row["difference"] if row["test"] == "t" else row["probability"] - 0.5
    return turned(row) if better < 0 else row


def amount(row: pd.Series, metric: str) -> str:
    """How far a comparison's sides are apart: `by 1.2 points`, or where runs diverged `on 9 of 10
    seeds`."""
    if row["both_done"] < row["n"]:
        return f"on {row['wins']:g} of {row['n']} seeds"
    unit = Unit.of(metric)
    return f"by {fixed(unit.scale * row['difference'], _digits(row, unit))}{unit.points}"


def basis(row: pd.Series, metric: str) -> str:
    """What that rests on: `simultaneous 95 % CI 0.8–1.7, n = 10 seeds, corrected p = 0.002`."""
    unit, parts = Unit.of(metric), [seeds(row["n"])]
    digits = _digits(row, unit)
    if row["both_done"] < row["n"]:
        lost = row["n"] - row["both_done"]
        parts = [f"at least one of the two runs diverged on {lost}"]
    elif row["n"] == 2:
        values = (row["difference"] + side * row["error"] for side in (-1, 1))
        told = " and ".join(fixed(unit.scale * value, digits) for value in values)
        parts = [f"{told} on the 2 seeds"]
    elif row["n"] > 2:
        parts.insert(0, f"simultaneous {unit.interval(row['low'], row['high'], digits)}")
    if pd.notna(row["p_corrected"]):
        parts.append(corrected(row["p_corrected"]))
    return ", ".join(parts)


def _digits(row: pd.Series, unit: Unit) -> int:
    """Decimals by twice the standard error: a simultaneous interval may be far wider."""
    return unit.places([2 * unit.scale * row["error"]])


def _best(study: Study, arms: pd.DataFrame) -> Iterator[str]:
    unit = Unit.of(study.metric)
    problems = arms.groupby(study.problem, dropna=False) if study.problem else [((), arms)]
    for _, problem in problems:
        best = problem.iloc[0]
        where = f" on {name(best, study.problem)}" if study.problem else ""
        if best["n"] == 0:
            yield f"no run is done{where}"
        else:
            most = "highest" if study.mode == "max" else "lowest"
            words = name(best, study.method)
            yield f"{most} mean {study.metric}{where}: {words}, {unit.mean(best)}"


def _differences(study: Study, statistics: Statistics) -> Iterator[str]:
    """The levels of each factor, under each combination of the others; of init first."""
    compared = statistics.comparisons
    if len(compared) and compared["p"].isna().all():
        yield "no two combinations share enough seeds to be compared"
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
    parts = []
    for pair in [*apart[:1], *behind]:  # behind on the seeds that both have, which are not all
        size = f"{amount(pair, study.metric)} ({basis(pair, study.metric)})"
        parts.append(f"{pair['a']} outperforms {pair['b']} {under} {size}")
    if len(apart) > 1:
        parts[0] += f" and also outperforms {listed([other(pair) for pair in apart[1:]])}"
    if close:
        widest = max(close, key=lambda pair: pair["difference"])
        which = f"{widest['a']} over {widest['b']}" if len(close) > 1 else widest["a"]
        if widest["both_done"] < widest["n"]:
            ahead = f"{which}: ahead {amount(widest, study.metric)}"
        else:
            most = "largest" if len(close) > 1 else "mean"
            size = amount(widest, study.metric).removeprefix("by ")
            ahead = f"{most} difference {size} in favour of {which}"
        parts.append(
            f"{'' if parts else f'{under}, '}{best} does not differ significantly from"
            f" {listed([other(pair) for pair in close])} ({ahead}, {basis(widest, study.metric)})"
        )
    return (
        ", while ".join(parts) or f"{under}, too few seeds are shared to compare {listed(levels)}"
    )


def _under(context: pd.Series) -> str:
    """`under adam with data=mnist`, `from he`."""
    words = {"optimizer": "under", "init": "from"}
    first = [f"{words[key]} {context[key]}" for key in words if key in context]
    others = [key for key in context.index if key not in words]
    return " ".join([*first, *([f"with {name(context, others)}"] if others else [])])


def _shares(study: Study, statistics: Statistics) -> Iterator[str]:
    """How much of the variance each factor accounts for, where both vary and seeds repeat."""
    effects = statistics.effects
    among = " among the runs that are done" if statistics.arms["diverged"].any() else ""
    others = [factor for factor in study.factors if factor in effects]
    contexts = effects.groupby(others, dropna=False) if others else [((), effects)]
    for _, table in contexts:
        rows = table.set_index("source")
        if not {*SOURCES, "residual"} <= set(rows.index) or rows["share"].isna().any():
            continue
        where = f" with {name(table.iloc[0], others)}" if others else ""
        share = {s: f"{fixed(100 * rows['share'][s], 0)} %" for s in SOURCES}
        p = {s: corrected(rows["p_corrected"][s]) for s in SOURCES}
        counts = [s for s in SOURCES if rows["p_corrected"][s] < ALPHA]
        rest = [f"{SOURCES[s]} {share[s]}, {p[s]}" for s in SOURCES if s not in counts]
        found = [f"{SOURCES[s]} for {share[s]} ({p[s]})" for s in counts]
        if found:
            text = listed(found).replace(" for ", " accounts for ", 1)
            text += f"; not significant: {'; '.join(rest)}" if rest else ""
        else:
            text = f"no factor accounts for a significant share ({'; '.join(rest)})"
        yield f"of the variance of {study.metric}{where}{among}, {text}"
