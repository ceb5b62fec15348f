"""The two checkpoints of a run: the last, and the best by validation."""

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint as CheckpointBase

LONGEST = 64
"""Steps after which several processes ask the clock at the latest: their pace may change."""


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
        self.look = 0  # the step after which the processes ask the first one's clock again
        self.looked = 0, 0.0  # the step and the time at which they have asked it

    @property
    def best_path(self) -> Path:
        return self.folder / "best.ckpt"

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self.saved, self.step = time.monotonic(), trainer.global_step
        self.looked, self.look = (self.step, self.saved), 0
        if not self.best_path.exists():  # continues another run, whose best is in that one's folder
            self.best = None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any
    ) -> None:
        """Only after an optimizer step, since accumulated gradients are in no checkpoint."""
        stepped, self.step = trainer.global_step != self.step, trainer.global_step
        if not stepped or self.step < self.look:
            return
        if self._is_due(trainer) and not trainer.is_last_batch:  # the epoch's end saves anyway
            self._save(trainer, improved=False)

    def _is_due(self, trainer: lightning.Trainer) -> bool:
        """Whether it is time to save. Several processes decide alike, by the first one's clock,
        since all take part in saving.

        To ask it each step would make all of them wait for each other. So it tells in how many
        steps to ask again: half of those that fit into the time that is left.
        """
        left = self.every_n_seconds - (time.monotonic() - self.saved)
        if trainer.world_size == 1:
            return left <= 0
        pace = (time.monotonic() - self.looked[1]) / max(1, self.step - self.looked[0])
        steps = 0 if left <= 0 else max(1, int(min(left / max(pace, 1e-9) / 2, LONGEST)))
        told = torch.tensor(
            steps if trainer.is_global_zero else 0, device=trainer.strategy.root_device
        )
        wait = int(trainer.strategy.reduce(told, reduce_op="sum"))
        self.looked, self.look = (self.step, time.monotonic()), self.step + max(1, wait)
        return wait == 0

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
