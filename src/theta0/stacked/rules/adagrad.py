"""Adagrad."""

from dataclasses import dataclass

import torch
from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class Adagrad(Rule):
    """Adaptive subgradient steps (Duchi, Hazan & Singer 2011, figure 1, diagonal form).

        g ← g + λθ
        s ← s + g²                   s₀ before the first step
        θ ← θ − lr/(1 + (t−1)·κ)·g/(√s + ε)

    Keras and optax begin with s₀ = 0.1 and have ε inside the root; the paper has no κ.

    Numbers: lr; lr_decay, κ; initial_accumulator_value, s₀; eps, ε; weight_decay, λ, L2.
    """

    hyper = ("lr", "lr_decay", "initial_accumulator_value", "eps", "weight_decay")

    @property
    def state(self) -> dict[str, str]:
        return {"s": "sum"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        g = g + hyper["weight_decay"] * p
        s = state["s"] + torch.where(t == 1, hyper["initial_accumulator_value"], 0.0) + g * g
        lr = hyper["lr"] / (1 + (t - 1) * hyper["lr_decay"])
        return p - lr * g / (s.sqrt() + hyper["eps"]), {"s": s}
