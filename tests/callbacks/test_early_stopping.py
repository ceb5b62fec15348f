"""Early stopping counts validations, not epochs, alone and in a stack."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping
from lightning.pytorch.trainer.states import TrainerFn

from theta0.callbacks import EarlyStopping, build_callback

STILL = (
    "optimizer=sgd", "optimizer.lr=1e-12", "scheduler=none", "model.widths=[4]",
    "trainer.max_epochs=8", "trainer.limit_train_batches=1", "trainer.check_val_every_n_epoch=2",
)  # fmt: skip
"""Nothing improves after the first validation, which is at the end of the second epoch."""


@pytest.mark.parametrize("how", ["remedy=early_stopping", "callbacks=early_stopping"])
def test_patience_is_counted_in_validations(in_process, tmp_path, how):
    ran = in_process(tmp_path, *STILL, how, "callbacks.early_stopping.patience=1")
    assert [ended(result) for result in ran.results()] == [("done", 4, 1)]


@pytest.mark.slow
def test_a_stack_counts_alike(in_process, tmp_path):
    words = "remedy=early_stopping", "callbacks.early_stopping.patience=1", "seed=0,1"
    ran = in_process(tmp_path, "-m", *STILL, *words, "hydra/launcher=stacked")
    assert [ended(result) for result in ran.results()] == [("done", 4, 1)] * 2


def ended(result):
    return result.status, result.cost.epochs, result.best.epoch


def test_a_metric_that_a_validation_lacks_is_told():
    stopping = EarlyStopping("val/nothing", check_on_train_epoch_end=True)
    trainer, module = _Validated(), _Validated()
    with pytest.raises(RuntimeError, match="val/nothing"):
        stopping.on_train_epoch_end(trainer, module)
    module.epoch_metrics = {"train/loss": 1.0}  # an epoch without a validation
    stopping.on_train_epoch_end(trainer, module)
    assert stopping.wait_count == 0


def test_a_configuration_that_names_lightnings_class_gets_ours():
    node = {"_target_": "lightning.pytorch.callbacks.EarlyStopping", "monitor": "val/loss"}
    ours = build_callback(node)
    assert isinstance(ours, EarlyStopping)
    assert ours.state_key == LightningEarlyStopping("val/loss").state_key


class _Validated:
    """A trainer and its module at the end of an epoch with a validation."""

    def __init__(self):
        self.fast_dev_run = self.sanity_checking = False
        self.callback_metrics = {"val/loss": torch.tensor(1.0)}
        self.epoch_metrics = {"val/loss": 1.0}
        self.state = SimpleNamespace(fn=TrainerFn.FITTING)
