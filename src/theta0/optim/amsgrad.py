"""AMSGrad as in its paper."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from theta0.optim.per_parameter import PerParameter


class AMSGrad(PerParameter):
    """Adam whose steps never grow because gradients shrink (Reddi 2018, algorithm 2).

        g ← g + λθ
        m ← β₁·m + (1−β₁)·g
        v ← β₂·v + (1−β₂)·g²
        v̂ ← max(v̂, v)
        θ ← θ − lr·m/(√v̂ + ε)

    No moment is corrected for its bias towards 0: the first step is lr·(1−β₁)/√(1−β₂)·sign g, which
    is 3.16·lr at the default betas. `torch.optim.Adam(amsgrad=True)` takes the same maximum and
    corrects m and v̂ afterwards; optax takes the maximum of the v that are corrected. The paper has
    no ε and no decay; its theory lets the rate fall as 1/√t.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        betas: β₁, β₂: how much of the moments m and v a step keeps.
        eps: ε, outside the root.
        weight_decay: λ, L2: added to the gradient as in Adam.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update({name: torch.zeros_like(p) for name in ("m", "v", "v_max")})
        m, v, v_max = state["m"], state["v"], state["v_max"]
        beta1, beta2 = group["betas"]
        g = g + group["weight_decay"] * p
        m.mul_(beta1).add_((1 - beta1) * g)
        v.mul_(beta2).add_((1 - beta2) * g.square())
        torch.maximum(v_max, v, out=v_max)
        p.sub_(group["lr"] * m / (v_max.sqrt() + group["eps"]))
