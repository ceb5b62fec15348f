"""Stochastic gradient descent, plain, with momentum and with Nesterov's."""

from dataclasses import dataclass

import torch
from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class SGD(Rule):
    """Gradient descent (Robbins & Monro 1951), momentum (Polyak 1964; Nesterov 1983).

        g ← g + λθ
        v ← μ·v + (1−τ)·g            v ← g at the first step
        θ ← θ − lr·v                 θ ← θ − lr·(g + μ·v) with Nesterov

    Sutskever 2013, Caffe and Keras have the rate inside v, the same while it is constant.

    Args:
        momentum: whether there is any; without, θ ← θ − lr·g.
        nesterov: step along g + μ·v.

    Numbers: lr; momentum, μ; dampening, τ; weight_decay, λ.
    """

    momentum: bool = False
    nesterov: bool = False

    hyper = ("lr", "momentum", "dampening", "weight_decay")
    cycled = "momentum"
    step = None

    @property
    def state(self) -> dict[str, str]:
        return {"v": "momentum_buffer"} if self.momentum else {}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        lr, mu = hyper["lr"], hyper["momentum"]
        g = g + hyper["weight_decay"] * p
        if not self.momentum:
            return p - lr * g, {}
        v = mu * state["v"] + torch.where(t == 1, 1.0, 1 - hyper["dampening"]) * g
        return p - lr * (g + mu * v if self.nesterov else v), {"v": v}
