"""AdamW with the decay that its paper has: apart from the learning rate too."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from theta0.optim.adam_direction import adam_direction
from theta0.optim.per_parameter import PerParameter


class AdamWLH(PerParameter):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

        θ ← θ − η·(α·m̂/(√v̂ + ε) + λ·θ)

    α is the rate that the optimizer was made with, kept in each group as `base_lr`, and η = lr/α
    what a schedule has made of it since. So λ is the share of θ that a step takes away, whatever α
    is: rate and decay can be searched apart. `torch.optim.AdamW`, optax and Keras take away α·η·λ,
    where doubling the rate doubles the decay too.

    Args:
        params: parameters, or groups of them.
        lr: α.
        betas: β₁, β₂: how much of the moments m and v a step keeps.
        eps: ε, outside the root and after bias correction.
        weight_decay: λ; torch's λ times the rate gives the same decay.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-5,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self.param_groups[-1]["base_lr"] = self.param_groups[-1]["lr"]

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
        state["step"] += 1
        direction = adam_direction(
            g, state["m"], state["v"], state["step"], group["betas"], group["eps"]
        )
        eta = group["lr"] / group["base_lr"]
        p.mul_(1 - eta * group["weight_decay"]).sub_(group["lr"] * direction)
