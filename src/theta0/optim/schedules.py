"""Schedules: the learning rate of optimizer step t of T as a multiple of the optimizer's own rate.

Each takes `(optimizer, total_steps, ...)` and returns a torch scheduler to be stepped after every
optimizer step. Raises ValueError where the number of steps is not known (0).
"""

import math
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR


def constant() -> None:
    """1, always: there is nothing to step."""


def cosine(optimizer: Optimizer, total_steps: int, final: float = 0.0) -> LambdaLR:
    """final + (1 − final)·(1 + cos πt/T)/2 (Loshchilov & Hutter 2017, eq. 5, without restarts)."""
    total = _known(total_steps)
    return LambdaLR(optimizer, lambda t: _cosine(t / total, final))


def warmup_cosine(
    optimizer: Optimizer, total_steps: int, warmup: float = 0.1, final: float = 0.0
) -> LambdaLR:
    """Linear to 1 over the first `warmup` fraction of the steps (the first step is not lost: it has
    rate 1/W of W warm-up steps), then cosine to `final`."""
    total = _known(total_steps)
    warm = round(warmup * total)

    def factor(t: int) -> float:
        if t < warm:
            return (t + 1) / warm
        return _cosine((t - warm) / max(1, total - warm), final)

    return LambdaLR(optimizer, factor)


def step(
    optimizer: Optimizer,
    total_steps: int,
    milestones: Sequence[float] = (0.5, 0.75),
    gamma: float = 0.1,
) -> LambdaLR:
    """gamma^k after k of the milestones, given as fractions of the training."""
    # 0.55 · 100 is 55.000000000000006 in floating point: the milestone is step 55 all the same.
    at = [milestone * _known(total_steps) - 1e-9 for milestone in milestones]
    return LambdaLR(optimizer, lambda t: gamma ** sum(t >= milestone for milestone in at))


def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    warmup: float = 0.3,
    start: float = 0.04,
    final: float = 4e-6,
) -> OneCycleLR:
    """torch's OneCycleLR whose peak is the optimizer's own rate (Smith & Topin 2018).

    Momentum (or β₁) runs the other way round, 0.95 → 0.85 → 0.95, where the optimizer has one;
    a schedule-free optimizer's stays, since it says where the average is.
    """
    total = _known(total_steps)
    rising = 1 - 1e-9 if warmup * total == 1 else warmup * total  # torch divides by rising − 1
    momentum = not hasattr(optimizer, "eval") and any(
        key in optimizer.defaults and optimizer.defaults[key] for key in ("momentum", "betas")
    )
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total,
        pct_start=rising / total,
        div_factor=1 / start,
        final_div_factor=start / final,
        cycle_momentum=momentum,
    )


def _known(total_steps: int) -> int:
    if total_steps < 1:
        raise ValueError("this scheduler needs trainer.max_epochs or trainer.max_steps")
    return total_steps


def _cosine(progress: float, final: float) -> float:
    return final + (1 - final) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
