"""The bar counts the steps of all members, and awaits none of those that have ended."""

from types import SimpleNamespace
from typing import Any

import pytest

from theta0.stacked.progress import Progress


def member(mode: str, **metrics: float) -> Any:
    objective = SimpleNamespace(metric="acc", mode=mode)
    return SimpleNamespace(
        alive=True, result=SimpleNamespace(objective=objective), best_metrics=metrics
    )


def test_it_counts_member_steps_and_those_that_are_left():
    members = [member("max"), member("max"), member("max")]
    trainer: Any = SimpleNamespace(estimated_stepping_batches=10, global_step=0)
    stack = SimpleNamespace(member_steps=0)
    progress = Progress(members)
    progress.on_train_start(trainer, stack)
    assert (progress.bar.n, progress.bar.total) == (0, 30)
    assert "3 of 3 runs" in str(progress.bar)

    trainer.global_step, stack.member_steps = 2, 5  # one of them has left before the second
    members[0].alive = False
    members[1].best_metrics = {"acc": 0.91}
    progress.on_train_batch_end(trainer, stack)
    progress.on_train_epoch_end(trainer, stack)
    assert (progress.bar.n, progress.bar.total) == (5, 5 + 2 * 8)
    assert "2 of 3 runs" in str(progress.bar) and "best acc 0.91" in str(progress.bar)
    progress.on_train_end(trainer, stack)


def test_without_an_end_there_is_no_total():
    trainer: Any = SimpleNamespace(estimated_stepping_batches=float("inf"), global_step=0)
    progress = Progress([member("max")])
    progress.on_train_start(trainer, SimpleNamespace(member_steps=0))
    assert progress.bar.total is None
    progress.on_exception(trainer, None, ValueError())


@pytest.mark.parametrize(("mode", "best"), [("max", "best acc 0.9"), ("min", "best acc 0.2")])
def test_the_best_is_the_objectives(mode, best):
    members = [member(mode, acc=0.9), member(mode), member(mode, acc=0.2)]
    assert Progress(members).best() == best
    assert Progress([member(mode)]).best() is None
