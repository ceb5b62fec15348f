"""What a search has found: the best configuration, importances, and what tuning gave."""

import csv
import io
import math
import shlex
import statistics
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from theta0.errors import ConfigError, first_line
from theta0.results import Result, write_atomically
from theta0.search.best import write_experiment
from theta0.search.database import RUN, SEARCH, UNTUNED, runs_of, standing, storage
from theta0.spreadsheet import as_text

ENOUGH = 20
"""Trials below which no importance is told: the evaluator wants five in a quarter."""


def conclude(
    folder: Path,
    shown: Path,
    results: Sequence[Result],
    compose: Callable[[list[str]], DictConfig],
) -> Iterator[str | Table]:
    """Lines and tables to print; writes importances.csv, tuning.csv and experiment/best.yaml.

    Args:
        folder: of the study; the files go to `report` in there.
        shown: the same as a person types it.
        results: of the study's runs.
        compose: from overrides to a run's configuration, with Hydra's node.
    """
    study = optuna.load_study(study_name=None, storage=storage(folder))
    aims: dict[str, str] = study.user_attrs[SEARCH]["objectives"]
    trials = standing(study.get_trials(deepcopy=False))
    yield counted(trials)
    runs = {result.run: result for result in results}
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    there = [trial for trial in done if _finite(trial) and {*runs_of(trial)} <= runs.keys()]
    good = sorted(there, key=lambda trial: _rank(trial, aims))
    if not good:
        yield "no run has come to a good end: there is no best configuration"
        return
    report = folder / "report"
    report.mkdir(exist_ok=True)
    metric = next(iter(aims))
    if len(aims) > 1:
        yield front(study.best_trials, aims)
    if len(done) < ENOUGH:
        yield f"importance: {len(done)} trials are too few, {ENOUGH} are needed"
    else:
        shares = importances(study, done)
        rows = [{"parameter": key, "share": share} for key, share in shares.items()]
        _write_csv(report / "importances.csv", rows)
        told = ", ".join(f"{key} {share:.2f}" for key, share in shares.items())
        yield f"importance for {', '.join(aims)} (descriptive, not tested): {told}"
    rows = tuning(trials, good, runs, metric, aims[metric])
    _write_csv(report / "tuning.csv", rows)
    yield _tuning_table(rows, metric)
    names, seeds = runs_of(good[0]), study.user_attrs[SEARCH].get("repeats", {})
    best, value = runs[names[0]], f"{metric} {good[0].values[0]:.4f}"
    if seeds:
        value += f", the mean of {len(names)} runs ({' '.join(seeds.values())})"
    says = f"{best.run}: {value}, the best of {len(trials)} trials of study {folder.name}"
    path = report / "experiment" / "best.yaml"
    try:
        keys = {key.lstrip("+") for key in seeds}
        without = write_experiment(best, path, says, compose, left_out=keys)
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        yield f"best: {best.run}, {value}; no file, since its configuration does not compose: " + (
            first_line(error)
        )
        return
    words = ["--config-dir", f"{shown}/report", "experiment=best", *(f"~{key}" for key in without)]
    yield f"best: {best.run}, {value}; once more: python src/train.py {shlex.join(words)}"


def counted(trials: Sequence[FrozenTrial]) -> str:
    """How the trials ended: 32 trials: 27 done, 1 diverged, 3 pruned, 1 failed."""
    words = {TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    ends = Counter(
        ("done" if _finite(trial) else "diverged")
        if trial.state == TrialState.COMPLETE
        else words.get(trial.state, "not over")
        for trial in trials
    )
    order = ("done", "diverged", "pruned", "failed", "not over")
    return f"{len(trials)} trials: " + ", ".join(f"{ends[end]} {end}" for end in order if ends[end])


def importances(study: optuna.Study, done: Sequence[FrozenTrial]) -> dict[str, float]:
    """Each key's share in what sets the best quarter of the trials apart, the largest first.

    PED-ANOVA (Watanabe et al. 2023), in its form for ranges that depend on another parameter
    (arXiv 2601.20800). It goes by ranks and passes over infinity, so what diverged enters as the
    worst that did not.
    """
    finite = [trial.values for trial in done if _finite(trial)]
    signs = [1 if d == optuna.study.StudyDirection.MINIMIZE else -1 for d in study.directions]
    worst = [
        s * max(s * v for v in column)
        for s, column in zip(signs, zip(*finite, strict=True), strict=True)
    ]
    copy = optuna.create_study(directions=study.directions)
    for trial in done:
        copy.add_trial(
            optuna.create_trial(
                params={_key(name): value for name, value in trial.params.items()},
                distributions={_key(n): domain for n, domain in trial.distributions.items()},
                values=trial.values if _finite(trial) else worst,
            )
        )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some optimizer has few trials
        return optuna.importance.get_param_importances(copy, evaluator=evaluator)


def tuning(
    trials: Sequence[FrozenTrial],
    good: Sequence[FrozenTrial],
    runs: Mapping[str, Result],
    metric: str,
    mode: str,
) -> list[dict[str, Any]]:
    """A row an optimizer: what it reaches untuned and tuned, on validation and test rows, and its
    settings then; the gain is on validation, by which the tuned one was chosen.

    Args:
        trials: all.
        good: those that ended well, the best first.
        runs: the study's, by name.
        metric, mode: of the first objective.
    """

    def optimizer(trial: FrozenTrial) -> str:
        run = next((runs[name] for name in runs_of(trial) if name in runs), None)
        return run.choices.get("optimizer", "") if run else ""

    def told(trial: FrozenTrial) -> dict[str, Any]:
        metrics: dict[str, Any] = {metric: trial.values[0]}
        if metric.startswith("val/"):
            test = metric.replace("val/", "test/")
            tested = [runs[run].metrics.get(test) for run in runs_of(trial) if run in runs]
            known = [value for value in tested if value is not None]
            whole = known and len(known) == len(runs_of(trial))
            metrics[test] = statistics.fmean(known) if whole else None
        settings = {_key(name): value for name, value in trial.params.items()}
        return metrics | {key: v for key, v in settings.items() if key.startswith("optimizer.")}

    rows = []
    for option in dict.fromkeys(filter(None, map(optimizer, [*good, *trials]))):
        ours = [trial for trial in trials if optimizer(trial) == option]
        row: dict[str, Any] = {"optimizer": option, "trials": len(ours)}
        for when, candidates in {
            "untuned": [trial for trial in ours if UNTUNED in trial.user_attrs and trial.values],
            "tuned": [trial for trial in good if optimizer(trial) == option],
        }.items():
            found = told(candidates[0]) if candidates else {}
            row |= {f"{when} {key}": value for key, value in found.items()}
        before, after = row.get(f"untuned {metric}"), row.get(f"tuned {metric}")
        if before is not None and after is not None and math.isfinite(before):
            row["gain"] = after - before if mode == "max" else before - after
        rows.append(row)
    return rows


def _tuning_table(rows: Sequence[Mapping[str, Any]], metric: str) -> Table:
    keys = [key.removeprefix("tuned ") for row in rows for key in row if key[:6] == "tuned "]
    others = [key for key in dict.fromkeys(keys) if key != metric]
    table = Table("optimizer", title="without tuning → with it", title_justify="left")
    for column in ("trials", metric, "gain", *others):
        table.add_column(column, justify="right")

    def pair(row: Mapping[str, Any], key: str) -> str:
        form = ".3g" if key.startswith("optimizer.") else ".4f"
        return " → ".join(_number(row.get(f"{when} {key}"), form) for when in ("untuned", "tuned"))

    for row in rows:
        gain = _number(row.get("gain"), "+.4f")
        pairs = [pair(row, key) for key in others]
        table.add_row(row["optimizer"], str(row["trials"]), pair(row, metric), gain, *pairs)
    return table


def front(trials: Sequence[FrozenTrial], aims: Mapping[str, str], most: int = 10) -> Table:
    """The trials than which no other is better by every objective, by the first objective."""
    title = f"{len(trials)} trials on the Pareto front"
    table = Table(title=title if len(trials) <= most else f"{title}, {most} shown")
    table.add_column("run")
    for metric, mode in aims.items():
        table.add_column(f"{metric} ({mode})", justify="right")
    for trial in sorted(trials, key=lambda t: _rank(t, aims))[:most]:
        table.add_row(trial.user_attrs.get(RUN, ""), *(_number(v, ".4g") for v in trial.values))
    return table


def _rank(trial: FrozenTrial, aims: Mapping[str, str]) -> list[float]:
    """To sort by: the best first, by the first objective, and of equals the earliest."""
    signs = [1 if mode == "min" else -1 for mode in aims.values()]
    return [*(s * v for s, v in zip(signs, trial.values, strict=True)), trial.number]


def _finite(trial: FrozenTrial) -> bool:
    return all(map(math.isfinite, trial.values))


def _key(parameter: str) -> str:
    """The key of a parameter's name: optimizer.lr of optimizer.lr[adam]."""
    return parameter.partition("[")[0]


def _number(value: Any, form: str) -> str:
    if value is None:
        return "–"
    if not isinstance(value, (int, float)):
        return str(value)
    return format(value, form) if math.isfinite(value) else "diverged"


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    columns = dict.fromkeys(column for row in rows for column in row)
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writerow({column: as_text(column) for column in columns})
    writer.writerows({key: as_text(value) for key, value in row.items()} for row in rows)
    write_atomically(path, text.getvalue())
