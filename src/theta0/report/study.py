"""A study as the report sees it: its runs, their curves, what is compared and what is tuned."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from theta0.errors import ConfigError, choices
from theta0.objective import Mode, direction
from theta0.report.curves import curves
from theta0.report.where import matches
from theta0.results import Objective, Result, Runs, read_runs
from theta0.sweep.runs import labels, table
from theta0.sweep.table import cell_columns

METHOD = ("optimizer", "init", "scheduler", "remedy", "finetune")
"""Groups, and first words of keys, that say how a problem is solved; the others say what it is."""

SEEDS = ["seeds.split", "seeds.init", "seeds.order", "seeds.noise"]
"""Two runs of different cells that agree in these are a pair."""


@dataclass(frozen=True)
class Study:
    """One or several folders of runs, put together.

    Attributes:
        name: of the folder; of several, with dashes between.
        folders: as given.
        results: of each run, in the order of `runs`.
        paths: of each run, its folder.
        runs: one row a run; see `theta0.sweep.runs.table`.
        curves: one row a run and epoch; see `theta0.report.curves.curves`.
        factors: the columns of `runs` that are compared: optimizer, init, each other choice that
            varies, and the keys that were asked for.
        settings: the columns of `runs` that are tuned: each other key that varies.
        objective: what chose checkpoints, and chooses settings; on validation.
        metric: the column of `runs` that is reported: the objective's on the test rows.
        mode: whether more of it is better ("max") or less ("min").
        where: the filter, if any; `total` runs were there before it.
        broken: a line for each file that cannot be read.
        notes: a line for whatever else was left out.
    """

    name: str
    folders: tuple[Path, ...]
    results: list[Result]
    paths: list[Path]
    runs: pd.DataFrame
    curves: pd.DataFrame
    factors: list[str]
    settings: list[str]
    objective: Objective
    metric: str
    mode: Mode
    where: str | None
    total: int
    broken: list[str]
    notes: list[str]

    @property
    def axes(self) -> list[str]:
        """What tells one cell from another."""
        return self.factors + self.settings

    @property
    def method(self) -> list[str]:
        """The factors that say how a problem is solved."""
        return [factor for factor in self.factors if re.split("[.@]", factor)[0] in METHOD]

    @property
    def problem(self) -> list[str]:
        """The factors that say what is solved: data, model, ..."""
        return [factor for factor in self.factors if factor not in self.method]


def read(
    folders: Sequence[Path],
    where: str | None = None,
    compare: Sequence[str] = (),
    metric: str | None = None,
    mode: Mode | None = None,
    found: Sequence[tuple[Runs, list[str]]] | None = None,
) -> Study:
    """Every run of one or several studies; of two that do the same with the same seeds, one.

    Args:
        folders: of the studies.
        where: which runs; see `theta0.report.where.matches`.
        compare: swept keys that are compared, as choices are, and not tuned.
        metric: what is reported; by default the objective's on the test rows.
        mode: whether more of it is better, where neither the objective nor the metric itself tells.
        found: what `theta0.results.read_runs` gives of each folder, where it has been called.

    Raises:
        ConfigError: a folder that is no study, no runs (left), runs that were chosen by different
            objectives, or an argument that names what is not there.
    """
    found = found or [_runs(folder) for folder in folders]
    results = [result for some, _ in found for _, result in some]
    paths = [path for some, _ in found for path, _ in some]
    broken = [line for _, lines in found for line in lines]
    runs = table(results)
    total = len(runs)
    if where:
        kept = matches(where, runs, results)
        if not kept.any():
            raise ConfigError(f"where={where}: none of the {total} runs is left")
        runs, results, paths = _only(kept, runs, results, paths)
    axes = cell_columns(results)
    keys = [*axes, *SEEDS]
    once = _first_of_each(runs, keys)
    notes = []
    if not once.all():
        notes.append(f"{(~once).sum()} runs do what others do with the same seeds: left out")
        ends = runs.replace({"hashes.final": {"": None}}).groupby(keys, dropna=False)
        if unequal := int((ends["hashes.final"].nunique() > 1).sum()):
            notes.append(f"{unequal} runs ended in other weights than those that were left out")
        runs, results, paths = _only(once, runs, results, paths)
    runs["cell"] = labels(runs, axes)
    groups = {group for result in results for group in result.choices}
    factors = [axis for axis in axes if axis in groups or axis in ("optimizer", "init")]
    settings = [axis for axis in axes if axis not in factors]
    compare = list(dict.fromkeys(compare))
    for key in compare:
        if key not in settings:
            raise ConfigError(f"compare=[{key}]: no key that was swept; {choices(key, settings)}")
    objective = _objective(runs)
    reported, direction = _reported(results, objective, metric, mode)
    if reported not in runs:  # no run came to an end
        runs[reported] = float("nan")
    epochs, unreadable = curves(results, paths)
    return Study(
        name="-".join(folder.resolve().name for folder in folders),
        folders=tuple(folders),
        results=results,
        paths=paths,
        runs=runs,
        curves=epochs,
        factors=[*factors, *compare],
        settings=[key for key in settings if key not in compare],
        objective=objective,
        metric=reported,
        mode=direction,
        where=where,
        total=total,
        broken=broken + unreadable,
        notes=notes,
    )


def _runs(folder: Path) -> tuple[Runs, list[str]]:
    if not folder.is_dir():
        raise ConfigError(f"study: {folder}: no such folder")
    if (folder / "result.json").exists():
        raise ConfigError(f"study: {folder} is a run; its study is {folder.parent}")
    runs, broken = read_runs(folder)
    if not runs:
        reason = f"none can be read: {broken[0]}" if broken else "there is no result.json below it"
        raise ConfigError(f"study: {folder} has no runs: {reason}")
    return runs, broken


def _only(
    kept: pd.Series, runs: pd.DataFrame, results: list[Result], paths: list[Path]
) -> tuple[pd.DataFrame, list[Result], list[Path]]:
    return (
        runs[kept].reset_index(drop=True),
        [result for result, keep in zip(results, kept, strict=True) if keep],
        [path for path, keep in zip(paths, kept, strict=True) if keep],
    )


def _first_of_each(runs: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Whether a run is the one that counts of those with the same keys: before all, one done."""
    order = ["done", "diverged", "pruned", "failed", "interrupted", "running"]
    ranked = runs.assign(rank=runs["status"].map(order.index)).sort_values("rank", kind="stable")
    return ~ranked.duplicated(keys).reindex(runs.index)


def _objective(runs: pd.DataFrame) -> Objective:
    kinds = runs[["objective.metric", "objective.mode"]].drop_duplicates()
    if len(kinds) > 1:
        names = ", ".join(f"{mode} {metric}" for metric, mode in kinds.to_numpy())
        raise ConfigError(
            f"study: its runs have several objectives ({names}): choose by"
            f" where=\"objective.metric == '{kinds.iloc[0, 0]}'\""
        )
    return Objective(metric=kinds.iloc[0, 0], mode=kinds.iloc[0, 1])


def _reported(
    results: Sequence[Result], objective: Objective, metric: str | None, mode: Mode | None
) -> tuple[str, Mode]:
    """The metric to report, and whether more of it is better."""
    tested = objective.metric.replace("val/", "test/", 1)
    done = [result.metrics for result in results if result.status == "done"]
    if metric is None:
        there = any(metrics.get(tested) is not None for metrics in done)
        metric = tested if there else objective.metric
    elif metric not in (names := sorted({name for metrics in done for name in metrics})):
        raise ConfigError(f"metric={metric}: {choices(metric, names)}")
    if metric.partition("/")[2].removesuffix("_robust") == objective.metric.partition("/")[2]:
        if mode not in (None, objective.mode):
            raise ConfigError(f"mode={mode}: the runs' objective is {objective.mode} {metric}")
        return metric, objective.mode
    mode = mode or direction(metric, results[0].config.get("metrics") or {})
    if mode is None:
        raise ConfigError(f"metric={metric}: is more of it better, or less? mode=max or mode=min")
    return metric, mode
