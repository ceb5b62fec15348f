"""The two checkpoints of a run: the last, and the best by validation."""

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint as CheckpointBase


class Checkpoint(CheckpointBase):
    """`checkpoints/last.ckpt` after every epoch and every so many seconds, `best.ckpt` at the epoch
    with the best `monitor`.

    Best is highest (`mode: max`) or lowest (`min`), never NaN or infinite; of equal epochs the
    earliest stays. Each file is replaced in one step: whatever happens, it is the old one or the
    new one, whole. Lightning's ModelCheckpoint writes `last` only when `best` changes, serialises
    both, and stores absolute paths, which break when a study moves.

    Args:
        monitor, mode: what selects the best epoch.
        folder: of the run.
        every_n_seconds: how much time a kill may cost at most, in the middle of an epoch.
    """

    def __init__(
        self, monitor: str, mode: str, folder: Path, every_n_seconds: float = 60.0
    ) -> None:
        self.monitor, self.mode = monitor, mode
        self.every_n_seconds = every_n_seconds
        self.folder = folder / "checkpoints"
        self.best: float | None = None
        self.saved = 0.0  # when, by the monotonic clock
        self.step = 0  # the optimizer steps done when the last batch ended

    @property
    def best_path(self) -> Path:
        return self.folder / "best.ckpt"

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self.saved, self.step = time.monotonic(), trainer.global_step
        if not self.best_path.exists():  # continues another run, whose best is in that one's folder
            self.best = None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any
    ) -> None:
        """Every process decides alike, by the first one's clock: all take part in saving.

        Only after an optimizer step, since accumulated gradients are in no checkpoint.
        """
        stepped, self.step = trainer.global_step != self.step, trainer.global_step
        if not stepped:
            return
        if time.monotonic() - self.saved < self.every_n_seconds and trainer.world_size == 1:
            return
        due = trainer.strategy.broadcast(time.monotonic() - self.saved >= self.every_n_seconds)
        if due and not trainer.is_last_batch:  # the end of the epoch saves anyway
            self._save(trainer, improved=False)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Runs after the module's hook, so the epoch's metrics are known and in the checkpoint."""
        monitored = trainer.callback_metrics.get(self.monitor)
        self._save(trainer, monitored is not None and self.improves(monitored.item()))

    def _save(self, trainer: lightning.Trainer, improved: bool) -> None:
        last, temporary = self.folder / "last.ckpt", self.folder / ".temporary.ckpt"
        second = self.folder / ".best.ckpt"
        try:
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                if improved:  # first: where `last` says what the best is, `best` has to hold it
                    second.unlink(missing_ok=True)
                    _link_or_copy(temporary, second)
                    os.replace(second, self.best_path)
                os.replace(temporary, last)
        finally:
            if trainer.is_global_zero:  # on a full disk, result.json needs the room of a half
                temporary.unlink(missing_ok=True)
                second.unlink(missing_ok=True)
        trainer.strategy.barrier()  # no rank asks for a file before rank 0 has put it there
        self.saved = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def improves(self, value: float) -> bool:
        """Whether `value` is the best so far; if so it is remembered."""
        if not math.isfinite(value):
            return False
        sign = 1 if self.mode == "max" else -1
        if self.best is not None and sign * value <= sign * self.best:
            return False
        self.best = value
        return True


def _link_or_copy(source: Path, target: Path) -> None:
    """A second name for the same bytes, which are never written to; a copy where links fail."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
