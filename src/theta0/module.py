"""The LightningModule: network + init hook + loss + optimizer + metrics."""

import hashlib
import inspect
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning
import torch
import torchmetrics
from hydra.utils import get_object
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from theta0 import seeds
from theta0.build import build
from theta0.classwise import classes_of
from theta0.data import (
    Batch,
    BatchLoader,
    DataModule,
    attack_space,
    require_finite_batches,
    training_inputs,
)
from theta0.init import require_drawn
from theta0.losses import WeightedSum
from theta0.metrics import EpochMetrics
from theta0.objective import counted, require_measured
from theta0.optim import build_optimizer
from theta0.random_state import random_state, set_random_state, what_is_lost

PASSED_OVER = 32
"""Losses in a row that may not be finite under 16-mixed. The scaler passes over such a step and
halves its factor: 16 times from where it begins down to 1; what is infinite after that stays so."""


class Diverged(Exception):
    """The loss stopped being finite: a result, not a failure."""


class Module(lightning.LightningModule):
    """A network, how it starts, what it minimises and how it steps.

    Args:
        network: maps x [n, ...] to outputs [n, num_outputs].
        init: called once with (network, generator), and with all training `inputs` where it asks
            for them; returns a report a layer (theta0.init.Scheme).
        finetune: changes the network in place after the init (theta0.finetune); None trains all.
        loss: a weighted sum of terms.
        augmentation: maps a training batch's (x, y) to another, in turn.
        adversary: attacks inputs (theta0.adversary), in training and for robust metrics; or None.
        metrics: torchmetrics by name, of (outputs, targets); each split gets its own copy.
        optimizer, scheduler: the configuration's nodes, built when the trainer knows the device and
            the number of steps.
        objective: {"metric", "mode"}: what a plateau schedule watches.
        config: the resolved configuration; goes into every checkpoint as plain containers.
    """

    def __init__(
        self,
        network: nn.Module,
        init: Callable[..., list[Any]],
        finetune: Callable[[nn.Module], None] | None,
        loss: WeightedSum,
        augmentation: list[Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]],
        adversary: Callable[..., Tensor] | None,
        metrics: dict[str, torchmetrics.Metric],
        optimizer: dict[str, Any],
        scheduler: dict[str, Any],
        objective: dict[str, str],
        config: dict[str, Any],
    ) -> None:
        super().__init__()
        self.save_hyperparameters(config, logger=False)
        self.network, self.init, self.finetune, self.loss = network, init, finetune, loss
        self.augmentation, self.adversary = augmentation, adversary
        parts = loss.parts
        self.train_metrics = EpochMetrics("train", metrics, parts)
        self.val_metrics = EpochMetrics("val", metrics, parts)
        self.test_metrics = EpochMetrics("test", metrics, parts)
        if adversary is not None:
            self.val_robust = EpochMetrics("val", metrics, parts, suffix="_robust")
            self.test_robust = EpochMetrics("test", metrics, parts, suffix="_robust")
        self.optimizer_config, self.scheduler_config = optimizer, scheduler
        self.objective = objective
        self.plateau: ReduceLROnPlateau | None = None
        self.epoch_metrics: dict[str, float] = {}  # of the epoch under way
        self.last_metrics: dict[str, float] = {}  # of the last epoch that ended
        self.tables: dict[str, Tensor] = {}  # of the metrics that are tables, of the last split
        self.fit_seconds = 0.0
        self._state: dict[str, Any] | None = None  # of this process, in the checkpoint
        self._plateau_state: dict[str, Any] | None = None
        self._gathered_step = -1
        self._batch: tuple[Tensor, Tensor]
        self._step_loss: Tensor  # so far, of the batches of a step
        self.warnings: list[str] = []  # of a run that continues
        self._unchecked: list[tuple[int, Tensor]] = []
        self._not_finite = 0  # losses in a row that a scaler has passed over

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Module":
        """The module that a resolved configuration describes, before θ₀ is drawn."""
        return cls(
            network=build(config["model"]),
            init=build(config["init"]),
            finetune=build(config["finetune"]) if config["finetune"] else None,
            loss=WeightedSum(
                {
                    name: build({k: v for k, v in node.items() if k != "scale"})
                    for name, node in config["loss"].items()
                },
                {name: node.get("scale", 1.0) for name, node in config["loss"].items()},
            ),
            augmentation=[build(node) for node in config["augmentation"].values()],
            adversary=build(config["adversary"]) if config["adversary"] else None,
            metrics={name: build(node) for name, node in config["metrics"].items()},
            optimizer=config["optimizer"],
            scheduler=config["scheduler"],
            objective=config["objective"],
            config=config,
        )

    def initialise(self, seed: int, data: lightning.LightningDataModule | None = None) -> list[Any]:
        """Draw θ₀ from the `init` stream of `seed`; returns the init's report, a row a parameter.

        An init that asks for `inputs` gets all training inputs of `data`, on the CPU.
        """
        inputs = {}
        if "inputs" in inspect.signature(self.init).parameters:
            assert data is not None, "this init looks at data"
            inputs["inputs"] = training_inputs(data)
        report = self.init(self.network, seeds.generator(seed, "init"), **inputs)
        if getattr(self.init, "strict", False):
            require_drawn(report)
        self.adapt(seed)
        return report

    def adapt(self, seed: int) -> None:
        """Freeze or add what `finetune` says: after the init, or before a checkpoint is read."""
        if self.finetune is not None:
            seeds.seed_global(seed, "finetune")
            self.finetune(self.network)

    def digest(self) -> str:
        """sha256 of the network as it is; see `digest`."""
        return digest(self.network.state_dict())

    # ---------------------------------------------------------------------------------------- steps

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        # SAM and L-BFGS evaluate a batch several times a step: it is augmented once, and the
        # epoch's metrics count it once.
        if first := self._gathered_step != batch_idx:
            self._gathered_step = batch_idx
            self._batch = batch.x, batch.y
            for augment in self.augmentation:
                self._batch = augment(*self._batch)
        x, y = self._batch
        loss, parts, output = self._training_loss(x, y)
        if first:
            if batch.weight:
                # Mixed labels are a distribution over classes: the largest share counts.
                hard = y.argmax(-1) if y.ndim > batch.y.ndim else y
                self.train_metrics.add(loss, output, hard, parts)
            self._watch(loss.detach() * batch.weight, batch_idx)
        factor = batch.weight * self._of_step(batch_idx)
        return loss if factor == 1.0 else loss * factor

    def _of_step(self, batch_idx: int) -> float:
        """A batch's factor where several make up a step (`accumulate`).

        Lightning sums the gradients of k batches and divides by k. The step's is to be the mean
        over its rows, of which the epoch's last batch, and its last few batches, may have fewer:
        k · rows of the batch / rows of the step; 1 where all batches are full.
        """
        if self._per_step == 1:
            return 1.0
        first = batch_idx - batch_idx % self._per_step
        last = min(first + self._per_step, self._batches)
        rows = sum(map(self._rows, range(first, int(last))))
        return self._per_step * self._rows(batch_idx) / rows

    def _count_batches(self) -> None:
        """Asked once an epoch, since the trainer takes its time to answer."""
        self._per_step = self.trainer.accumulate_grad_batches
        self._batches = self.trainer.num_training_batches
        loader = self.trainer.train_dataloader
        # Of a loader of one's own nothing is known: its batches count alike.
        self._rows = loader.rows if isinstance(loader, BatchLoader) else lambda batch: 1

    def _training_loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """(loss, its parts, outputs); with an adversary, attacked inputs have their share in it."""
        if self.adversary is None:
            output = self.network(x)
            return *self.loss(output, y, x, self.network), output
        share = self.adversary.share  # type: ignore[attr-defined]
        attacked = self._attack(x, y)
        output = self.network(attacked)
        loss, parts = self.loss(output, y, attacked, self.network)
        if share < 1:
            output = self.network(x)
            clean, parts = self.loss(output, y, x, self.network)
            loss = (1 - share) * clean + share * loss
        return loss, parts, output

    def _attack(self, x: Tensor, y: Tensor) -> Tensor:
        assert self.adversary is not None
        space = attack_space(self.trainer.datamodule, x)  # type: ignore[attr-defined]

        def loss(output: Tensor, target: Tensor) -> Tensor:
            return self.loss.data_loss(output, target, x, self.network)

        return self.adversary(self.network, loss, x, y, *space)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: Batch, split: str) -> None:
        """The data's terms of the loss alone, so that runs with different penalties compare."""
        if not batch.weight:
            return
        kinds = [("metrics", batch.x)]
        if self.adversary is not None:
            kinds.append(("robust", self._attack(batch.x, batch.y)))
        for kind, x in kinds:
            output = self.network(x)
            loss, parts = self.loss.evaluate(output, batch.y, x, self.network)
            getattr(self, f"{split}_{kind}").add(loss, output, batch.y, parts)

    def _computed(self, split: str) -> dict[str, float]:
        """The numbers of a split's metrics; the tables are kept for the run's folder."""
        kinds = ["metrics"] if self.adversary is None else ["metrics", "robust"]
        values: dict[str, float] = {}
        self.tables = {}
        for kind in kinds:
            metrics: EpochMetrics = getattr(self, f"{split}_{kind}")
            values |= metrics.compute(self.classes)
            self.tables |= metrics.tables
        return values

    @property
    def classes(self) -> Sequence[str] | None:
        """The names of the data set's classes, if it has them."""
        return classes_of(self.trainer.datamodule)  # type: ignore[attr-defined]

    # --------------------------------------------------------------------------------------- epochs

    def on_train_start(self) -> None:
        if self._state is not None:
            set_random_state(self._state["random"])
            self.train_metrics.go_on(self._state["train_metrics"])
        self._started = time.perf_counter() - self.fit_seconds
        # Asked every step, and the trainer takes its time to answer.
        self._alone_on_cpu = self.trainer.world_size == 1 and self.device.type == "cpu"
        self._passed_over = 0 if self.trainer.scaler is None else PASSED_OVER
        self._log_every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._count_batches()

    def on_train_epoch_start(self) -> None:
        self._gathered_step = -1
        self._count_batches()
        self.epoch_metrics = {}
        self._move_to("train")

    def on_validation_start(self) -> None:
        if self.trainer.state.fn == "fit":
            self._move_to("eval")

    def on_validation_epoch_end(self) -> None:
        values = self._computed("val")
        if self.trainer.state.fn == "fit" and not math.isfinite(values["val/loss"]):
            reason = f"val/loss is {values['val/loss']} after step {self.global_step}"
            raise self._diverged(reason, "a validation batch")
        if self.trainer.state.fn == "fit":
            require_measured(self.objective["metric"], values)
        self._publish(values)

    def on_train_epoch_end(self) -> None:
        """Before the epoch's checkpoint is written: it holds all that belongs to the epoch."""
        self._check_finite()
        self._move_to("eval")  # as the checkpoint has it: going there and back costs the last bits
        self._publish(self.train_metrics.compute(self.classes))
        watched = self.epoch_metrics.get(self.objective["metric"])
        if self.plateau is not None and watched is not None:
            self.plateau.step(counted(watched, self.plateau.mode))
        self.fit_seconds = time.perf_counter() - self._started
        row = {"epoch": self.current_epoch, **self.epoch_metrics, "seconds": self.fit_seconds}
        for logger in self.trainer.loggers:
            logger.log_metrics(row, step=self.global_step)
        self.last_metrics = dict(self.epoch_metrics)

    def _move_to(self, point: str) -> None:
        """A schedule-free optimizer steps at one point ("train") and is judged at another ("eval").

        From a validation on, through the checkpoint, to the next epoch's start it is the latter.
        """
        optimizer = self.optimizers(use_pl_optimizer=False)
        if hasattr(optimizer, point):
            getattr(optimizer, point)()

    def on_test_epoch_end(self) -> None:
        self._publish(self._computed("test"))

    def _publish(self, values: dict[str, float]) -> None:
        """For callbacks that monitor a metric; loggers get the whole epoch as one row."""
        self.epoch_metrics |= values
        self.log_dict(values, logger=False)

    # ----------------------------------------------------------------------------------- divergence

    def _watch(self, loss: Tensor, batch_idx: int) -> None:
        """Log a step's loss now and then, and look whether that of each batch is finite.

        On the CPU at once. Elsewhere, and with several processes, every 64 batches: looking makes
        the host wait for the device, and the processes must stop together.
        """
        step = self.global_step
        if step % self._log_every == 0:
            self._log_step(loss, step, batch_idx)
        if self._alone_on_cpu:
            if not math.isfinite(loss.item()):
                raise self._diverged(not_finite(step), "a training batch")
            return
        self._unchecked.append((step, loss))
        if len(self._unchecked) == EpochMetrics.FLUSH_EVERY:
            self._check_finite()

    def _log_step(self, loss: Tensor, step: int, batch_idx: int) -> None:
        """The loss of a step: the mean over the rows of its batches, at the last of them."""
        place = batch_idx % self._per_step
        loss = loss * (self._of_step(batch_idx) / self._per_step)
        self._step_loss = loss if place == 0 else self._step_loss + loss
        if place + 1 < self._per_step and batch_idx + 1 < self._batches:
            return
        value = self.trainer.strategy.reduce(self._step_loss, reduce_op="mean").item()
        for logger in self.trainer.loggers:
            logger.log_metrics({"train/loss_step": value}, step=step)

    def _check_finite(self) -> None:
        """Raise Diverged, on every process at once, where a loss has not been finite."""
        if not self._unchecked:
            return
        steps, losses = zip(*self._unchecked, strict=True)
        self._unchecked = []
        finite = torch.stack(losses).isfinite().tolist()
        first, self._not_finite = first_beyond(finite, self._passed_over, self._not_finite)
        if self.trainer.world_size > 1:
            reduced = self.trainer.strategy.reduce(
                torch.tensor(-first, device=self.device), reduce_op="max"
            )
            first = -int(reduced)
        if first < len(steps):
            raise self._diverged(not_finite(steps[first]), "a training batch")

    def _diverged(self, reason: str, batch: str) -> Exception:
        """Diverged; raises ValueError where it is the data of a module of one's own.

        theta0's data module has looked at all rows before.
        """
        if not isinstance(self.trainer.datamodule, DataModule):  # type: ignore[attr-defined]
            loaders = {
                "a training batch": self.trainer.train_dataloader,
                "a validation batch": self.trainer.val_dataloaders,
            }
            require_finite_batches(batch, loaders[batch] or [])
        return Diverged(reason)

    # ----------------------------------------------------------------------------------- optimizers

    def configure_optimizers(self) -> Any:
        optimizer = optimizer_of(
            self.optimizer_config,
            self.network,
            self.init,
            scaled_gradients=forbids_fused(
                str(self.trainer.precision), self.trainer.gradient_clip_val
            ),
        )
        total = self.trainer.estimated_stepping_batches
        require_steps(self.trainer)
        if not math.isfinite(total):
            total = 0  # bounded by max_time alone: a schedule over the number of steps refuses
        scheduler = build(self.scheduler_config, optimizer=optimizer, total_steps=int(total))
        if isinstance(scheduler, ReduceLROnPlateau):
            # Stepped by us, before the checkpoint: Lightning steps it after, and a continued run
            # would have lost a step.
            self.plateau = scheduler
            if self._plateau_state is not None:
                scheduler.load_state_dict(self._plateau_state)
            return optimizer
        if scheduler is None:
            return optimizer
        schedule = {"scheduler": scheduler, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    # ---------------------------------------------------------------------------------- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Plain tensors and containers: `torch.load(..., weights_only=True)` reads them."""
        state = {"random": random_state(), "train_metrics": self.train_metrics.half_way()}
        states = [state]
        if self.trainer.world_size > 1:
            gathered: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, state)
            states = gathered
        checkpoint["processes"] = states
        checkpoint["metrics"] = dict(self.epoch_metrics)
        checkpoint["fit_seconds"] = time.perf_counter() - self._started
        checkpoint["plateau"] = self.plateau.state_dict() if self.plateau else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.trainer.precision == "64-true":
            self.double()  # Lightning does so after the weights are in, which would have lost bits
        states = checkpoint["processes"]
        device = self.trainer.strategy.root_device
        lost = what_is_lost([s["random"] for s in states], self.trainer.world_size, device)
        if lost is not None and self.trainer.state.fn == "fit":
            self.warnings.append(
                f"the random state could not be restored: {lost}; dropout and augmentation draw"
                " other numbers than in a run that was never interrupted"
            )
        if len(states) == self.trainer.world_size:
            self._state = states[self.global_rank]
        self.epoch_metrics = dict(checkpoint["metrics"])
        self.last_metrics = dict(checkpoint["metrics"])
        self.fit_seconds = checkpoint["fit_seconds"]
        self._plateau_state = checkpoint["plateau"]

    # ---------------------------------------------------------------------------------------- speed

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the running hook's name some forty times a step, and nn.Module's own
        # __setattr__ takes ten times as long as this.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)


def not_finite(step: int) -> str:
    """Why a run has diverged whose training loss was not finite when `step` steps were done."""
    early = ", before the optimizer's first: the start or the loss, not the learning rate"
    return f"train/loss is not finite at step {step}{'' if step else early}"


def first_beyond(finite: Sequence[bool], allowed: int, before: int = 0) -> tuple[int, int]:
    """Where losses are no longer finite, more than `allowed` in a row.

    Args:
        finite: whether each of some losses is, in the order of the steps.
        allowed: how many may be in a row that are not.
        before: how many were at the end of the losses before these.

    Returns:
        (the index of the first loss that is one too many, or their number where none is; how many
        at the end are not finite, in a row).
    """
    row = before
    for index, is_finite in enumerate(finite):
        row = 0 if is_finite else row + 1
        if row > allowed:
            return index, row
    return len(finite), row


def forbids_fused(precision: str, clip: float | None) -> bool:
    """Whether an optimizer may not take torch's fused step.

    Under 16-mixed the step would unscale gradients itself, too late to clip or look at them. Under
    bf16-mixed nothing is scaled, and Lightning refuses only to clip beside a fused step.
    """
    return precision == "16-mixed" or (precision == "bf16-mixed" and bool(clip))


def optimizer_of(
    node: dict[str, Any], network: nn.Module, init: Any, scaled_gradients: bool = False
) -> Optimizer:
    """The optimizer that a configuration's node names, over a network; the init may scale rates."""
    settings = dict(node)
    factory = get_object(settings.pop("_target_"))
    lr_scales = getattr(init, "lr_scales", None)
    scales = lr_scales(network, factory) if lr_scales else None
    return build_optimizer(
        factory, network, lr_scales=scales, scaled_gradients=scaled_gradients, **settings
    )


def require_steps(trainer: lightning.Trainer) -> None:
    """Raises ValueError where a training is about to begin that has not one step."""
    if trainer.estimated_stepping_batches < 1:
        raise ValueError(
            f"not one step to train: {trainer.num_training_batches} training batches,"
            f" trainer.max_epochs={trainer.max_epochs}, trainer.max_steps={trainer.max_steps}"
            " (train=false evaluates θ₀)"
        )


def digest(state: Mapping[str, Tensor]) -> str:
    """sha256 over the names, shapes and bytes of a network's parameters and buffers."""
    sha = hashlib.sha256()
    for name, tensor in state.items():
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        sha.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        sha.update(flat.numpy().tobytes())
    return sha.hexdigest()
