"""Early stopping that asks once a validation, and for which no number means no improvement."""

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping
from torch import Tensor

from theta0.objective import WORST


class EarlyStopping(LightningEarlyStopping):
    """Ends the training after `patience` validations without an improvement.

    Lightning's own, asked at the end of an epoch, raises after the first epoch without a validation
    (`trainer.check_val_every_n_epoch`), counts such epochs as ones without improvement after that,
    and ends the run at the first value that is not finite: here that is a validation without
    improvement, unless `check_finite` is set. States are interchangeable.

    Args: Lightning's.
    """

    def __init__(self, monitor: str, *, check_finite: bool = False, **kwargs: Any) -> None:
        super().__init__(monitor, check_finite=check_finite, **kwargs)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        # callback_metrics keeps the last validation's values; epoch_metrics has this epoch's alone.
        epoch = getattr(pl_module, "epoch_metrics", trainer.callback_metrics)
        if "val/loss" in epoch or not self.monitor.startswith("val/"):
            super().on_train_epoch_end(trainer, pl_module)

    def _evaluate_stopping_criteria(self, current: Tensor) -> tuple[bool, str | None]:
        if not self.check_finite and not current.isfinite():
            current = torch.full_like(current, WORST[self.mode])
        return super()._evaluate_stopping_criteria(current)
