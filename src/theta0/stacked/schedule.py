"""The learning rates of all members at every step, as their own schedulers have them."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

Scheduler = LRScheduler | ReduceLROnPlateau


def by_step(scheduler: Scheduler | None) -> bool:
    """Whether it moves with every step: all do but a plateau's, to torch an LRScheduler too."""
    return scheduler is not None and not isinstance(scheduler, ReduceLROnPlateau)


class Schedules:
    """Factors on the learning rates, and what else is cycled.

    A schedule is computed once for all members whose scheduler has the same numbers, by that
    scheduler itself.

    Args:
        schedulers: each member's, made with its own optimizer; None: the rate stays.
        numbers: each member's configuration of it, and whatever else it depends on.
        rates: each member's own rate, of its first parameter group.
        total_steps: of the training.
    """

    def __init__(
        self,
        schedulers: Sequence[Scheduler | None],
        numbers: Sequence[Any],
        rates: Sequence[float],
        total_steps: int,
        device: torch.device,
    ) -> None:
        self.schedulers, self.rates, self.device = list(schedulers), list(rates), device
        tables: dict[str, tuple[list[float], list[float] | None]] = {}
        index = []
        for scheduler, number, rate in zip(schedulers, numbers, rates, strict=True):
            key = json.dumps(number, sort_keys=True, default=str)
            if key not in tables:
                tables[key] = _table(scheduler, rate, total_steps)
            index.append(list(tables).index(key))
        self._index = torch.tensor(index, device=device)
        factors, cycled = zip(*tables.values(), strict=True)
        self._factors = torch.tensor(factors, dtype=torch.float64, device=device).T.contiguous()
        self._cycled = None
        if any(values is not None for values in cycled):
            table = torch.tensor(cycled, dtype=torch.float64, device=device)
            self._cycled = table.T.contiguous()
        self.plateaus()

    def plateaus(self) -> None:
        """Take the rates that plateau schedulers have come to."""
        self._plateau = None
        if any(isinstance(s, ReduceLROnPlateau) for s in self.schedulers):
            now = [
                s.optimizer.param_groups[0]["lr"] / rate if isinstance(s, ReduceLROnPlateau) else 1
                for s, rate in zip(self.schedulers, self.rates, strict=True)
            ]
            self._plateau = torch.tensor(now, dtype=torch.float64, device=self.device)

    def at(self, step: int) -> tuple[Tensor, Tensor | None]:
        """(factors on the rates [members], momentum or β₁ [members] where it is cycled)."""
        row = min(step, len(self._factors) - 1)
        factor = self._factors[row, self._index]
        if self._plateau is not None:
            factor = factor * self._plateau
        return factor, None if self._cycled is None else self._cycled[row, self._index]

    def keep(self, rows: Sequence[int]) -> None:
        """Only these members go on, in this order."""
        self.schedulers = [self.schedulers[row] for row in rows]
        self.rates = [self.rates[row] for row in rows]
        self._index = self._index[torch.tensor(rows, device=self.device)]
        self.plateaus()


def _table(
    scheduler: Scheduler | None, rate: float, total_steps: int
) -> tuple[list[float], list[float] | None]:
    """Factors on the rate, and the cycled momentum, before step 0, 1, ... total_steps."""
    if not by_step(scheduler):
        return [1.0] * (total_steps + 1), None
    if isinstance(scheduler, LambdaLR):
        return [scheduler.lr_lambdas[0](t) for t in range(total_steps + 1)], None
    assert isinstance(scheduler, OneCycleLR)
    group = scheduler.optimizer.param_groups[0]
    scheduler._get_lr_called_within_step = True  # else it warns
    factors: list[float] = []
    cycled: list[float] = []
    for t in range(total_steps + 1):
        scheduler.last_epoch = t
        lr = scheduler.get_lr()[0]  # sets the momentum as it goes
        factors.append(float(lr) / rate)
        cycled.append(group["betas"][0] if "betas" in group else group.get("momentum", 0.0))
    return factors, cycled if scheduler.cycle_momentum else None


def at_step(scheduler: Scheduler | None, step: int) -> None:
    """Bring a member's own scheduler, and the rates in its optimizer, to where it is by now."""
    if not by_step(scheduler):
        return
    assert isinstance(scheduler, LRScheduler)
    scheduler.last_epoch, scheduler._step_count = step, step + 1  # type: ignore[attr-defined]
    scheduler._is_initial = False  # type: ignore[attr-defined]
    if isinstance(scheduler, LambdaLR):
        values = [
            b * f(step) for b, f in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
        ]
    else:
        scheduler._get_lr_called_within_step = True  # else it warns
        values = scheduler.get_lr()
    scheduler._get_lr_called_within_step = False
    for group, lr in zip(scheduler.optimizer.param_groups, values, strict=True):
        group["lr"] = lr
    scheduler._last_lr = values
