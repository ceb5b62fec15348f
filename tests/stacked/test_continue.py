"""A stack that was stopped goes on where it was, whoever goes on; a member that diverges leaves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from theta0.module import Module
from theta0.stacked.module import Stack

FEW = (
    "model.widths=[16,16]", "trainer.max_epochs=3", "checkpoint.every_n_seconds=0",
    "precision=64-true",
)  # fmt: skip
SWEEP = (
    "optimizer=adamw",
    "scheduler=one_cycle",
    "model.dropout=0.2",
    "init=he,xavier",
    "seed=0,1",
)
STACKED = ("hydra/launcher=stacked", "hydra.launcher.workers=1", "hydra.launcher.threads=1")


def stopped_at(step: int, module: type) -> Any:
    """SIGTERM arrives before this step is done."""
    original = module.training_step

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.global_step == step:
            raise SystemExit(143)
        return original(self, batch, batch_idx)

    return mock.patch.object(module, "training_step", training_step)


@pytest.mark.slow
@pytest.mark.parametrize("step", [20, 33])
@pytest.mark.parametrize(("first", "then"), [(STACKED, STACKED), (STACKED, ()), ((), STACKED)])
def test_stopped_and_continued(
    first: tuple[str, ...],
    then: tuple[str, ...],
    step: int,
    in_process: Callable[..., Any],
    tmp_path: Path,
) -> None:
    whole = in_process(tmp_path, "-m", *FEW, *SWEEP, *STACKED, "study=whole").results("whole")
    cells = (
        [()] if first else [(f"init={i}", f"seed={s}") for i in ("he", "xavier") for s in (0, 1)]
    )
    for cell in cells:
        with stopped_at(step, Stack if first else Module):
            ran = in_process(tmp_path, "-m", *FEW, *SWEEP, *first, *cell, "study=broken")
            assert ran.code == 143
    assert {r.status for r in ran.results("broken")} == {"interrupted"}
    ran = in_process(tmp_path, "-m", *FEW, *SWEEP, *then, "study=broken")
    for one, other in zip(whole, ran.results("broken"), strict=True):
        assert other.status == "done", other.error
        assert other.metrics == pytest.approx(one.metrics, rel=1e-6)
        if first == then:  # a run of its own has other last bits
            assert other.hashes == one.hashes
        assert other.best == one.best
        assert (other.cost.steps, other.cost.epochs) == (one.cost.steps, one.cost.epochs)


@pytest.mark.slow
def test_others_do_not_notice_who_diverges(in_process: Callable[..., Any], tmp_path: Path) -> None:
    rates = "optimizer.lr=1e-4,2e-4,5e-4,1e-3,2e-3,5e-3,1e-2"
    words = ("-m", *FEW[:2], *STACKED, "optimizer=sgd", "model.activation=identity")
    seven = in_process(tmp_path, *words, rates, "study=seven").results("seven")
    eight = in_process(tmp_path, *words, f"{rates},1e6", "study=eight").results("eight")
    (gone,) = [r for r in eight if r.status == "diverged"]
    assert gone.config["optimizer"]["lr"] == 1e6
    assert gone.metrics == {} and gone.cost.steps > 0
    solo = in_process(tmp_path, "-m", *FEW[:2], "optimizer=sgd", "model.activation=identity",
                      "optimizer.lr=1e6", "study=solo").one("solo")  # fmt: skip
    assert (solo.status, solo.error, solo.cost.steps) == ("diverged", gone.error, gone.cost.steps)
    others = {r.run: r.hashes for r in eight if r.status != "diverged"}
    assert others == {r.run: r.hashes for r in seven}
