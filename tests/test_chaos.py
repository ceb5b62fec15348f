"""A sweep that is killed again and again ends as one that was never disturbed."""

import csv
import os
import re
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from kills import half_of, killed, replacing
from waiting import until

from theta0.module import Module
from theta0.results import FINISHED, Result

EPOCHS = 2
WORDS = (
    "-m", "study=s", "data=digits", "trainer=cpu", "logger=none", f"trainer.max_epochs={EPOCHS}",
    "trainer.limit_train_batches=4", "trainer.log_every_n_steps=1", "checkpoint.every_n_seconds=0",
    "model.widths=[16]", "model.dropout=0.1", "seed=0,1",
    "+callbacks.witness={_target_: witness.Witness}",
)  # fmt: skip
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
TIMES = ("cost.fit_seconds", "cost.wall_seconds", "cost.step_seconds")
CODE = ("environment.git.sha", "environment.git.dirty")
"""Tell of changes to theta0 itself, which may be under way."""

WITNESS = '''
"""A user's callback that writes down each epoch that comes to its end.

Its process is killed after as many steps of its first run as the file `deadly` says, once.
"""

import os
import signal
from pathlib import Path

import lightning


class Witness(lightning.Callback):
    def on_train_epoch_end(self, trainer, *_):
        with Path("epochs").open("a") as file:
            file.write(f"{Path(trainer.default_root_dir).name} {trainer.current_epoch}\\n")

    def on_train_batch_end(self, trainer, *_):
        deadly = Path(f"deadly-{trainer.global_step}")
        try:
            deadly.unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
'''


@pytest.fixture(scope="module", autouse=True)
def witness(tmp_path_factory):
    """The folder of the callback's module, on sys.path."""
    folder = tmp_path_factory.mktemp("witness")
    (folder / "witness.py").write_text(WITNESS)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def in_a_step():
    Module.training_step = killed(Module.training_step, 3)


POINTS = {
    "before there is a result": replacing("result.json", 1, done=False),
    "in a step": in_a_step,
    "half a checkpoint": half_of(".temporary.ckpt", 2),
    "before the best is replaced": replacing("best.ckpt", 1, done=False),
    "the best replaced, the last one not": replacing("best.ckpt", 1, done=True),
    "before the last is replaced": replacing("last.ckpt", 2, done=False),
    "half of the end's result": half_of(".result.json", 2),
    "between two runs": replacing("result.json", 2, done=True),
    "half of a table": half_of(".results.csv", 1),
    "half of the binary table": half_of(".results.parquet", 1),
}


def test_killed_at_every_point_in_turn(forked, in_process, tmp_path):
    """Each kill meets the study that the kills before it have left."""
    here, kept = tmp_path / "killed", {}
    for point, patch in POINTS.items():
        assert forked(here, *WORDS, before=patch) == -signal.SIGKILL, point
        assert kept.items() <= finished(here).items(), point
        kept = finished(here)
    assert len(kept) == 2
    compare(in_process(here, *WORDS), in_process(tmp_path / "whole", *WORDS), kept, len(POINTS))


@pytest.mark.slow
def test_workers_and_whole_sweeps_are_killed(start, wait, in_process, witness, tmp_path):
    """First two workers, whose runs go on in new ones; then, at another command, all processes."""
    here, env = tmp_path / "killed", {"PYTHONPATH": str(witness)}
    here.mkdir()
    words = (*WORDS, *JOBLIB, "seed=0,1,2")
    for step in (3, 7):
        (here / f"deadly-{step}").touch()
    process = start(here, *words, env=env, own_group=True)
    until(lambda: finished(here) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not list(here.glob("deadly-*"))
    kept = finished(here)
    last = wait(here, start(here, *words, env=env))
    never = in_process(tmp_path / "whole", *WORDS, "seed=0,1,2")
    compare(last, never, kept, 2 + 2)


def finished(here: Path) -> dict[str, tuple[int, int]]:
    """Each finished run's result.json: which file it is, and when it was written."""
    found = {}
    for file in here.glob("logs/s/*/result.json"):
        if Result.read(file.parent).status in FINISHED:
            stat = file.stat()
            found[file.parent.name] = (stat.st_ino, stat.st_mtime_ns)
    return found


def compare(last, never, kept, kills: int) -> None:
    """The sweep that was killed, after its last command, with one that never was.

    `kept` are the files of finished runs, which have to stay the ones that they were.
    """
    assert last.code == never.code == 0, last.err
    assert kept.items() <= finished(last.here).items()
    assert table(last.here) == table(never.here)
    for a, b in zip(last.results("s"), never.results("s"), strict=True):
        assert (a.run, a.status, a.hashes) == (b.run, "done", b.hashes)
        assert metrics(last.folder(a)) == metrics(never.folder(b))
        assert files(last.folder(a)) == files(never.folder(b))  # nothing half-written is left
        log = (last.folder(a) / "run.log").read_text()
        assert len(re.findall(r"  done  ", log)) <= 1
    # Each epoch was done; a kill has cost one of each process at most.
    epochs = Counter((last.here / "epochs").read_text().splitlines())
    assert len(epochs) == len(never.results("s")) * EPOCHS
    assert epochs.total() <= len(epochs) + kills


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
