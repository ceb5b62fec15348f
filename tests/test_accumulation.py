"""Batches that make up a step are one large batch, the epoch's last and shorter step too."""

import csv

import pytest
import torch

from theta0.checkpoints import read_checkpoint

SGD = (
    "optimizer=sgd", "optimizer.lr=0.1", "scheduler=none", "model.widths=[8]",
    "trainer.max_epochs=2", "trainer.log_every_n_steps=1", "precision=64-true", "test=false",
)  # fmt: skip


def ends_alike(one, other):
    assert (one.code, other.code) == (0, 0)
    first, second = one.one(), other.one()
    assert first.hashes.init == second.hashes.init
    assert first.cost.steps == second.cost.steps
    states = [
        read_checkpoint(ran.folder(ran.one()) / "checkpoints/last.ckpt")["state_dict"]
        for ran in (one, other)
    ]
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], rtol=1e-5, atol=1e-7)
    rows = [list(csv.DictReader((r.folder(r.one()) / "metrics.csv").open())) for r in (one, other)]
    losses = [[float(loss) for row in some if (loss := row["train/loss_step"])] for some in rows]
    assert len(losses[0]) == first.cost.steps
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_accumulated_batches_are_one_large_batch(in_process, tmp_path):
    """1,257 rows: three steps of 4 · 100, and one of the 57 that are left."""
    small = in_process(tmp_path / "small", *SGD, "data.batch_size=100", "accumulate=4")
    ends_alike(small, in_process(tmp_path / "large", *SGD, "data.batch_size=400"))


@pytest.mark.slow
def test_several_processes_accumulate_alike(in_process, tmp_path):
    words = *SGD, "data.batch_size=100", "accumulate=4"
    two = in_process(tmp_path / "two", *words, "trainer=ddp_cpu")
    ends_alike(in_process(tmp_path / "one", *words), two)
