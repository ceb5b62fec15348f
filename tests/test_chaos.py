"""A sweep that is killed again and again ends as one that was never disturbed."""

import csv
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from theta0.results import FINISHED, Result

EPOCHS = 8
GRID = ("optimizer=adam,sgd", "init=xavier,he", "seed=0,1,2")
WORDS = (
    "-m", "study=s", "data=digits", "trainer=cpu", "logger=none", f"trainer.max_epochs={EPOCHS}",
    "trainer.log_every_n_steps=1", "checkpoint.every_n_seconds=0.1", "model.dropout=0.1",
    "+callbacks.witness={_target_: witness.Witness}",
)  # fmt: skip
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
TIMES = ("cost.fit_seconds", "cost.wall_seconds", "cost.step_seconds")
CODE = ("environment.git.sha", "environment.git.dirty")
"""Tell of changes to theta0 itself, which may be under way."""

WITNESS = '''
"""A user's callback that writes down who trains, and each epoch that comes to its end."""

import os
from pathlib import Path

import lightning


class Witness(lightning.Callback):
    def on_train_start(self, *_):
        self.note("workers", os.getpid())

    def on_train_epoch_end(self, trainer, *_):
        self.note("epochs", f"{Path(trainer.default_root_dir).name} {trainer.current_epoch}")

    def note(self, name, what):
        with Path(name).open("a") as file:
            file.write(f"{what}\\n")
'''


@pytest.fixture(scope="module", autouse=True)
def witness(tmp_path_factory):
    """The folder of the callback's module, on sys.path."""
    folder = tmp_path_factory.mktemp("witness")
    (folder / "witness.py").write_text(WITNESS)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


class Chaos:
    """Kills a sweep in folder `here`, or a part of it, at moments that chance and a phase choose.

    Moments are counted in what the sweep has done, so that a slow machine is disturbed as often.
    `kept` are the files of finished runs, which have to stay the ones that they were.
    """

    def __init__(self, here: Path, seed: int, phases: list[str]) -> None:
        self.here, self.study = here, here / "logs" / "s"
        self.chance, self.phases = random.Random(seed), phases
        self.chance.shuffle(phases)
        self.kept: dict[str, tuple[int, int]] = {}

    def kill(self, process, phase: str, whom) -> None:
        """SIGKILL by way of `whom()`, at a random moment of the phase."""
        self.fewest = self.rows()
        before = len(self.finished())

        def until(condition, interval: float = 0.02) -> None:
            deadline = time.monotonic() + 300
            while not condition():
                assert process.poll() is None, "the sweep came to its end before it was killed"
                assert time.monotonic() < deadline
                time.sleep(interval)

        if phase == "start":
            time.sleep(self.chance.uniform(0, 4))
        else:
            more = self.chance.randint(1, EPOCHS * 12)  # half a run's steps
            until(lambda: self.grown() >= more or len(self.finished()) > before)
        if phase == "checkpoint":
            until(lambda: any(self.study.glob("*/checkpoints/.*")), 0.0005)
        if phase == "between":
            until(lambda: len(self.finished()) > before)
            time.sleep(self.chance.uniform(0, 0.1))
        whom()
        now = self.finished()
        assert self.kept.items() <= now.items()
        self.kept = now

    def rows(self) -> int:
        return sum(file.read_bytes().count(b"\n") for file in self.study.glob("*/metrics.csv"))

    def grown(self) -> int:
        """Rows that were written since: a run that continues drops some first."""
        rows = self.rows()
        self.fewest = min(self.fewest, rows)
        return rows - self.fewest

    def finished(self) -> dict[str, tuple[int, int]]:
        """Each finished run's result.json: which file it is, and when it was written."""
        found = {}
        for file in self.study.glob("*/result.json"):
            if Result.read(file.parent).status in FINISHED:
                stat = file.stat()
                found[file.parent.name] = (stat.st_ino, stat.st_mtime_ns)
        return found

    def a_worker(self) -> int:
        """One of the processes that train, if any does."""
        pids = {int(line) for line in (self.here / "workers").read_text().split()}
        return self.chance.choice(sorted(pid for pid in pids if Path(f"/proc/{pid}").exists()))

    def compare(self, last, never) -> None:
        """The sweep that was killed, after its last command, with one that never was."""
        assert last.code == never.code == 0, last.err
        assert self.kept.items() <= self.finished().items()
        assert table(last.here) == table(never.here)
        for a, b in zip(last.results("s"), never.results("s"), strict=True):
            assert (a.run, a.status, a.hashes) == (b.run, "done", b.hashes)
            assert metrics(last.folder(a)) == metrics(never.folder(b))
            assert files(last.folder(a)) == files(never.folder(b))  # nothing half-written is left
            log = (last.folder(a) / "run.log").read_text()
            assert len(re.findall(r"  done  ", log)) <= 1
        # Each epoch was done; a kill has cost one of each process at most.
        epochs = Counter((self.here / "epochs").read_text().splitlines())
        assert len(epochs) == len(never.results("s")) * EPOCHS
        assert epochs.total() <= len(epochs) + 2 * len(self.phases)


def table(here: Path) -> list[dict[str, str]]:
    """results.csv but for the times, and for what theta0 itself was."""
    with (here / "logs" / "s" / "results.csv").open(newline="") as file:
        rows = csv.DictReader(file)
        return [{k: v for k, v in row.items() if k not in TIMES + CODE} for row in rows]


def metrics(run: Path) -> list[str]:
    """metrics.csv but for its last column, the seconds of an epoch."""
    header, *lines = (run / "metrics.csv").read_text().splitlines()
    assert header.endswith(",seconds")
    return [line.rpartition(",")[0] for line in lines]


def files(run: Path) -> set[str]:
    """But for the one that tells of changes to theta0 itself, which may be under way."""
    return {path.relative_to(run).as_posix() for path in run.rglob("*")} - {"changes.patch"}


@pytest.fixture
def sweep(start, witness):
    """`sweep(folder, ...)`: the sweep as a process group of its own."""

    def sweep(here: Path, *words: str):
        return start(here, *WORDS, *words, env={"PYTHONPATH": str(witness)}, own_group=True)

    return sweep


def kill_group(process):
    """A function that kills the process, and all that it has started."""

    def kill() -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    return kill


def test_a_few_kills(sweep, in_process, tmp_path):
    chaos = Chaos(tmp_path / "killed", 0, ["checkpoint", "between"])
    for phase in chaos.phases:
        process = sweep(chaos.here, "seed=0,1")
        chaos.kill(process, phase, kill_group(process))
    last = in_process(chaos.here, *WORDS, "seed=0,1")
    chaos.compare(last, in_process(tmp_path / "whole", *WORDS, "seed=0,1"))


@pytest.fixture(scope="module")
def never(in_process, tmp_path_factory):
    """The twelve cells, never disturbed."""
    return in_process(tmp_path_factory.mktemp("whole"), *WORDS, *GRID)


@pytest.mark.slow
def test_twenty_kills(sweep, in_process, tmp_path, never):
    phases = ["start"] * 3 + ["middle"] * 7 + ["checkpoint"] * 7 + ["between"] * 3
    chaos = Chaos(tmp_path, 1, phases)
    for phase in chaos.phases:
        process = sweep(chaos.here, *GRID)
        chaos.kill(process, phase, kill_group(process))
    chaos.compare(in_process(chaos.here, *WORDS, *GRID), never)


@pytest.mark.slow
def test_twenty_kills_of_workers(sweep, wait, tmp_path, never):
    """The same command goes on: it starts a new process, which continues the run."""
    chaos = Chaos(tmp_path, 2, ["middle"] * 9 + ["checkpoint"] * 8 + ["between"] * 3)
    process = sweep(chaos.here, *GRID, *JOBLIB, "hydra.launcher.retries=20")
    for phase in chaos.phases:
        chaos.kill(process, phase, lambda: os.kill(chaos.a_worker(), signal.SIGKILL))
    chaos.compare(wait(chaos.here, process), never)


@pytest.mark.slow
def test_kills_of_all_processes(sweep, wait, tmp_path, never):
    chaos = Chaos(tmp_path, 3, ["middle", "checkpoint"])
    for phase in chaos.phases:
        process = sweep(chaos.here, *GRID, *JOBLIB)
        chaos.kill(process, phase, kill_group(process))
    chaos.compare(wait(chaos.here, sweep(chaos.here, *GRID, *JOBLIB)), never)
