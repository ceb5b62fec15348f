"""The checkpoint callback with a trainer that only counts."""

import os
from types import SimpleNamespace

import pytest
import torch

from theta0.callbacks import Checkpoint
from theta0.callbacks import checkpoint as module


class Trainer:
    """What the callback asks of Lightning's: metrics, and a file for every save."""

    is_global_zero = True
    strategy = SimpleNamespace(barrier=lambda: None)

    def __init__(self, callback, values):
        self.callback, self.values, self.epoch = callback, values, 0
        self.callback_metrics = {}

    def save_checkpoint(self, path):
        path.parent.mkdir(exist_ok=True)
        torch.save({"epoch": self.epoch, "callback": self.callback.state_dict()}, path)

    def fit(self):
        for value in self.values:
            self.callback_metrics = {} if value is None else {"val/x": torch.tensor(value)}
            self.callback.on_train_epoch_end(self, SimpleNamespace())
            self.epoch += 1


def saved(folder, name):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


@pytest.mark.parametrize(
    ("mode", "values", "best"),
    [
        ("max", [0.1, 0.5, 0.3], 1),
        ("min", [0.1, 0.5, 0.3], 0),
        ("max", [0.5, 0.5, 0.5], 0),
        ("min", [0.5, 0.2, 0.2, 0.4], 1),
        ("max", [-3.0, -2.0], 1),
        ("max", [0.0, -1.0], 0),
        ("min", [None, 4.0, None], 1),
    ],
)
def test_the_earliest_of_the_best_is_kept(tmp_path, mode, values, best):
    Trainer(Checkpoint("val/x", mode, tmp_path), values).fit()
    assert saved(tmp_path, "best")["epoch"] == best
    assert saved(tmp_path, "last")["epoch"] == len(values) - 1
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"best.ckpt", "last.ckpt"}


def test_without_the_metric_there_is_no_best(tmp_path):
    Trainer(Checkpoint("val/x", "max", tmp_path), [None, None]).fit()
    assert saved(tmp_path, "last")["epoch"] == 1
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()


def test_the_best_is_remembered(tmp_path):
    """By a checkpoint's own state, also where that checkpoint is the best."""
    Trainer(Checkpoint("val/x", "max", tmp_path), [0.1, 0.5]).fit()
    assert saved(tmp_path, "best")["callback"] == {"best": 0.5}
    continued = Checkpoint("val/x", "max", tmp_path)
    continued.load_state_dict(saved(tmp_path, "last")["callback"])
    trainer = Trainer(continued, [0.4, 0.5])
    trainer.epoch = 2
    trainer.fit()
    assert saved(tmp_path, "best")["epoch"] == 1
    assert saved(tmp_path, "last")["epoch"] == 3


@pytest.mark.parametrize("links", [True, False])
def test_the_best_is_not_touched_by_a_later_last(tmp_path, monkeypatch, links):
    def refuse(*paths):
        raise OSError("no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    callback = Checkpoint("val/x", "max", tmp_path)
    Trainer(callback, [0.9]).fit()
    before = (tmp_path / "checkpoints" / "best.ckpt").read_bytes()
    assert before == (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    trainer = Trainer(callback, [0.1, 0.2])
    trainer.epoch = 1
    trainer.fit()
    assert (tmp_path / "checkpoints" / "best.ckpt").read_bytes() == before
    assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() != before


def test_a_save_that_fails_half_way_leaves_the_old_files(tmp_path):
    class Full(Trainer):
        def save_checkpoint(self, path):
            path.write_bytes(b"half a checkp")
            raise OSError("no space left on device")

    callback = Checkpoint("val/x", "max", tmp_path)
    Trainer(callback, [0.1]).fit()
    with pytest.raises(OSError, match="no space left"):
        Full(callback, [0.9]).fit()
    assert saved(tmp_path, "best")["epoch"] == saved(tmp_path, "last")["epoch"] == 0
    # and what is left of the attempt does not stand in the way of the next one
    again = Checkpoint("val/x", "max", tmp_path)
    again.load_state_dict(saved(tmp_path, "last")["callback"])
    trainer = Trainer(again, [0.9])
    trainer.epoch = 1
    trainer.fit()
    assert saved(tmp_path, "best")["epoch"] == saved(tmp_path, "last")["epoch"] == 1


@pytest.mark.parametrize("nth", [1, 2])
def test_killed_between_two_files_the_best_is_not_lost(tmp_path, monkeypatch, nth):
    """Whatever `last` says is the best so far, `best` holds, once the epoch has been run again."""
    callback = Checkpoint("val/x", "max", tmp_path)
    Trainer(callback, [0.1]).fit()
    original, calls = os.replace, []

    def replace(*paths):
        calls.append(paths)
        if len(calls) == nth:
            raise KeyboardInterrupt
        original(*paths)

    trainer = Trainer(callback, [0.9])
    trainer.epoch = 1
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit()
    last = saved(tmp_path, "last")
    continued = Checkpoint("val/x", "max", tmp_path)
    continued.load_state_dict(last["callback"])
    trainer = Trainer(continued, [0.1, 0.9, 0.2][last["epoch"] + 1 :])
    trainer.epoch = last["epoch"] + 1
    trainer.fit()
    assert saved(tmp_path, "best")["epoch"] == 1
    assert saved(tmp_path, "last")["epoch"] == 2


class Rank(Trainer):
    """One of two processes that step together; `asked` has what the first one told."""

    world_size, is_last_batch = 2, False

    def __init__(self, callback, first, asked):
        super().__init__(callback, [])
        self.is_global_zero, self.asked, self.global_step, self.saves = first, asked, 0, []
        self.strategy = SimpleNamespace(
            root_device="cpu", reduce=self.reduce, barrier=lambda: None, broadcast=self.never
        )
        self.asks = 0

    def never(self, value):
        raise AssertionError("a Python object was sent to the other processes")

    def reduce(self, told, reduce_op):
        assert reduce_op == "sum"
        self.asks += 1
        if self.is_global_zero:
            self.asked.append(int(told))
        else:
            assert int(told) == 0
        return torch.tensor(self.asked[self.asks - 1])

    def save_checkpoint(self, path):
        self.saves.append(self.global_step)
        super().save_checkpoint(path)


@pytest.mark.parametrize(
    ("seconds_a_step", "steps", "saves", "asks"),
    [
        (lambda step: 0.01, 12_100, [6_000, 12_000], 210),  # of 60 seconds each
        (lambda step: 50.0, 6, [2, 4, 6], 6),  # slower than the time between two
        (lambda step: 0.01 if step < 1_000 else 1.0, 1_124, None, 60),  # becomes slow
    ],
    ids=["fast", "slow", "slows down"],
)
def test_processes_save_together_and_seldom_ask_each_other(
    tmp_path, monkeypatch, seconds_a_step, steps, saves, asks
):
    asked, clock = [], SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    ranks = [Rank(Checkpoint("val/x", "max", tmp_path / f"{n}"), n == 0, asked) for n in range(2)]
    for n, rank in enumerate(ranks):
        (tmp_path / f"{n}").mkdir()
        rank.callback.on_train_start(rank, None)
    late = 0.0
    for step in range(1, steps + 1):
        clock.now += seconds_a_step(step)
        for n, rank in enumerate(ranks):
            rank.global_step = step
            clock.now += 5.0 * n  # the second one's clock is ahead: it does not count
            rank.callback.on_train_batch_end(rank, None)
            clock.now -= 5.0 * n
        late = max(late, clock.now - ranks[0].callback.saved)
    assert ranks[0].saves == ranks[1].saves
    assert saves is None or ranks[0].saves == pytest.approx(saves, rel=0.01)
    assert late <= 60 + 2 * seconds_a_step(steps) if saves else late <= 60 + 64
    assert len(asked) <= asks
