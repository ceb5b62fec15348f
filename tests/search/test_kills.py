"""Searches that are killed, and searches of several processes: never more, never fewer trials."""

import collections
import os
import re
import signal

import optuna
import pytest
from kills import replacing
from waiting import until

from theta0.results import Result

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


def test_killed_half_way_and_continued(forked, in_process, tmp_path):
    """The same trials as without the kills, and a best file that runs.

    The fifth trial is killed before its run has a result; the eleventh after its run's last word,
    before the database has heard of it.
    """
    words = ("-m", "search=optimizer_lr", "hydra.sweeper.n_trials=14", *WORDS)
    here = tmp_path / "killed"
    for number, done, finished in ((13, False, 4), (21, True, 11)):
        point = replacing("result.json", number, done=done)
        assert forked(here, *words, program="./train.py", before=point) == -signal.SIGKILL
        files = here.glob("logs/s/*/result.json")
        assert [Result.read(file.parent).status for file in files] == ["done"] * finished
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

    def begun():
        assert processes[0].poll() is None, processes[0].communicate()[1]
        return len(list(tmp_path.glob("logs/s/*/result.json"))) >= 5

    until(begun)
    os.killpg(processes[0].pid, signal.SIGKILL)
    processes[0].communicate()
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
