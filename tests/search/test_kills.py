"""Searches that are killed, and searches of several processes: never more, never fewer trials."""

import collections
import os
import re
import signal
import time

import optuna
import pytest

pytestmark = pytest.mark.slow

WORDS = (
    "data=digits", "trainer=cpu", "logger=none", "trainer.max_epochs=2", "study=s",
    "model.widths=[16]",
)  # fmt: skip


def trials(here):
    storage = optuna.storages.RDBStorage(f"sqlite:///{here}/logs/s/optuna.db")
    return optuna.load_study(study_name=None, storage=storage).get_trials()


def told(here):
    return [(t.number, t.state.name, t.params, t.values) for t in trials(here)]


def kill_when(process, here, runs):
    """SIGKILL to its process group once so many runs have begun."""
    end = time.monotonic() + 300
    while len(list(here.glob("logs/s/*/result.json"))) < runs and time.monotonic() < end:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_killed_half_way_and_continued(start, wait, in_process, tmp_path):
    """The same trials as without the kills, and a best file that runs."""
    words = ("-m", "search=optimizer_lr", "hydra.sweeper.n_trials=14", *WORDS)
    here = tmp_path / "killed"
    for runs in (5, 12):
        kill_when(start(here, *words, own_group=True), here, runs)
    ran = in_process(here, *words, program="./train.py", report=True)
    assert ran.code == 0, ran.err
    whole = in_process(tmp_path / "whole", *words, program="./train.py", report=True)
    assert len(told(here)) == 14
    assert told(here) == told(whole.here)
    hashes = [{r.run: r.hashes for r in found.results("s")} for found in (ran, whole)]
    assert hashes[0] == hashes[1]
    best = [(h / "logs/s/report/experiment/best.yaml").read_text() for h in (here, whole.here)]
    assert best[0] == best[1]
    again = in_process(
        tmp_path / "best", f"--config-dir={here}/logs/s/report", "experiment=best",
        program="./train.py",
    ).one()  # fmt: skip
    assert again.status == "done"
    assert again.hashes == hashes[0][again.run]
    assert f"best: {again.run}, " in ran.out

    before = told(here)  # without the database the same trials are drawn: their runs are done
    (here / "logs" / "s" / "optuna.db").unlink()
    ran = in_process(here, *words, program="./train.py")
    assert ran.code == 0, ran.err
    assert "\n14 done\n" in ran.out
    assert told(here) == before


def test_two_processes_share_the_trials(start, wait, tmp_path):
    """One of them is killed: the other one takes its trial over."""
    words = ("-m", "search=optimizer_lr", "hydra.sweeper.n_trials=10", *WORDS)
    processes = [start(tmp_path, *words, own_group=True) for _ in range(3)]
    kill_when(processes[0], tmp_path, 5)
    ran = [wait(tmp_path, process) for process in processes[1:]]
    assert [r.code for r in ran] == [0, 0], [r.err for r in ran]
    found = trials(tmp_path)
    assert [trial.state.name for trial in found] == ["COMPLETE"] * 10
    owners = collections.Counter(trial.user_attrs["owner"] for trial in found)
    assert len(owners) >= 2
    done = [name for r in ran for name in re.findall(r"(\S+)  done  val/acc", r.out)]
    assert len(done) == len(set(done))
    assert {result.status for result in ran[0].results("s")} == {"done"}


def test_batches_by_several_processes_are_those_by_one(in_process, tmp_path):
    """`hydra/launcher=joblib`: the same search, two runs at a time."""
    words = ("-m", "search=optimizer_lr", "hydra.sweeper.n_trials=8", "pruning=asha", *WORDS)
    words = (*words, "hydra.sweeper.batch_size=4", "pruning.min_epochs=2")
    one = in_process(tmp_path / "one", *words, program="./train.py")
    assert one.code == 0, one.err
    several = in_process(
        tmp_path / "several", *words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
        program="./train.py",
    )  # fmt: skip
    assert several.code == 0, several.err
    assert [(t[0], t[2]) for t in told(several.here)][:4] == [(t[0], t[2]) for t in told(one.here)][
        :4
    ]
    assert len(told(several.here)) == 8
    assert {t[1] for t in told(several.here)} <= {"COMPLETE", "PRUNED"}
