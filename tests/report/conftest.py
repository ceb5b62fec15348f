"""Made-up studies on disk, whose answers are known."""

import csv
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from theta0.results import Best, Cost, Error, Objective, Result, Seeds

Outcome = float | tuple[float, float] | str | None
"""Of a run: its val/acc; (val/acc, test/acc); how else it ended; None: there is no such run."""


def accuracy(cell: Mapping[str, Any], seed: int) -> Outcome:
    """He is 0.02 better than any other init, and each seed brings its own luck."""
    return 0.9 + 0.02 * (cell["init"] == "he") + 0.001 * ((7 * seed) % 5 - 2)


@pytest.fixture
def made_up_study(tmp_path: Path) -> Callable[..., Path]:
    """`made_up_study(optimizer=["adam", "sgd"], init=["he", "xavier"])`: its folder.

    See `make_up`; the study is tmp_path/logs/first unless told otherwise by `name`.
    """

    def made_up_study(outcome: Any = accuracy, name: str = "first", **settings: Any) -> Path:
        return make_up(tmp_path / "logs" / name, outcome, **settings)

    return made_up_study


@pytest.fixture(scope="session")
def making_up() -> Callable[..., Path]:
    """`make_up` itself, for a study that several tests read."""
    return make_up


def make_up(
    folder: Path,
    outcome: Callable[[Mapping[str, Any], int], Outcome] = accuracy,
    seeds: Iterable[int] = range(5),
    epochs: int = 3,
    brings: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda cell: {},
    change: Callable[[dict[str, Any]], None] = lambda content: None,
    **axes: Sequence[Any],
) -> Path:
    """Write result.json and metrics.csv of every run of a grid; returns the study's folder.

    Args:
        folder: of the study.
        outcome: from a cell and a seed to what became of the run.
        seeds: each cell's.
        epochs: rows of metrics.csv; val/acc rises to its last value by halves, ten steps and one
            second an epoch.
        brings: groups that a cell's choices bring along, which no override says.
        change: is given a run's content before it is written, to change at will.
        axes: groups, and keys with two underscores for the dot (optimizer__lr), and their values.
    """
    axes = {"optimizer": ["adam"], "init": ["he"], **axes}
    names = [name.replace("__", ".") for name in axes]
    for values in itertools.product(*axes.values()):
        cell = dict(zip(names, values, strict=True))
        for seed in seeds:
            if (end := outcome(cell, seed)) is not None:
                content = _content(folder.name, cell, dict(brings(cell)), seed, end, epochs)
                change(content)
                _write(folder, Result(**content), epochs)
    return folder


def _content(
    study: str,
    cell: Mapping[str, Any],
    brought: Mapping[str, str],
    seed: int,
    end: float | tuple[float, float] | str,
    epochs: int,
) -> dict[str, Any]:
    done = not isinstance(end, str)
    val, test = end if isinstance(end, tuple) else (end, end)
    groups = {key: str(value) for key, value in cell.items() if "." not in key}
    choices = {"data": "mnist5k", "model": "mlp"} | groups | dict(brought)
    config: dict[str, Any] = {
        group: {"_target_": f"made.up.{option}"} for group, option in choices.items()
    }
    for key, value in cell.items():
        if "." in key:
            group, _, name = key.partition(".")
            config.setdefault(group, {})[name] = value
    config |= {"seed": seed, "paths": {"data_dir": "data", "log_dir": "logs"}}
    said = "-".join(f"{key}={value}" for key, value in cell.items()).replace("/", "_")
    digest = hashlib.sha256(f"{said}{seed}".encode()).hexdigest()
    steps = 10 * epochs
    return {
        "status": end if isinstance(end, str) else "done",
        "run": re.sub(r"[^\w.-]", "_", f"{cell['optimizer']}-{cell['init']}-s{seed}-{digest[:10]}"),
        "study": study,
        "overrides": [*(f"{key}={value}" for key, value in cell.items()), f"seed={seed}"],
        "choices": choices,
        "config": config,
        "config_hash": digest,
        "seeds": Seeds(split=0, init=seed, order=seed, noise=seed),
        "objective": Objective(metric="val/acc", mode="max", value=val if done else None),
        "metrics": {"val/acc": val, "test/acc": test, "val/loss": 1 - val} if done else {},
        "last_metrics": {"val/acc": val} if done else {},
        "best": Best(epoch=epochs - 1, step=steps) if done else None,
        "cost": Cost(
            steps=steps,
            epochs=epochs,
            fit_seconds=float(epochs),
            wall_seconds=epochs + 1.0,
            step_seconds=0.1,
            parameters=1000,
            trained=1000,
        ),
        "environment": {"git": {"sha": "0" * 40, "dirty": False}, "python": "3.11", "gpu": []},
        "error": Error(type="RuntimeError", message="it went wrong\nand more", traceback="...")
        if end == "failed"
        else None,
    }


def _write(study: Path, result: Result, epochs: int) -> None:
    folder = study / result.run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(result.model_dump_json(by_alias=True))
    value = result.objective.value
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "train/loss_step", "epoch", "val/acc", "seconds"])
        writer.writerow([0, 2.3, "", "", ""])
        for epoch in range(epochs if value is not None else 0):
            reached = value * (1 - 0.5 ** (epoch + 1)) / (1 - 0.5**epochs)
            writer.writerow([10 * (epoch + 1), "", epoch, reached, epoch + 1.0])
