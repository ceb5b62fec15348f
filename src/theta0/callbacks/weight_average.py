"""Averages of the weights along the way: θ is trained, its average θ̄ judged and kept."""

import math
from abc import ABC, abstractmethod
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn


class WeightAverage(Callback, ABC):
    """Base: after optimizer steps θ̄ ← θ̄ + share·(θ − θ̄); a subclass says the share.

    Validation sees θ̄, a checkpoint's `state_dict` holds it, and at the end the network has it.
    Training goes on from θ, which a checkpoint holds as `weight_average`, so that a continued run
    is the uninterrupted one bit for bit. Until the first share above 0 everything sees θ.
    Normalisation's running statistics are averaged like weights; weights of 16 bits in 32, since
    a small share of them would be rounded away.

    Lightning's WeightAveraging averages metrics too, being parts of the module, and what it adds
    after an epoch enters that epoch's checkpoint without having been validated.
    """

    def __init__(self) -> None:
        self.count = 0  # how many θ are in the average
        self._average: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] | None = None  # θ while the network has θ̄
        self._last_step = 0

    @abstractmethod
    def share(self, trainer: lightning.Trainer, batch_idx: int) -> float:
        """The newest weights' part of the average, in [0, 1]; 0 leaves it as it is."""

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        averages = [type(c).__name__ for c in trainer.callbacks if isinstance(c, WeightAverage)]  # type: ignore[attr-defined]
        if len(averages) > 1:
            raise ValueError(f"callbacks: {' and '.join(averages)}: a run has one average")

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """The network of a run that is continued comes with θ̄ from its checkpoint: it gets θ."""
        self._last_step = trainer.global_step
        self._average = {
            name: self._average.get(name, tensor).to(
                tensor.device, torch.promote_types(tensor.dtype, torch.float32), copy=True
            )
            for name, tensor in _floats(pl_module).items()
        }
        self._resume(pl_module)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.global_step == self._last_step:  # a batch whose gradient is accumulated
            return
        self._last_step = trainer.global_step
        if (share := self.share(trainer, batch_idx)) > 0:
            for name, tensor in _floats(pl_module).items():
                average = self._average[name]
                average.lerp_(tensor.to(average.dtype), share)
            self.count += 1

    def on_validation_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if trainer.state.fn == "fit":
            self._show(pl_module)

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if trainer.state.fn == "fit":
            self._resume(pl_module)

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self._show(pl_module)

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        weights = _floats(pl_module) if self._weights is None else self._weights
        checkpoint["weight_average"] = {"count": self.count, "weights": weights}
        if self.count > 0:
            average = {f"network.{name}": self._average[name] for name in weights}
            checkpoint["state_dict"] = checkpoint["state_dict"] | average

    def on_load_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        if "weight_average" in checkpoint:  # else: of a run without this callback
            self.count = checkpoint["weight_average"]["count"]
            self._weights = checkpoint["weight_average"]["weights"]
            state = checkpoint["state_dict"]
            self._average = {name: state[f"network.{name}"] for name in self._weights}

    def _show(self, pl_module: lightning.LightningModule) -> None:
        """θ̄ into the network, θ aside."""
        if self.count > 0:
            network = _floats(pl_module)
            self._weights = {name: tensor.clone() for name, tensor in network.items()}
            for name, tensor in network.items():
                tensor.copy_(self._average[name])

    def _resume(self, pl_module: lightning.LightningModule) -> None:
        """θ back into the network, where it stands aside."""
        if self._weights is not None:
            for name, tensor in _floats(pl_module).items():
                tensor.copy_(self._weights[name])
            self._weights = None


class EMA(WeightAverage):
    """θ̄ ← d·θ̄ + (1 − d)·θ, d = min(decay, (1 + t)/(10 + t)), after optimizer step t = 0, 1, ...

    Polyak & Juditsky (1992) weigh all steps alike; Tarvainen & Valpola (2017) forget old ones like
    this. d grows as in TensorFlow, to be rid of θ₀: at a constant 0.999, as in torch and Lightning,
    half of it is left after 700 steps.

    Args:
        decay: 1/(1 − decay) steps are remembered.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    def share(self, trainer: lightning.Trainer, batch_idx: int) -> float:
        return 1 - min(self.decay, (1 + self.count) / (10 + self.count))


class SWA(WeightAverage):
    """The mean of the weights at each epoch's end (Izmailov et al. 2018, algorithm 1).

    To be used with a rate that stays up, so that weights differ from epoch to epoch. The paper
    recomputes batch normalisation's statistics for θ̄ by another pass over the data; here they are
    averaged.

    Args:
        start: part of the training after which epochs count.

    Raises:
        ValueError: at the start of a training of unknown length.
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        self.start = start

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        super().on_train_start(trainer, pl_module)
        if not math.isfinite(trainer.estimated_stepping_batches):
            raise ValueError("SWA needs trainer.max_epochs or trainer.max_steps")

    def share(self, trainer: lightning.Trainer, batch_idx: int) -> float:
        if batch_idx + 1 < trainer.num_training_batches:  # in the middle of an epoch
            return 0.0
        progress = trainer.global_step / trainer.estimated_stepping_batches
        return 1 / (1 + self.count) if progress > self.start else 0.0


def _floats(pl_module: lightning.LightningModule) -> dict[str, Tensor]:
    """The network's weights and running statistics by name, not its counters: to read and write."""
    network = pl_module.network
    assert isinstance(network, nn.Module)
    return {name: t for name, t in network.state_dict().items() if t.is_floating_point()}
