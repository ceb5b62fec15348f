"""A stack's progress bar: members alive, the best so far, and how many runs' steps a second."""

import math
from collections.abc import Sequence
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm

from theta0.stacked.member import Member


class Progress(Callback):
    """One bar over the steps of all members together; those of a member that ends are not awaited.

    Args:
        members: all of the stack, those that have ended too.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)
        self.bar: Any = None

    def on_train_start(self, trainer: lightning.Trainer, stack: Any) -> None:
        self.bar = tqdm(unit="step", unit_scale=True, dynamic_ncols=True, leave=False)
        self._show(trainer, stack)

    def on_train_batch_end(self, trainer: lightning.Trainer, stack: Any, *args: Any) -> None:
        self.bar.update(stack.member_steps - self.bar.n)

    def on_train_epoch_end(self, trainer: lightning.Trainer, stack: Any) -> None:
        self._show(trainer, stack)

    def on_train_end(self, trainer: lightning.Trainer, stack: Any) -> None:
        self.bar.close()

    def on_exception(self, trainer: lightning.Trainer, stack: Any, error: BaseException) -> None:
        if self.bar is not None:
            self.bar.close()

    def _show(self, trainer: lightning.Trainer, stack: Any) -> None:
        alive = sum(member.alive for member in self.members)
        left = trainer.estimated_stepping_batches - trainer.global_step
        finite = left < float("inf")  # not where max_time alone ends the training
        self.bar.total = self.bar.n + alive * int(left) if finite else None
        self.bar.set_description(f"{alive} of {len(self.members)} runs", refresh=False)
        if (best := self.best()) is not None:
            self.bar.set_postfix_str(best)

    def best(self) -> str | None:
        """The best objective that a member has come to: "best val/acc 0.9722"."""
        objective = self.members[0].result.objective
        found = [member.best_metrics.get(objective.metric) for member in self.members]
        values = [value for value in found if value is not None and math.isfinite(value)]
        if not values:
            return None
        best = max(values) if objective.mode == "max" else min(values)
        return f"best {objective.metric} {best:.4g}"
