"""The configuration to use: why, how sure, what to try next, and as a file that is ready to run."""

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from theta0.errors import ConfigError, first_line
from theta0.report.caveats import edges, missing, untuned
from theta0.report.finding import amount, basis, better_first
from theta0.report.statistics import Statistics
from theta0.report.statistics.bootstrap import FEWEST
from theta0.report.statistics.cells import ranked
from theta0.report.statistics.comparisons import select
from theta0.report.statistics.family import ALPHA
from theta0.report.statistics.power import needed
from theta0.report.study import Study
from theta0.report.words import Unit, fixed, listed, name, seeds
from theta0.results import Result
from theta0.search.best import write_experiment
from theta0.typed import quoted

Compose = Callable[[list[str]], DictConfig]
"""From overrides to a run's configuration, with Hydra's node."""

PROBABLE = 0.75
"""From this probability of being better on it means something (Bouthillier et al. 2021)."""

CHEAPER = 0.8
"""A share of the time below which it is worth a word."""

MANY = 100
"""Seeds above which nobody is told to run so many."""


@dataclass(frozen=True)
class Recommendation:
    """What to use, for one problem.

    Attributes:
        problem: in words; "" where there is one alone.
        choice: the combination and its settings, in words.
        result: the run that the file does again.
        evidence: what speaks for it.
        sure: how sure that is.
        doubts: why not surer.
        next: what to try.
        command: does the file's run; "" where no file could be written, as the last doubt says.
    """

    problem: str
    choice: str
    result: Result
    evidence: list[str]
    sure: Literal["high", "moderate", "low"]
    doubts: list[str]
    next: list[str]
    command: str

    @property
    def lines(self) -> list[str]:
        """All of it in words."""
        where = f" on {self.problem}" if self.problem else ""
        doubts = f" ({'; '.join(self.doubts)})" if self.doubts else ""
        return [
            f"Use {self.choice}{where}: {'; '.join(self.evidence)}.",
            f"Confidence: {self.sure}{doubts}.",
            *(f"Next: {step}." for step in self.next),
            *([f"As a run: {self.command}"] if self.command else []),
        ]


def recommend(
    study: Study, statistics: Statistics, folder: Path, compose: Compose
) -> list[Recommendation]:
    """One recommendation a problem; none where no run is done.

    The choice is the best on validation. Its file, folder/experiment/recommended.yaml, or one with
    the problem behind its name where there are several, is for `--config-dir FOLDER`.
    """
    arms = statistics.arms
    problems = arms.groupby(study.problem, dropna=False) if study.problem else [((), arms)]
    found = []
    for _, problem in problems:
        # Arms stand by the reported metric, which must not decide between equals on validation.
        done = problem[problem["n"] > 0].sort_values(study.factors, kind="stable")
        ranking = ranked(done, "selection", study.objective.mode)
        if len(ranking):
            found.append(_recommend(study, statistics, ranking, folder, compose))
    return found


def _recommend(
    study: Study,
    statistics: Statistics,
    ranking: pd.DataFrame,
    folder: Path,
    compose: Compose,
) -> Recommendation:
    """`ranking`: the problem's arms of which runs are done, the best on validation first."""
    first, *rest = ranking.index
    best, others = ranking.iloc[0], ranking.iloc[1:].reset_index(drop=True)
    against = select(statistics.pairs, [(first, other) for other in rest])
    against.insert(0, "a", name(best, study.method))
    against.insert(1, "b", [name(arm, study.method) for _, arm in others.iterrows()])
    problem = name(best, study.problem)
    sure, doubts = _confidence(study, statistics, best, against)
    runs = study.runs[(study.runs["cell"] == best["cell"]) & (study.runs["status"] == "done")]
    result = study.results[runs.sort_values("seed", kind="stable").index[0]]
    choice = name(best, study.method + study.settings)
    evidence = list(_evidence(study, best, others, against))
    command = ""
    try:
        command = _write(result, problem, f"{choice}: {evidence[0]}", folder, compose)
    except (ConfigError, HydraException, OmegaConfBaseException, ValueError) as error:
        doubts.append(f"no file, since its configuration does not compose: {first_line(error)}")
    steps = list(_next(study, statistics, best, others, against))
    return Recommendation(problem, choice, result, evidence, sure, doubts, steps, command)


def _evidence(
    study: Study, best: pd.Series, others: pd.DataFrame, against: pd.DataFrame
) -> Iterator[str]:
    objective, unit = Unit.of(study.objective.metric), Unit.of(study.metric)
    selection = fixed(objective.scale * best["selection"], objective.digits)
    lost = (
        ", what diverged or was pruned counting as the worst"
        if best["diverged"] or best["pruned"]
        else ""
    )
    as_good = others[np.isclose(others["selection"], best["selection"], rtol=1e-9, atol=0)]
    equal = [name(arm, study.method) for _, arm in as_good.iterrows()]
    with_ = f" with {listed(equal)}" if equal else ""
    yield (
        f"the best on validation{with_}, {study.objective.metric} {selection}{objective.sign}{lost}"
    )
    yield f"{study.metric} {unit.mean(best)}"
    if len(against) and pd.notna(against["p"].iloc[0]):
        row = better_first(against.iloc[0])
        ours, rank = row["a"] == against["a"].iloc[0], "" if equal else ", the next on validation"
        other = row["b"] if ours else row["a"]
        size = amount(row, study.metric)
        if row["differs"]:
            verb = "outperforms" if ours else "is outperformed by"
            yield f"{verb} {other}{rank}{',' if rank else ''} {size} ({basis(row, study.metric)})"
        else:
            side = "ahead" if ours else "behind"
            yield (
                f"not significantly different from {other}{rank}"
                f" ({side} {size}, {basis(row, study.metric)})"
            )
        row = against.iloc[0]
        p, low, high = (fixed(row[f"probability{end}"], 2) for end in ("", "_low", "_high"))
        yield (
            f"ahead on {row['wins']:g} of {row['n']} seeds (probability {p},"
            f" simultaneous 95 % CI {low}–{high})"
        )


def _confidence(
    study: Study, statistics: Statistics, best: pd.Series, against: pd.DataFrame
) -> tuple[Literal["high", "moderate", "low"], list[str]]:
    """High: significantly better than all others, inside its grid. Moderate: on five seeds or more,
    probably better than each of the others, or as high but at an edge or untuned. Low: else."""
    worse = against["differs"] & (against["probability"] > 0.5)
    better = against[against["differs"] & (against["probability"] < 0.5)]
    unclear = against[~worse & ~against.index.isin(better.index)]
    at = [edge.setting for edge in edges(study, statistics.cells) if edge.cell == best["cell"]]
    doubts = []
    if best["n"] < FEWEST:
        doubts.append(f"{seeds(best['n'])}, fewer than {FEWEST}")
    if best["diverged"]:
        doubts.append(f"{best['diverged']} of its runs diverged")
    if against.empty:
        doubts.append("nothing was tried beside it")
    if len(better):
        doubts.append(f"{listed(list(better['b']))} is significantly better on {study.metric}")
    if len(unclear):
        doubts.append(f"not significantly better than {listed(list(unclear['b']))}")
    if at:
        doubts.append(f"the best {listed(at)} lies at the edge of its grid")
    if how := untuned(study, statistics.cells):
        doubts.append(f"optimizers were compared {how}")
    if best["n"] < FEWEST or against.empty or len(better):
        return "low", doubts
    if not doubts:
        return "high", doubts
    probable = bool((unclear["probability"] >= PROBABLE).all())
    return "moderate" if probable and not best["diverged"] else "low", doubts


def _next(
    study: Study,
    statistics: Statistics,
    best: pd.Series,
    others: pd.DataFrame,
    against: pd.DataFrame,
) -> Iterator[str]:
    """What would make it better, surer, or cheaper."""
    for edge in edges(study, statistics.cells):
        if edge.cell == best["cell"]:
            further = "larger" if edge.largest else "smaller"
            such = f", such as {edge.setting}={edge.beyond:.2g}" if edge.beyond else ""
            yield f"a {further} {edge.setting}{such}"
    if untuned(study, statistics.cells):
        yield "several values of optimizer.lr, as many for each optimizer"
    close = against[against["p"].notna() & ~against["differs"]]
    rivals = close[close["effect"].abs() > 0]
    if best["n"] < FEWEST:
        yield "more seeds, 'seed=range(10)'"
    elif len(rivals):
        rival = rivals.iloc[0]
        more = needed(abs(rival["effect"]), ALPHA / statistics.tests, MANY)
        if more and more > rival["n"]:
            yield (
                f"{more} seeds ('seed=range({more})'), which would detect a difference from"
                f" {rival['b']} of the size observed with 80 % power"
            )
    ratios = others.loc[close.index, "fit_seconds"] / best["fit_seconds"]
    if (ratios < CHEAPER).any():
        cheapest = ratios.idxmin()
        yield (
            f"{against['b'][cheapest]}, if time matters: not significantly worse, in"
            f" {ratios[cheapest]:.2f} of the time"
        )
    if absent := missing(study, statistics.cells):
        yield f"the {len(absent)} missing cells: {listed(absent)}"
    if failed := int((study.runs["status"] == "failed").sum()):
        yield f"the {failed} failed runs once more: the same command with rerun=failed"
    if unfinished := int(study.runs["status"].isin(["running", "interrupted"]).sum()):
        yield f"the {unfinished} unfinished runs: the same command continues them"


def _write(result: Result, problem: str, says: str, folder: Path, compose: Compose) -> str:
    """The file, and the command that runs it."""
    option = re.sub(r"[^\w.-]+", "-", f"recommended-{problem}" if problem else "recommended")
    path = folder / "experiment" / f"{option}.yaml"
    data = f"paths.data_dir={quoted(result.config['paths']['data_dir'])}"

    def as_then(words: list[str]) -> DictConfig:
        """So that the file does not say where the run's data lay."""
        return compose([*words, data])

    without = write_experiment(result, path, " ".join(says.split()), as_then)
    words = ["--config-dir", str(folder), f"experiment={option}", *(f"~{key}" for key in without)]
    return f"python src/train.py {shlex.join(words)}"
