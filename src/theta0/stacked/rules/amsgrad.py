"""AMSGrad as in its paper."""

from dataclasses import dataclass

import torch
from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class AMSGrad(Rule):
    """Adam whose steps never grow because gradients shrink (Reddi 2018, algorithm 2).

        g ← g + λθ
        m ← β₁·m + (1−β₁)·g
        v ← β₂·v + (1−β₂)·g²
        v̂ ← max(v̂, v)
        θ ← θ − lr·m/(√v̂ + ε)

    Nothing is corrected for its bias towards 0; torch's form (adam.py) and optax's do. The paper
    has no ε and no decay.

    Numbers: lr; betas, β₁ and β₂; eps, ε; weight_decay, λ, L2.
    """

    hyper = ("lr", "betas", "eps", "weight_decay")
    cycled = "beta1"
    step = None

    @property
    def state(self) -> dict[str, str]:
        return {"m": "m", "v": "v", "v_max": "v_max"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        beta1, beta2 = hyper["beta1"], hyper["beta2"]
        g = g + hyper["weight_decay"] * p
        m = beta1 * state["m"] + (1 - beta1) * g
        v = beta2 * state["v"] + (1 - beta2) * g * g
        v_max = torch.maximum(state["v_max"], v)
        p = p - hyper["lr"] * m / (v_max.sqrt() + hyper["eps"])
        return p, {"m": m, "v": v, "v_max": v_max}
