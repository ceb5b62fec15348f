"""What a reader must know before believing the numbers."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from theta0.report.statistics import Statistics
from theta0.report.statistics.bootstrap import FEWEST
from theta0.report.statistics.family import ALPHA
from theta0.report.statistics.power import detectable
from theta0.report.study import SEEDS, Study
from theta0.report.words import listed, name
from theta0.sweep.plain import plain
from theta0.sweep.table import varied_groups

RATES = ("lr", "weight_decay")
"""Settings that are any positive numbers, and are tried by factors."""


@dataclass(frozen=True)
class Caveat:
    """One warning.

    Attributes:
        kind: broken, left_out, data, init, failed, diverged, pruned, unfinished, missing,
            unbalanced, edge, untuned, few, crossed, metric, brought or environment.
        text: a sentence.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Edge:
    """The best value of a setting lies at the edge of those that were tried.

    Attributes:
        cell: the row of `Statistics.cells`, by its `cell`.
        arm: its factors in words.
        setting: the key.
        value: the best.
        largest: whether it is the largest, else the smallest.
        beyond: a rate to try: as far from it as its neighbour, by ratio, but a decade at most;
            None of what is no rate, where the next value may mean nothing.
    """

    cell: str
    arm: str
    setting: str
    value: float
    largest: bool
    beyond: float | None


def caveats(study: Study, statistics: Statistics) -> list[Caveat]:
    """Every warning, the most serious first."""
    found = itertools.chain(
        (Caveat("broken", line) for line in study.broken),
        _data(study),
        _warnings(study),
        _runs(study),
        _missing(study, statistics.cells),
        _edges(study, statistics.cells),
        _untuned(study, statistics.cells),
        _few(statistics),
        _crossed(study, statistics.arms),
        _metric(study),
        _brought(study),
        (Caveat("left_out", line) for line in study.notes),
        _environment(study),
    )
    return list(found)


def _data(study: Study) -> Iterator[Caveat]:
    """Runs of one problem on other rows: no number of one means anything beside the other's."""
    problems = [study.runs[factor] for factor in study.problem] or [pd.Series(0, study.runs.index)]
    known = study.runs["hashes.data"].replace("", None)
    if (known.groupby(problems, dropna=False).nunique() > 1).any():
        yield Caveat("data", "Runs that are compared had different data: hashes.data differs.")


def _warnings(study: Study) -> Iterator[Caveat]:
    """What the runs themselves warn of: weights that no init drew, tied weights."""
    counts = Counter(warning for result in study.results for warning in result.warnings)
    for warning, count in counts.items():
        yield Caveat("init", f"{count} of {len(study.results)} runs: {warning}.")


def _runs(study: Study) -> Iterator[Caveat]:
    """Runs that are not done, which no mean counts."""
    runs = study.runs
    consequences = {
        "failed": "They count nowhere; rerun=failed tries them again.",
        "diverged": "They count as the worst where runs are compared and settings chosen, and in no"
        " mean.",
        "pruned": "They count as the worst where settings are chosen, and in no mean.",
        "unfinished": "They count nowhere; the same command continues them.",
    }
    status = runs["status"].replace({"running": "unfinished", "interrupted": "unfinished"})
    for kind, consequence in consequences.items():
        some = runs[status == kind]
        if len(some) == 0:
            continue
        where = listed(_counted(study, some.groupby(study.axes, dropna=False, sort=False).size()))
        verb = {"pruned": "were pruned", "unfinished": "are unfinished"}.get(kind, kind)
        reason = f" The first: {some['error'].iloc[0].rstrip('.')}." if kind == "failed" else ""
        yield Caveat(
            kind, f"{len(some)} of {len(runs)} runs {verb} ({where}).{reason} {consequence}"
        )


def _missing(study: Study, cells: pd.DataFrame) -> Iterator[Caveat]:
    """Cells of the grid without a run, and cells with fewer seeds than others."""
    if absent := missing(study, cells):
        grid = len(cells) + len(absent)
        yield Caveat("missing", f"{len(absent)} of {grid} cells have no run: {listed(absent)}.")
    counts = study.runs.groupby(study.axes, dropna=False, sort=False).size()
    if (fewer := counts[counts < counts.max()]).any():
        where = listed(_counted(study, fewer))
        yield Caveat(
            "unbalanced",
            f"{len(fewer)} of {len(counts)} cells have fewer than {counts.max()} seeds ({where})."
            " Comparisons use the seeds that both sides have.",
        )


def _counted(study: Study, counts: pd.Series) -> list[str]:
    """`adam + he: 3` of each cell."""
    return [
        f"{name(dict(zip(study.axes, values, strict=True)), study.axes)}: {count}"
        for values, count in counts.items()
    ]


def missing(study: Study, cells: pd.DataFrame) -> list[str]:
    """The cells that the product of all factors, and of each optimizer's settings, would have too.

    None where fewer than half of that product is there: such a study is no grid.
    """
    text = cells[study.axes].map(plain)
    absent: list[str] = []
    for optimizer, part in text.groupby("optimizer", sort=False):
        levels = [
            (part if axis in study.settings else text)[axis].unique() for axis in study.axes[1:]
        ]
        there = set(part.itertuples(index=False, name=None))
        if math.prod(map(len, levels)) >= 2 * len(cells):
            return []
        product = itertools.product([optimizer], *levels)
        absent += [
            name(dict(zip(study.axes, values, strict=True)), study.axes)
            for values in product
            if values not in there
        ]
    return absent if len(absent) < len(cells) else []


def edges(study: Study, cells: pd.DataFrame) -> list[Edge]:
    """Where the chosen value of a numeric setting is the largest or the smallest of its arm."""
    found = []
    for _, arm in cells.groupby(study.factors, dropna=False, sort=False):
        chosen = arm[arm["chosen"]].iloc[0]
        for setting in study.settings:
            if pd.api.types.is_bool_dtype(arm[setting]):
                continue
            tried = pd.to_numeric(arm[setting], errors="coerce").dropna().sort_values().unique()
            best = pd.to_numeric(chosen[setting], errors="coerce")
            if len(tried) < 2 or chosen["n"] == 0 or best not in (tried[0], tried[-1]):
                continue
            largest = best == tried[-1]
            value, neighbour = tried[[-1, -2]] if largest else tried[[0, 1]]
            beyond = None
            if setting.rpartition(".")[2] in RATES and tried[0] > 0:
                beyond = float(value * min(max(value / neighbour, 0.1), 10))
            words = name(chosen, study.factors)
            found.append(Edge(chosen["cell"], words, setting, float(value), bool(largest), beyond))
    return found


def _edges(study: Study, cells: pd.DataFrame) -> Iterator[Caveat]:
    found = edges(study, cells)
    for setting, largest in dict.fromkeys((edge.setting, edge.largest) for edge in found):
        some = [edge for edge in found if (edge.setting, edge.largest) == (setting, largest)]
        where = listed([f"{plain(edge.value)} for {edge.arm}" for edge in some])
        side, further = ("largest", "larger") if largest else ("smallest", "smaller")
        yield Caveat(
            "edge",
            f"The best {setting} is the {side} that was tried ({where}):"
            f" a {further} one may be better.",
        )


def untuned(study: Study, cells: pd.DataFrame) -> str:
    """How unfairly optimizers are compared, in words: at one setting each, or some at fewer than
    others; "" where each was tuned as much."""
    tried = cells.groupby(study.factors, dropna=False).size().groupby("optimizer").min()
    if len(tried) < 2:
        return ""
    if tried.max() == 1:
        return "at one learning rate each"
    if tried.min() == tried.max():
        return ""
    counts = [f"{count} for {optimizer}" for optimizer, count in tried.items()]
    return f"at different numbers of settings ({listed(counts)})"


def _untuned(study: Study, cells: pd.DataFrame) -> Iterator[Caveat]:
    if how := untuned(study, cells):
        yield Caveat(
            "untuned",
            f"Optimizers are compared {how}: what was tuned less may look worse than it is.",
        )


def _few(statistics: Statistics) -> Iterator[Caveat]:
    arms = statistics.arms
    few = arms[arms["n"].between(1, FEWEST - 1)]
    if len(few):
        yield Caveat(
            "few",
            f"{len(few)} of {len(arms)} combinations have fewer than {FEWEST} runs that are done:"
            " their intervals assume normal values, and nothing fine can be claimed of them.",
        )
    compared = statistics.comparisons
    open_ = compared[compared["p"].notna() & ~compared["differs"] & (compared["both_done"] > 1)]
    if len(open_):
        pairs, tests = int(open_["both_done"].min()), statistics.tests
        detects = "hardly any difference would be detected"
        if pairs >= FEWEST:
            size = detectable(pairs, ALPHA / tests)
            detects = f"a difference of {size:.1f} standard deviations would be detected with 80 %"
            detects += " power, and smaller ones need more seeds"
        yield Caveat(
            "few",
            f"{len(open_)} of {len(compared)} comparisons are not significant. With n = {pairs}"
            f" pairs and p corrected for {tests} {'test' if tests == 1 else 'tests'}, {detects}.",
        )


def _crossed(study: Study, arms: pd.DataFrame) -> Iterator[Caveat]:
    """Runs of a cell that share a seed with others of it, but not all of them."""
    runs = study.runs[study.runs["cell"].isin(arms["cell"]) & (study.runs["status"] == "done")]
    counts = runs.groupby("cell")[SEEDS].nunique()
    n = runs.groupby("cell").size()
    crossed = [seed for seed in SEEDS if ((counts[seed] > 1) & (counts[seed] < n)).any()]
    if crossed:
        yield Caveat(
            "crossed",
            f"Runs of a cell share some values of {listed(crossed)}: they are not independent, and"
            " intervals and p are too small.",
        )


def _metric(study: Study) -> Iterator[Caveat]:
    done = study.runs[study.runs["status"] == "done"]
    if lacking := int(done[study.metric].isna().sum()):
        yield Caveat(
            "metric",
            f"{lacking} of {len(done)} runs that are done lack {study.metric}: they count nowhere.",
        )
    if study.metric == study.objective.metric and len(done):
        yield Caveat(
            "metric",
            f"{study.metric} is reported, which also chose checkpoints and settings: it is better"
            " than what new data would give.",
        )


def _brought(study: Study) -> Iterator[Caveat]:
    """Choices that vary along with a factor, so that nobody can tell which of them mattered."""
    for group in varied_groups(study.results):
        if group not in study.factors:
            options = listed(sorted(study.runs[group].unique()))
            yield Caveat(
                "brought", f"{group} is not the same everywhere ({options}): a choice brings it."
            )


def _environment(study: Study) -> Iterator[Caveat]:
    """Runs on different code, libraries or processors: equal seeds may not give equal bits."""
    kinds = {
        "environment.git.sha": "commits",
        "environment.packages.torch": "versions of torch",
        "environment.gpu": "kinds of GPU, or with and without one",
    }
    for column, words in kinds.items():
        known = study.runs.loc[study.runs["status"] == "done", column].unique()
        if len(known) > 1:
            short = listed([str(value)[:12] or "none" for value in known])
            yield Caveat("environment", f"Runs were done with different {words} ({short}).")
