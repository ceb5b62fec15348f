"""Runs of a search that promise little end early."""

from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

from theta0.objective import counted
from theta0.results import Result


class SuccessiveHalving(Callback):
    """Of the runs that reach a rung the best 1/η go on to the next one (Li et al. 2020, ASHA).

    Rungs are at r, r·η, r·η², ... epochs, and a run is compared with those that were there before
    it. Of the first η − 1 runs at a rung the best so far goes on. A run that is told to end does so
    in order: its epoch is written to the checkpoint, and the result's status is `pruned`.

    Args:
        min_epochs: r.
        reduction_factor: η.
        folder: of the run, in the folder of its search.
        result: of the run.

    Raises:
        ValueError: at the start of a run that is no trial of a search.
    """

    def __init__(
        self, min_epochs: int, reduction_factor: int, folder: Path, result: Result
    ) -> None:
        self.min_epochs, self.reduction_factor = min_epochs, reduction_factor
        self.folder, self.result = folder, result

    def begin(self) -> bool:
        """Whether the run was told to end before it was interrupted, and has only to do so."""
        from optuna.pruners import SuccessiveHalvingPruner

        from theta0.search.judge import Judge

        pruner = SuccessiveHalvingPruner(
            min_resource=self.min_epochs, reduction_factor=self.reduction_factor
        )
        self.judge = Judge(self.folder.parent, self.result.config_hash, pruner)
        return self.judge.pruned

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self._decide(trainer, trainer.is_global_zero and self.begin())

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if trainer.state.fn != "fit":
            return
        pruned = False
        if trainer.is_global_zero:
            value = trainer.callback_metrics[self.result.objective.metric].item()
            pruned = self.ends(trainer.current_epoch, value)
        self._decide(trainer, pruned)

    def ends(self, epoch: int, value: float) -> bool:
        """Whether the run is to end with this epoch, which reached this objective; NaN and ±inf
        count as the worst."""
        return self.judge.report(epoch + 1, counted(value, self.result.objective.mode))

    def _decide(self, trainer: lightning.Trainer, pruned: bool) -> None:
        """All processes alike, as the first one says."""
        if trainer.strategy.broadcast(pruned):
            self.result.status = "pruned"
            trainer.should_stop = True
