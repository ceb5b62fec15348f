"""Whole sweeps: stacked they leave what the ordinary launcher leaves, whatever happens to them."""

import csv
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
import pytest
import torch
from kills import half_of, replacing
from torch import Tensor

from theta0.module import Module

SMALL = ("model.widths=[16,16]", "trainer.max_epochs=2", "study=s")
STACKED = ("hydra/launcher=stacked", "hydra.launcher.workers=1", "hydra.launcher.threads=1")
CELLS = ("optimizer=adamw,sgd", "init=he,xavier,orthogonal", "optimizer.lr=1e-3,1e-2", "seed=0,1")
DOUBLE = "precision=64-true"


def table(ran: Any) -> list[dict[str, str]]:
    with (ran.here / "logs" / "s" / "results.csv").open(newline="") as file:
        return sorted(csv.DictReader(file), key=lambda row: row["run"])


def weights(ran: Any) -> dict[str, Tensor]:
    """All of a run's last weights as one vector, by run."""
    found = {}
    for result in ran.results("s"):
        path = ran.folder(result) / "checkpoints" / "last.ckpt"
        tensors = torch.load(path, weights_only=True)["state_dict"].values()
        found[result.run] = torch.cat([tensor.flatten() for tensor in tensors])
    return found


@pytest.mark.slow
def test_in_float64_24_cells_choose_and_score_as_alone(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    alone = in_process(tmp_path / "alone", "-m", *SMALL, *CELLS, DOUBLE)
    stacked = in_process(tmp_path / "stacked", "-m", *SMALL, *CELLS, DOUBLE, *STACKED)
    assert "24 runs in 2 stacks of 12" in stacked.out
    rows = list(zip(table(alone), table(stacked), strict=True))
    assert len(rows) == 24
    for one, other in rows:
        told = {
            key
            for key in one
            if key in ("run", "status", "config_hash", "hashes.init", "hashes.data", "test/acc")
            or key.startswith(("best.", "seed", "choices", "optimizer", "init", "objective"))
        }
        assert {"hashes.init", "test/acc", "best.epoch", "optimizer", "optimizer.lr"} <= told
        assert {key: one[key] for key in told} == {key: other[key] for key in told}


@pytest.mark.slow
def test_in_float32_a_stack_is_no_further_away_than_the_last_bit_of_theta0(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    original = Module.initialise

    def nudged(self: Module, seed: int, data: Any = None) -> list[Any]:
        report = original(self, seed, data)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for p in self.network.parameters():
                p.mul_(1 + 1e-7 * torch.randn(p.shape, generator=generator))
        return report

    words = ("-m", *SMALL, *CELLS)
    alone = weights(in_process(tmp_path / "alone", *words))
    stacked = weights(in_process(tmp_path / "stacked", *words, *STACKED))
    with mock.patch.object(Module, "initialise", nudged):
        near = weights(in_process(tmp_path / "near", *words))
    assert len(alone) == 24 and alone.keys() == stacked.keys()

    def apart(others: dict[str, Tensor]) -> Tensor:
        """Relative distances of the last weights."""
        pairs = zip(alone.values(), others.values(), strict=True)
        return torch.stack([(a - b).norm() / a.norm() for a, b in pairs])

    assert apart(near).min() > 0
    assert apart(stacked).mean() <= 1.5 * apart(near).mean()
    assert apart(stacked).max() <= 1.5 * apart(near).max()


@pytest.mark.slow
def test_who_is_done_is_left_and_who_is_damaged_is_told(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    """A study that has one run done, one damaged, two interrupted at their start, one new."""
    words = ("-m", *SMALL, *STACKED)
    whole = in_process(tmp_path / "whole", *words, "seed=0,1,2,3,4")
    here = tmp_path / "broken"
    first = in_process(here, *words, "seed=0,1,2,3")
    done, damaged, *others = first.results("s")
    for result in (damaged, *others):
        folder = first.folder(result)
        told = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps(told | {"status": "running"}))
        if result is damaged:
            (folder / "checkpoints" / "last.ckpt").write_bytes(b"half")
        else:
            (folder / "checkpoints" / "last.ckpt").unlink()
    ran = in_process(here, *words, "seed=0,1,2,3,4")
    assert ran.code == 1
    assert f"{done.run}  done already" in ran.out
    ends = {result.run: result for result in ran.results("s")}
    assert ends[damaged.run].status == "failed"
    assert "is truncated or holds more than plain tensors" in ends[damaged.run].error.message
    assert ran.err == "" and ran.out.count("truncated") >= 1
    for result in whole.results("s"):
        if result.run != damaged.run:
            assert ends[result.run].status == "done"
            assert ends[result.run].hashes == result.hashes


def test_the_last_one_left_of_a_stack_has_the_bits_that_it_had_among_others(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("-m", *SMALL, *STACKED, "model.dropout=0.1", "seed=0,1")
    ran = in_process(tmp_path, *words)
    first, second = ran.results("s")
    shutil.rmtree(ran.folder(second))
    again = in_process(tmp_path, *words)
    assert "1 done, 1 new" in again.out
    one, other = again.results("s")
    assert (one.hashes, other.hashes) == (first.hashes, second.hashes)
    assert other.metrics == second.metrics
    assert other.environment["stack"] == 1


@pytest.mark.slow
def test_members_are_dealt_evenly_over_stacks(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    """Whatever the stack, a member is the same; L-BFGS and a run of its own kind are alone."""
    words = ("-m", *SMALL, "seed=0,1,2,3,4")
    one = in_process(tmp_path / "one", *words, *STACKED)
    two = in_process(tmp_path / "two", *words, *STACKED, "hydra.launcher.members=3")
    assert "5 runs in 1 stack of 5" in one.out
    assert "5 runs in 2 stacks of 2, 3" in two.out
    assert [r.hashes for r in one.results("s")] == [r.hashes for r in two.results("s")]
    assert one.returned == two.returned == []  # by the stack, not by `run`
    few = ("trainer.limit_train_batches=2", "optimizer=lbfgs,adam")
    ran = in_process(tmp_path / "alone", "-m", *SMALL, *few, *STACKED)
    assert "stack" not in ran.out.replace("runs alone", "")
    assert "runs alone: LBFGS: its step searches along a line" in ran.out
    assert "runs alone: no other run of its kind" in ran.out
    assert {r.status for r in ran.results("s")} == {"done"}


def test_each_member_is_a_run_of_w_and_b(
    in_process: Callable[..., Any], wandb_server: Any, tmp_path: Path
) -> None:
    words = ("-m", *SMALL, *STACKED, "logger=wandb", "optimizer=sgd", "model.activation=identity")
    rates = "optimizer.lr=1e-2,1e-1,1e6"
    ran = in_process(tmp_path, *words, rates, env=wandb_server.environment)
    assert "3 runs in 1 stack of 3" in ran.out
    runs = {run.name: run for run in wandb_server.runs.values()}
    assert len(runs) == 3
    for result in ran.results("s"):
        run = runs[result.run]
        assert (run.group, run.job_type) == ("s", "train")
        assert run.config["config_hash"] == result.config_hash
        assert run.summary["status"] == result.status
        assert run.exit_codes == [0]
        with (ran.folder(result) / "metrics.csv").open(newline="") as file:
            rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
        assert [row["_step"] for row in run.history] == [row["step"] for row in rows]
        for told, row in zip(run.history, rows, strict=True):
            assert row.items() - {("step", row["step"])} <= told.items()


def trials(ran: Any) -> list[Any]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{ran.here}/logs/s/optuna.db")
    return optuna.load_study(study_name=None, storage=storage).get_trials()


@pytest.mark.slow
def test_a_search_in_batches_is_the_search_of_the_ordinary_launcher(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    words = (
        "-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=64", "hydra.sweeper.batch_size=32",
        *SMALL, "trainer.limit_train_batches=5", "optimizer.lr=tag(log,interval(1e-4,1))",
        "init=he,xavier", DOUBLE,
    )  # fmt: skip
    alone = in_process(tmp_path / "alone", *words)
    stacked = in_process(tmp_path / "stacked", *words, *STACKED)
    assert stacked.code == 0, stacked.err
    assert stacked.out.count("runs in 1 stack of ") == 2

    def told(trial: Any) -> tuple[Any, ...]:
        attributes = {k: v for k, v in trial.user_attrs.items() if k != "owner"}
        return trial.number, trial.state.name, trial.params, trial.values, attributes

    found = [[told(trial) for trial in trials(ran)] for ran in (alone, stacked)]
    assert len(found[0]) == 64
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_search_prunes_members_and_the_others_do_not_notice(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    words = (
        "-m", "hydra/sweeper=optuna", "hydra.sweeper.sampler=grid", "hydra.sweeper.batch_size=4",
        "hydra.sweeper.seed=0", *SMALL, "trainer.max_epochs=3", "trainer.limit_train_batches=4",
        "optimizer.lr=1e-6,1e-3,1e-2,3e-2", *STACKED,
    )  # fmt: skip
    whole = in_process(tmp_path / "whole", *words)
    ran = in_process(tmp_path / "pruned", *words, "pruning=asha", "pruning.reduction_factor=2")
    assert ran.code == 0, ran.err
    runs = {result.run: result for result in ran.results("s")}
    ends = [runs[trial.user_attrs["run"]].status for trial in trials(ran)]
    assert {"done", "pruned"} == set(ends)
    for trial in trials(ran):
        result = runs[trial.user_attrs["run"]]
        assert trial.state.name == {"done": "COMPLETE", "pruned": "PRUNED"}[result.status]
        with (ran.folder(result) / "metrics.csv").open(newline="") as file:
            epochs = [row for row in csv.DictReader(file) if row["epoch"]]
        told = {int(row["epoch"]) + 1: float(row["val/acc"]) for row in epochs}
        assert trial.intermediate_values == pytest.approx(told)
        assert len(told) == result.cost.epochs
        if result.status == "pruned":
            assert result.cost.epochs < 3
            assert result.objective.value == result.metrics["val/acc"]
            assert not any(name.startswith("test/") for name in result.metrics)
            assert (ran.folder(result) / "checkpoints" / "best.ckpt").exists()
    hashes = {result.run: result.hashes for result in whole.results("s")}
    assert all(r.hashes == hashes[r.run] for r in runs.values() if r.status == "done")


SHORT = ("trainer.limit_train_batches=4", "checkpoint.every_n_seconds=0", "model.dropout=0.1")
POINTS = {
    "before there is a checkpoint": replacing("last.ckpt", 1, done=False),
    "half of a checkpoint": half_of(".last.ckpt", 2),
    "some members saved, the others not": replacing("last.ckpt", 8, done=True),
    "before a member's last word": replacing("result.json", 8, done=False),
    "between two stacks": replacing("result.json", 6, done=True),
}
"""Of two stacks of three members."""


@pytest.mark.slow
def test_a_stack_that_is_killed_at_every_point_in_turn_ends_as_one_that_never_was(
    forked: Callable[..., int], in_process: Callable[..., Any], tmp_path: Path
) -> None:
    """Each kill meets what the kills before it have left."""
    words = ("-m", *SMALL, *STACKED, *SHORT, "optimizer=adam,sgd", "seed=0,1,2")
    never = in_process(tmp_path / "never", *words)
    assert "6 runs in 2 stacks of 3" in never.out
    here = tmp_path / "killed"
    for point, patch in POINTS.items():
        assert forked(here, *words, before=patch) == -signal.SIGKILL, point
    ran = in_process(here, *words)
    assert ran.code == never.code == 0, ran.err
    for one, other in zip(never.results("s"), ran.results("s"), strict=True):
        assert (one.run, one.status, one.hashes) == (other.run, "done", other.hashes)
        assert (one.metrics, one.best) == (other.metrics, other.best)
        names = {path.name for path in (ran.folder(other) / "checkpoints").iterdir()}
        assert names == {"best.ckpt", "last.ckpt"}


DEADLY = '''
"""A user's model whose process is killed at its sixth pass where the file `deadly` is, once."""

import os
import signal
from pathlib import Path

from theta0.models import MLP


class Net(MLP):
    passes = 0

    def forward(self, x):
        Net.passes += 1
        if Net.passes == 6:
            try:
                Path("deadly").unlink()
            except FileNotFoundError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)
'''


@pytest.mark.slow
def test_two_workers_one_of_them_killed_do_what_one_does(
    in_process: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly_net.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    words = (
        "-m", *SMALL, *STACKED, *SHORT, "optimizer=adam,sgd", "seed=0,1,2",
        "model._target_=deadly_net.Net",
    )  # fmt: skip
    one = in_process(tmp_path / "one", *words)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "deadly").touch()
    two = in_process(tmp_path / "two", *words, "hydra.launcher.workers=2")
    assert one.code == two.code == 0, two.err
    assert "6 runs in 2 stacks of 3" in one.out and "6 runs in 2 stacks of 3" in two.out
    assert [r.hashes for r in one.results("s")] == [r.hashes for r in two.results("s")]
    assert {r.status for r in two.results("s")} == {"done"}
    assert not (tmp_path / "two" / "deadly").exists()
    logs = [(two.folder(result) / "run.log").read_text() for result in two.results("s")]
    assert sorted(log.count("  continued\n") for log in logs) == [0, 0, 0, 1, 1, 1]
