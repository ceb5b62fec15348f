"""Runs on two processes of the CPU: torchrun executes them, and they equal the run on one."""

import csv
import os
import signal
from pathlib import Path

import pytest
import torch
from waiting import until, until_gone

TRAIN = str(Path(__file__).parents[1] / "src" / "train.py")
SHORT = ("data=digits", "logger=none", "trainer.max_epochs=2", "model.widths=[16]")


def table(ran, result):
    with (ran.folder(result) / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_agree(two, ran_two, one, ran_one):
    """θ₀ and order are equal; then sums in another order make the last bits differ."""
    assert (two.status, one.status) == ("done", "done")
    assert two.hashes.init == one.hashes.init
    assert two.hashes.data == one.hashes.data
    assert two.config_hash == one.config_hash
    first = float(table(ran_one, one)[0]["train/loss_step"])
    assert float(table(ran_two, two)[0]["train/loss_step"]) == pytest.approx(first, abs=1e-6)
    assert two.metrics == pytest.approx(one.metrics, abs=1e-4)
    assert two.last_metrics == pytest.approx(one.last_metrics, abs=1e-4)
    assert (two.best, two.cost.steps) == (one.best, one.cost.steps)
    assert len(table(ran_two, two)) == len(table(ran_one, one))


@pytest.mark.slow
def test_a_sweep_on_two_processes(in_process, tmp_path):
    """The parent stays outside: two jobs are two runs, and a run on one process can follow."""
    command = (*SHORT, "optimizer=adam,adamw", "study=s")
    two = in_process(tmp_path / "two", "-m", "trainer=ddp_cpu", *command)
    assert two.code == 0, two.out + two.err
    one = in_process(tmp_path / "one", "-m", *command)
    assert [r.choices["optimizer"] for r in two.results("s")] == ["adam", "adamw"]
    assert sorted(two.returned) == sorted(r.objective.value for r in two.results("s"))
    for both, alone in zip(two.results("s"), one.results("s"), strict=True):
        assert_agree(both, two, alone, one)
    assert len((tmp_path / "two" / "logs" / "s" / "results.csv").read_text().splitlines()) == 3


@pytest.mark.slow
@pytest.mark.parametrize("size", [33, 53, 1256])
def test_a_batch_that_does_not_divide_evenly(in_process, tmp_path, size):
    """1257 samples in batches of 33 leave 3 for the last one; of 53, 38; of 1256, a single one."""
    command = (*SHORT, f"data.batch_size={size}", "optimizer=sgd", "data.eval_batch_size=7")
    two = in_process(tmp_path / "two", "trainer=ddp_cpu", *command)
    one = in_process(tmp_path / "one", *command)
    assert two.code == 0, two.out
    assert_agree(two.one(), two, one.one(), one)


RANKED = '''
import os

from theta0.models import MLP


class Net(MLP):
    """Raises on one rank alone."""

    def __init__(self, on="", **settings):
        super().__init__(**settings)
        self.on, self.passes = on, 0

    def forward(self, x):
        self.passes += 1
        if self.passes == 3 and self.on and os.environ.get("RANK") == self.on:
            raise ArithmeticError("this rank is ill")
        return super().forward(x)
'''


@pytest.mark.slow
def test_a_failing_rank_is_a_failed_run_and_the_sweep_goes_on(in_process, tmp_path):
    (tmp_path / "ranked_net.py").write_text(RANKED)
    ran = in_process(
        tmp_path, "-m", "trainer=ddp_cpu", *SHORT, "study=s", "model._target_=ranked_net.Net",
        "++model.on='1','0',''", env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert ran.code == 1
    results = {r.config["model"]["on"]: r for r in ran.results("s")}
    assert {on: result.status for on, result in results.items()} == {
        "1": "failed",
        "0": "failed",
        "": "done",
    }
    for on in "01":
        assert results[on].error.line
        assert f"failed: {results[on].run}: {results[on].error.line}" in ran.out
        assert "this rank is ill" in (ran.folder(results[on]) / "run.log").read_text()
    assert results["0"].error.type == "ArithmeticError"


@pytest.mark.slow
def test_a_diverging_run_on_two_processes_is_a_result(in_process, tmp_path):
    ran = in_process(
        tmp_path,
        "trainer=ddp_cpu",
        *SHORT,
        "optimizer=sgd",
        "optimizer.lr=1e9",
        "model.activation=identity",
    )
    assert ran.code == 0, ran.out
    assert ran.one().status == "diverged"


@pytest.mark.slow
def test_torchrun_from_outside_makes_one_run(start, wait, in_process, tmp_path):
    arguments = (*SHORT, "optimizer=adam", "study=s")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", TRAIN)
    ran = wait(tmp_path, start(tmp_path, "trainer=ddp_cpu", *arguments, program=torchrun))
    assert ran.code == 0, ran.err
    alone = in_process(tmp_path / "one", *arguments)
    assert_agree(ran.one(), ran, alone.one(), alone)


@pytest.mark.slow
def test_two_and_two_epochs_on_two_processes(in_process, tmp_path):
    """Each process's random state is in the checkpoint."""
    setting = ("trainer=ddp_cpu", "scheduler=none", *SHORT, "model.dropout=0.2", "optimizer=adam")
    four = in_process(tmp_path, *setting, "trainer.max_epochs=4", "study=four")
    two = in_process(tmp_path, *setting, "study=two")
    last = two.folder(two.one("two")) / "checkpoints" / "last.ckpt"
    more = in_process(tmp_path, *setting, "trainer.max_epochs=4", f"ckpt_path={last}", "study=more")
    assert more.code == 0, more.out
    assert more.one("more").hashes == four.one("four").hashes
    assert more.one("more").last_metrics == four.one("four").last_metrics


HELD = '''
"""A user's callback that tells who the processes are, and holds them after a step, once."""

import os
import time
from pathlib import Path

import lightning


class Hold(lightning.Callback):
    def __init__(self, at, marker):
        self.at, self.marker = at, Path(marker)

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.at and not self.marker.with_suffix(".over").exists():
            with self.marker.open("a") as file:
                file.write(f"{os.getpid()} {os.getppid()}\\n")
            while True:
                time.sleep(0.1)
'''


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["a rank", "everything"])
def test_killed_in_the_middle_of_an_epoch_and_continued(start, wait, in_process, tmp_path, whom):
    """It ends as a run that nobody killed, to the last bit; and is nobody else's while it lives."""
    (tmp_path / "held.py").write_text(HELD)
    marker = tmp_path / "held"
    words = (
        *SHORT, "study=s", "trainer=ddp_cpu", "model.dropout=0.2", "optimizer=adam",
        "checkpoint.every_n_seconds=0", "trainer.log_every_n_steps=3",
        f"+callbacks.hold={{_target_: held.Hold, at: 27, marker: {marker}}}",
    )  # fmt: skip
    env = {"PYTHONPATH": str(tmp_path)}
    process = start(tmp_path / "cut", *words, env=env)

    def held():
        assert process.poll() is None, process.communicate()
        return marker.exists() and len(marker.read_text().splitlines()) == 2

    until(held)
    ranks, (torchrun, _) = zip(*map(str.split, marker.read_text().splitlines()), strict=True)
    if whom == "a rank":
        os.kill(int(ranks[0]), signal.SIGKILL)
        ran = wait(tmp_path / "cut", process)
        assert (ran.code, ran.one().status) == (1, "failed")
        assert ran.one().error.line  # told by the rank that is left, or by the parent
    else:
        process.kill()  # alone: the others end with it
        ran = wait(tmp_path / "cut", process)  # until they do, they have its pipes
        until_gone(map(int, (torchrun, *ranks)))
        assert ran.one().status in ("interrupted", "running")  # as far as it came
    marker.with_suffix(".over").touch()
    folder = ran.folder(ran.one())
    step = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert step == 26  # of 20 an epoch
    ran = in_process(tmp_path / "cut", *words, "rerun=failed", env=env)
    whole = in_process(tmp_path / "whole", *words, env=env)
    assert (ran.one().status, whole.one().status) == ("done", "done")
    assert ran.one().hashes == whole.one().hashes
    assert ran.one().metrics == whole.one().metrics

    def rows(ran):
        return [{k: v for k, v in r.items() if k != "seconds"} for r in table(ran, ran.one())]

    assert rows(ran) == rows(whole)
