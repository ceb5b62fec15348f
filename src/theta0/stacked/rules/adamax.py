"""Adamax."""

from dataclasses import dataclass

import torch
from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class Adamax(Rule):
    """Adam by the infinity norm (Kingma & Ba 2015, algorithm 2).

        g ← g + λθ
        m ← β₁·m + (1−β₁)·g
        u ← max(β₂·u, |g| + ε)
        θ ← θ − lr/(1 − β₁ᵗ)·m/u

    The paper has no ε; Keras adds it to u in the quotient.

    Numbers: lr; betas, β₁ and β₂; eps, ε; weight_decay, λ, L2.
    """

    hyper = ("lr", "betas", "eps", "weight_decay")
    cycled = "beta1"

    @property
    def state(self) -> dict[str, str]:
        return {"m": "exp_avg", "u": "exp_inf"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        beta1 = hyper["beta1"]
        g = g + hyper["weight_decay"] * p
        m = beta1 * state["m"] + (1 - beta1) * g
        u = torch.maximum(hyper["beta2"] * state["u"], g.abs() + hyper["eps"])
        return p - hyper["lr"] / (1 - beta1**t) * m / u, {"m": m, "u": u}
