"""Processor time of a run in a study of 100, 1,000 and 10,000 runs, none of which is trained."""

import contextlib
import hashlib
import io
import itertools
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode

import theta0.run
from theta0 import environment
from theta0.build import build
from theta0.index import forget
from theta0.launchers.sweep import Job, Sweep
from theta0.results import Best, Cost, Result
from theta0.sweep.callback import StudyCallback

SIZES = (100, 1_000, 10_000)
TRIES = 20
"""Runs, of which the median counts."""

WORDS = ("data=digits", "trainer=cpu", "logger=none", "study=bench", "hydra/job_logging=none")
CELLS = [
    (f"optimizer={optimizer}", f"init={init}", f"optimizer.lr={lr}")
    for optimizer, init, lr in itertools.product(
        ("adam", "sgd"), ("he", "xavier"), (0.0001, 0.001, 0.01, 0.1, 1.0)
    )
]


def growth_of_study(configs: Path) -> None:
    """Print milliseconds of a run at every size, and those at the largest over the smallest."""
    logging.getLogger("theta0").setLevel(logging.ERROR)
    theta0.run.perform = not_trained  # type: ignore[assignment]
    with (
        tempfile.TemporaryDirectory() as folder,
        initialize_config_dir(str(configs), version_base="1.3"),
    ):
        measured = [MadeUp(Path(folder, str(size)), size).seconds() for size in SIZES]
    print(f"{'milliseconds a run':40}{''.join(f'{size:>10,}' for size in SIZES)}     ratio")
    for what in measured[0]:
        each = [seconds[what] * 1e3 for seconds in measured]
        numbers = "".join(f"{milliseconds:10.2f}" for milliseconds in each)
        print(f"{what:40}{numbers}{each[-1] / each[0]:10.2f}")


def not_trained(folder: Path, config: dict[str, Any], result: Result) -> Result:
    """In place of `theta0.run.perform`: what a run leaves, without what takes its time."""
    accuracy = 0.9 + 0.05 * int(result.config_hash[:8], 16) / 16**8
    result.status = "done"
    result.objective.value = accuracy
    result.metrics = {"val/acc": accuracy, "test/acc": accuracy, "val/loss": 1 - accuracy}
    result.last_metrics = dict(result.metrics)
    result.best = Best(epoch=0, step=10)
    result.cost = Cost(
        steps=10,
        epochs=1,
        fit_seconds=0.1,
        wall_seconds=0.2,
        step_seconds=0.01,
        parameters=1000,
        trained=1000,
    )
    result.hashes.data = build(config["data"]).digest
    result.environment = environment.describe()
    theta0.run.record(result, folder)
    return result


class MadeUp:
    """A study of so many runs, copied from one with its words, seed, names and numbers changed.

    Args:
        folder: where its log_dir is to be.
        size: the number of runs.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.size, self.study = size, folder / "bench"
        loader = GlobalHydra.instance().config_loader()
        words = [*WORDS, f"paths.log_dir={folder}"]
        self.config = loader.load_configuration("train", words, RunMode.MULTIRUN)
        context = HydraContext(loader, Callbacks())
        self.sweep = Sweep(context, theta0.run.run, self.config)
        self.words = words
        self.do(self.job(0, CELLS[0]))
        (template,) = self.study.glob("*/result.json")
        content = json.loads(template.read_text())
        for seed in range(1, size):
            self.copy(content, seed, CELLS[seed % len(CELLS)])

    def job(self, seed: int, cell: Sequence[str]) -> Job:
        return Job(seed, (*self.words, *cell, f"seed={seed}"))

    def do(self, job: Job) -> None:
        self.sweep.run(job, self.sweep.task, alone=True)

    def copy(self, content: dict[str, Any], seed: int, cell: Sequence[str]) -> None:
        values = dict(word.split("=") for word in cell)
        digest = hashlib.sha256(f"{seed}".encode()).hexdigest()
        run = f"{values['optimizer']}-{values['init']}-s{seed}-{digest[:10]}"
        accuracy = 0.9 + 0.05 * int(digest[:8], 16) / 16**8
        config = content["config"]
        config["seed"] = seed
        config["seeds"] = {"split": 0, "init": seed, "order": seed, "noise": seed}
        config["optimizer"]["lr"] = float(values["optimizer.lr"])
        content |= {
            "run": run,
            "overrides": list(self.job(seed, cell).overrides),
            "config_hash": digest,
            "seeds": config["seeds"],
            "metrics": {"val/acc": accuracy, "test/acc": accuracy, "val/loss": 1 - accuracy},
        }
        content["choices"] |= {key: values[key] for key in ("optimizer", "init")}
        content["objective"]["value"] = accuracy
        folder = self.study / run
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps(content, indent=1))

    def seconds(self) -> dict[str, float]:
        """What is measured, and how long it takes."""
        callback = StudyCallback()
        callback.on_multirun_start(self.config)  # indexes the copies
        new, alone = ([self.job(n + i, CELLS[0]) for i in range(TRIES)] for n in (10**6, 10**7))
        jobs = [self.job(seed, CELLS[seed % len(CELLS)]).overrides for seed in range(self.size)]
        missing = [self.job(-seed, CELLS[0]).overrides for seed in range(1, self.size // 10)]

        def interrupt() -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                callback.on_multirun_end(self.config, [*jobs, *missing])

        def end() -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                callback.on_multirun_end(self.config)

        started = [partial(self.do, job) for job in new]
        started_alone = [partial(self.do, job) for job in alone]
        return {
            "new, in a sweep": timed(started),
            "skipped, in a sweep": timed(started),
            "new, a command of its own": timed(started_alone, first=forget),
            "skipped, a command of its own": timed(started_alone, first=forget),
            "start of a sweep": timed([partial(callback.on_multirun_start, self.config)] * 3)
            / self.size,
            "interrupt": timed([interrupt]) / self.size,
            "end of a sweep, with its table and report": timed([end]) / self.size,
        }


def timed(calls: Sequence[Callable[[], None]], first: Callable[[], None] = lambda: None) -> float:
    """Processor seconds of each call, the median."""
    seconds = []
    for call in calls:
        first()
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds)
