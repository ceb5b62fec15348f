"""Averaged stochastic gradient descent."""

from dataclasses import dataclass

import torch
from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class ASGD(Rule):
    """Gradient descent with an average beside it (Polyak & Juditsky 1992).

        g ← g + λθ
        θ ← (1 − λ₀·η)·θ − η·g
        ā ← ā + μ·(θ − ā)
        η ← lr/(1 + λ₀·lr·t)^α,  μ ← 1/max(1, t − t₀)         lr and 1 before the first step

    As in torch η and μ act one step late and are kept in float32, and the average ā stays in the
    state: what is evaluated is θ.

    Numbers: lr; lambd, λ₀; alpha, α; t0, t₀; weight_decay, λ, L2.
    """

    hyper = ("lr", "lambd", "alpha", "t0", "weight_decay")

    @property
    def state(self) -> dict[str, str]:
        return {"average": "ax"}

    @property
    def scalars(self) -> dict[str, str]:
        return {"eta": "eta", "mu": "mu"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        lr, lambd = hyper["lr"], hyper["lambd"]
        eta = torch.where(t == 1, lr.float().double(), state["eta"])
        mu = torch.where(t == 1, 1.0, state["mu"])
        g = g + hyper["weight_decay"] * p
        p = (1 - lambd * eta) * p - eta * g
        average = state["average"] + mu * (p - state["average"])
        eta = lr / (1 + lambd * lr * t) ** hyper["alpha"]
        mu = 1 / (t - hyper["t0"]).clamp(min=1)
        return p, {"average": average, "eta": eta.float().double(), "mu": mu.float().double()}
