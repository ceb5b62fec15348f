"""Measurements of a run while it trains."""

import logging
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor

from theta0.diagnostics.findings import find, sentences
from theta0.diagnostics.he import he_activation_stds
from theta0.diagnostics.probe import probe, training_loss
from theta0.diagnostics.record import Record
from theta0.diagnostics.schedule import Schedule, check_schedule, due
from theta0.diagnostics.statistics import PRICES, Price, measure, weights
from theta0.diagnostics.undisturbed import undisturbed
from theta0.module import Module
from theta0.tracking import CsvLogger, diagnostic_name

log = logging.getLogger("theta0")


class Diagnostics(lightning.Callback):
    """Writes diagnostics.csv, logs the same to W&B or TensorBoard, and says what is wrong.

    `theta0.diagnostics.Statistics` says what is measured and how: at θ₀, then after the optimizer
    steps that `schedule` names, on the same training rows each time. Training is not touched: with
    and without it a run ends with the same bits. Of several processes the first one measures.

    Args:
        folder: of the run.
        price: "economy", "business" or "full"; see `theta0.diagnostics.measure`.
        schedule: steps between measurements; "log": after 1, 2, 5, 10, 20, 50, ... steps; "start":
            at θ₀ alone.
        samples: training rows to measure at, the first ones in the first epoch's order.

    Raises:
        ValueError: an argument is not one of these, or weights are sharded over processes (FSDP).
    """

    def __init__(
        self,
        folder: Path,
        price: Price = "economy",
        schedule: Schedule = 100,
        samples: int = 256,
    ) -> None:
        if price not in PRICES:
            raise ValueError(f"price={price!r}: allowed are {', '.join(PRICES)}")
        check_schedule(schedule)
        if samples < 1:
            raise ValueError(f"samples={samples}: must be at least 1")
        self.folder, self.price, self.schedule, self.samples = folder, price, schedule, samples
        self.said: set[tuple[str, str]] = set()  # (layer, kind) of each finding so far
        self._weights: tuple[int, dict[str, Tensor]] | None = None  # before step number ...

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        if isinstance(trainer.strategy, FSDPStrategy):
            raise ValueError("diagnostics: FSDP shards the weights, so none can be measured")

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, Module)
        step = trainer.global_step
        self._record = Record(self.folder / "diagnostics.csv", continue_from_step=step or None)
        with undisturbed(pl_module.network):
            data = trainer.datamodule  # type: ignore[attr-defined]
            self._x, self._y = probe(data, self.samples, like=next(pl_module.network.parameters()))
        if step == 0:
            self._measure(trainer, pl_module)

    def on_train_batch_start(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step + 1
        if (
            due(self.schedule, step)
            and trainer.is_global_zero
            and (self._weights is None or self._weights[0] != step)  # once a step of many batches
        ):
            assert isinstance(pl_module, Module)
            self._weights = step, weights(pl_module.network)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step
        if (
            due(self.schedule, step)
            and trainer.is_global_zero
            and step != self._record.last_step  # gradients are being accumulated
        ):
            assert isinstance(pl_module, Module)
            self._measure(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"said": [list(pair) for pair in sorted(self.said)]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.said = {(layer, kind) for layer, kind in state_dict["said"]}

    def _measure(self, trainer: lightning.Trainer, module: Module) -> None:
        step, network = trainer.global_step, module.network
        before = None
        if self._weights is not None and self._weights[0] == step:
            before, self._weights = self._weights[1], None
        rows = measure(network, training_loss(module), self._x, self._y, self.price, before)
        self._record.add(step, rows)
        values = {
            diagnostic_name(row.layer, name): value
            for row in rows
            for name, value in row.known.items()
        }
        for logger in trainer.loggers:
            if not isinstance(logger, CsvLogger):
                logger.log_metrics(values, step=step)
        new = [f for f in find(rows, _rate(trainer)) if (f.layer, f.kind) not in self.said]
        self.said |= {(finding.layer, finding.kind) for finding in new}
        he = (lambda: he_activation_stds(network, self._x)) if step == 0 else None
        for sentence in sentences(new, he):
            log.info("%s  step %d: %s", self.folder.name, step, sentence)


def _rate(trainer: lightning.Trainer) -> float:
    """The learning rate over what it began with, the largest of all groups."""
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    return max(float(group["lr"] / (group.get("initial_lr") or group["lr"])) for group in groups)
