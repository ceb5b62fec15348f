"""Lion: the sign of a momentum."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from theta0.optim.per_parameter import PerParameter


class Lion(PerParameter):
    """EvoLved Sign Momentum (Chen 2023, program 1).

        θ ← θ − lr·(sign(β₁·m + (1−β₁)·g) + λ·θ)
        m ← β₂·m + (1−β₂)·g

    Every weight moves by lr, so lr is smaller than AdamW's, by 3 to 10 in the paper; λ is larger by
    as much, since the decay is multiplied by lr. A weight whose momentum and gradient are 0 rests.

    Args:
        params: parameters, or groups of them.
        lr: learning rate: the size of every weight's step.
        betas: β₁ mixes the direction, β₂ the momentum that is kept.
        weight_decay: λ.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: Sequence[float] = (0.9, 0.99),
        weight_decay: float = 0.1,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state["m"] = torch.zeros_like(p)
        m, lr = state["m"], group["lr"]
        beta1, beta2 = group["betas"]
        direction = torch.sign(beta1 * m + (1 - beta1) * g)
        p.mul_(1 - lr * group["weight_decay"]).sub_(lr * direction)
        m.mul_(beta2).add_((1 - beta2) * g)
