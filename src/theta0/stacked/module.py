"""A stack of runs as one LightningModule: one forward pass, one backward pass, one step for all."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import lightning
import torch
from torch import Tensor
from torch.optim import Optimizer

from theta0.build import build
from theta0.classwise import classes_of
from theta0.data import BatchLoader
from theta0.metrics import EpochMetrics
from theta0.module import not_finite, require_steps
from theta0.objective import require_measured
from theta0.results import Error, Status
from theta0.stacked.batches import Rows
from theta0.stacked.loops import solo_loops
from theta0.stacked.member import Member
from theta0.stacked.metrics import StackedMetrics
from theta0.stacked.network import Network
from theta0.stacked.rules import Stepper, clip_, settings_of
from theta0.stacked.schedule import Schedules, by_step

Ended = Callable[[Sequence[Member], Status, Error | None], None]
"""Called with members that have ended, their status, and why if they diverged."""


@dataclass(frozen=True)
class Place:
    """Where the training stands: optimizer steps and epochs done, and what a checkpoint says of it.

    `loops` are a run's own (see `theta0.stacked.checkpoint`), `loader` the training batches'.
    """

    step: int
    epoch: int
    epochs: int
    loops: dict[str, Any]
    loader: dict[str, int]


class Stack(lightning.LightningModule):
    """Many runs of one shape, trained as one (manual optimisation).

    A member leaves the stack, and costs nothing from then on, when its loss stops being finite (at
    once on the CPU, so that its weights are those of its solo run) or when its early stopping says
    so (at the epoch's end). The others do not notice. A stack of two keeps its last member's
    neighbour as a passenger: a single matrix product is done otherwise, and has other last bits.

    Args:
        members: the runs, all at the same place of their training.
        network, rows: of these members, in this order.
        metrics: one member's, by split, before their first batch.
        config: one member's; what stands in it is the same for all, but for numbers.
        ended: see `Ended`.
    """

    def __init__(
        self,
        members: Sequence[Member],
        network: Network,
        rows: Rows,
        metrics: dict[str, EpochMetrics],
        config: dict[str, Any],
        ended: Ended,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.members = list(members)
        self.network, self.rows = network, rows
        self.templates = metrics
        self.train_metrics = StackedMetrics(metrics["train"], len(self.members))
        self.config = config
        self.clip_values = None
        values = [member.config["trainer"]["gradient_clip_val"] for member in self.members]
        if any(value is not None for value in values):
            bounds = [math.inf if value is None else value for value in values]
            self.clip_values = torch.tensor(bounds, dtype=torch.float64, device=rows.device)
        self.log_every, self.ended = config["trainer"]["log_every_n_steps"], ended
        self.fitting = False
        self.place: Place
        self.best = {name: t.detach().clone() for name, t in self._weights().items()}
        for i, member in enumerate(self.members):
            for name, tensor in (member.best_state or {}).items():
                self.best[name][i] = tensor
        self.gradients: dict[str, Tensor] = {}
        self._unchecked: list[tuple[int, Tensor]] = []
        self.member_steps = 0  # of all members together, in this start
        self._since = 0.0

    def _weights(self) -> dict[str, Tensor]:
        return {**self.network.parameters, **self.network.buffers}

    @property
    def classes(self) -> Sequence[str] | None:
        """The names of the data set's classes, if it has them."""
        return classes_of(next(iter(self.rows.modules.values())))

    @property
    def alive(self) -> list[Member]:
        return [member for member in self.members if member.alive]

    # ---------------------------------------------------------------------------------------- steps

    def training_step(self, batch: Any, batch_idx: int) -> None:
        loss, parts, output, y, shared = self._forward(batch.x)
        step = self.global_step
        if self.rows.device.type == "cpu":
            while not (finite := loss.detach().isfinite()).all():
                self._diverge(finite, step)
                if not self.alive:
                    return
                loss, parts, output, y, shared = self._forward(batch.x)
        else:
            self._unchecked.append((step, loss.detach()))
            if len(self._unchecked) == EpochMetrics.FLUSH_EVERY:
                self._check_finite()
        self.train_metrics.add(loss, output, y, shared, parts)
        if step % self.log_every == 0:
            for member, value in zip(self.members, loss.tolist(), strict=True):
                member.rows.append((step, {"train/loss_step": value}))
        weights = [self.network.parameters[name] for name in self.network.trained]
        gradients = torch.autograd.grad(loss.sum(), weights)
        named = zip(self.network.trained, gradients, strict=True)
        self.gradients = {name: gradient.contiguous() for name, gradient in named}
        self.optimizers().step()  # type: ignore[union-attr]
        self.member_steps += len(self.alive)

    def _forward(self, places: Tensor) -> tuple[Any, ...]:
        x, y, shared = self.rows.train(places)
        return *self.network.fit(x, y, shared), y, shared

    def step(self) -> None:
        """One optimizer step of every member, under its own gradient, clipped by its own norm."""
        gradients = self.gradients
        if self.clip_values is not None:
            norm = self.config["trainer"]["gradient_clip_algorithm"] == "norm"
            bounds = (self.clip_values, None) if norm else (None, self.clip_values)
            clip_(gradients, *bounds)
        self.stepper.step(gradients, *self.schedules.at(self.global_step))
        self.gradients = {}

    def configure_optimizers(self) -> Optimizer:
        """The members' optimizers as one, and their schedules, now that the length is known."""
        template = self.network.template.network
        settings = [settings_of(member.optimizer, template) for member in self.members]
        rates = [member.optimizer.param_groups[0]["lr"] for member in self.members]
        total = self.trainer.estimated_stepping_batches
        require_steps(self.trainer)
        steps = int(total) if math.isfinite(total) else 0
        for member in self.members:
            node = member.config["scheduler"]
            member.scheduler = build(node, optimizer=member.optimizer, total_steps=steps)
        self.schedules = Schedules(
            [member.scheduler for member in self.members],
            [member.config["scheduler"] for member in self.members],
            rates,
            steps,
            self.rows.device,
        )
        on_gpu = self.rows.device.type == "cuda"
        self.stepper = Stepper(settings, self._trained(), compiled=on_gpu)
        for i, member in enumerate(self.members):
            if member.checkpoint is not None:
                member.optimizer.load_state_dict(member.checkpoint["optimizer_states"][0])
                member.resume_schedule()
                self.stepper.from_solo(i, member.optimizer, template)
                member.optimizer.state.clear()
        self.schedules.plateaus()
        return _Step(self)

    # --------------------------------------------------------------------------------- leaving

    def _diverge(self, finite: Tensor, step: int) -> None:
        """Members whose loss is not finite end here, with the weights that they have."""
        gone = [m for m, ok in zip(self.members, finite.tolist(), strict=True) if not ok]
        self._share_time()
        self.note_place()
        self._end(gone, "diverged", _diverged(not_finite(step)))
        self._leave(gone)

    def _check_finite(self) -> None:
        """Where looking at every loss would make the host wait for the device: now and then."""
        if not self._unchecked:
            return
        steps, losses = zip(*self._unchecked, strict=True)
        self._unchecked = []
        finite = torch.stack(losses).isfinite()
        if finite.all():
            return
        for i, member in enumerate(self.members):
            bad = (~finite[:, i]).nonzero()
            if len(bad):
                reason = not_finite(steps[int(bad[0])])
                self._end([member], "diverged", _diverged(reason))
        self._leave([m for m in self.members if not m.alive])

    def _end(self, members: Sequence[Member], status: Status, error: Error | None = None) -> None:
        members = [member for member in members if member.alive]
        self.ended(members, status, error)
        for member in members:
            member.alive = False

    def _leave(self, gone: Sequence[Member]) -> None:
        """The stack without these members; without two of them it would not be the same product."""
        rows = [i for i, member in enumerate(self.members) if member not in gone]
        if not any(self.members[i].alive for i in rows):
            self.trainer.should_stop = True
            return
        if len(rows) == 1:
            rows.append(next(i for i in range(len(self.members)) if i not in rows))
        if len(rows) == len(self.members):
            return
        index = torch.tensor(rows, device=self.rows.device)
        self.members = [self.members[row] for row in rows]
        self.network.keep(index)
        self.stepper.keep(index, self._trained())
        self.schedules.keep(rows)
        self.rows.keep(rows)
        self.train_metrics.keep(index)
        self.best = {name: tensor[index] for name, tensor in self.best.items()}
        if self.clip_values is not None:
            self.clip_values = self.clip_values[index]
        self._unchecked = [(step, loss[index]) for step, loss in self._unchecked]

    def _trained(self) -> dict[str, Tensor]:
        return {name: self.network.parameters[name] for name in self.network.trained}

    def note_place(self) -> None:
        """Remember where the training stands, for the files of those who end here."""
        trainer = self.trainer
        loops = solo_loops(trainer, by_step(self.members[0].scheduler))
        self.place = Place(
            self.global_step,
            self.current_epoch,
            loops["fit_loop"]["epoch_progress"]["current"]["processed"],
            loops,
            cast(BatchLoader, trainer.train_dataloader).state_dict(),
        )

    # --------------------------------------------------------------------------------------- epochs

    def on_train_start(self) -> None:
        self.fitting = True
        self.rows.shuffle(self.current_epoch)  # in the middle of one no epoch is said to start
        self.note_place()
        states = [m.checkpoint["processes"][0] for m in self.members if m.checkpoint is not None]
        if states:
            self.train_metrics.go_on([state["train_metrics"] for state in states])
        self._since = time.perf_counter()
        self._leave(self._pruned_before())

    def _pruned_before(self) -> list[Member]:
        """Those who were told to end, and interrupted before they had, or have no trial to ask."""
        gone = []
        for member in (member for member in self.alive if member.pruner is not None):
            try:
                if not member.pruner.begin():  # type: ignore[union-attr]
                    continue
                self._end([member], "pruned")
            except ValueError as error:
                reason = Error(type="ValueError", message=str(error), traceback="")
                self._end([member], "failed", reason)
            gone.append(member)
        return gone

    def _share_time(self) -> None:
        """What a step takes is divided among those who take it."""
        now = time.perf_counter()
        for member in self.alive:
            member.fit_seconds += (now - self._since) / len(self.alive)
        self._since = now

    def on_train_epoch_start(self) -> None:
        self.rows.shuffle(self.current_epoch)
        for member in self.members:
            member.metrics = {}

    def on_validation_epoch_start(self) -> None:
        self._check_finite()
        self._val_metrics = StackedMetrics(self.templates["val"], len(self.members))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y, shared = self.rows.take("val", batch.x)
        loss, parts, output = self.network.evaluate(x, y, shared)
        self._val_metrics.add(loss, output, y, shared, parts)

    def on_validation_epoch_end(self) -> None:
        for member, values in zip(
            self.members, self._val_metrics.compute(self.classes), strict=True
        ):
            require_measured(member.result.objective.metric, values)
            member.metrics |= values
        self.note_place()
        step = self.global_step
        gone = [m for m in self.members if not math.isfinite(m.metrics["val/loss"])]
        for member in gone:
            value = member.metrics["val/loss"]
            self._end([member], "diverged", _diverged(f"val/loss is {value} after step {step}"))
        self._leave(gone)

    def on_train_epoch_end(self) -> None:
        self.note_place()
        self._check_finite()
        self._share_time()
        for member, values in zip(
            self.members, self.train_metrics.compute(self.classes), strict=True
        ):
            member.metrics |= values
        improved: list[int] = []
        gone: dict[Status, list[Member]] = {"done": [], "pruned": []}
        for i, member in enumerate(self.members):
            if not member.alive:
                continue
            better, ends = member.end_epoch(self.current_epoch, self.global_step)
            improved += [i] if better else []
            if ends is not None:
                gone[ends].append(member)
        self.schedules.plateaus()
        self._note_best(improved)
        for status, members in gone.items():
            self._end(members, status)
        self._leave([*gone["done"], *gone["pruned"]])

    def _note_best(self, rows: list[int]) -> None:
        """Keep these members' weights as their best."""
        if not rows:
            return
        index = torch.tensor(rows, device=self.rows.device)
        for name, tensor in self._weights().items():
            self.best[name][index] = tensor.detach()[index]

    # ------------------------------------------------------------------------------ chosen weights

    def choose_present(self, members: Sequence[Member]) -> None:
        """Take these members' weights as they are for their best."""
        self._note_best([self.members.index(member) for member in members])

    def judge(
        self, split: str, members: Sequence[Member]
    ) -> list[tuple[dict[str, float], dict[str, Tensor]]]:
        """Metrics of a split at each member's chosen weights: numbers and tables."""
        metrics = StackedMetrics(self.templates[split], len(self.members))
        for batch in self.rows.places(split, self.config["data"]["eval_batch_size"]):
            x, y, shared = self.rows.take(split, batch.x)
            loss, parts, output = self.network.evaluate(x, y, shared, weights=self.best)
            metrics.add(loss, output, y, shared, parts)
        judged = list(zip(metrics.compute(self.classes), metrics.tables, strict=True))
        return [judged[self.members.index(member)] for member in members]


def _diverged(reason: str) -> Error:
    return Error(type="Diverged", message=reason, traceback="")


class _Step(Optimizer):
    """The stack's step as a torch optimizer, so that the trainer counts it."""

    def __init__(self, stack: Stack) -> None:
        super().__init__([torch.zeros(1, device=stack.rows.device)], {})
        self.stack = stack

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.stack.step()
