"""Adadelta."""

from dataclasses import dataclass

from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class Adadelta(Rule):
    """Steps in the parameters' own units (Zeiler 2012, algorithm 1).

        g ← g + λθ
        s ← ρ·s + (1−ρ)·g²
        d = √(u + ε)/√(s + ε)·g
        u ← ρ·u + (1−ρ)·d²
        θ ← θ − lr·d

    The paper has no rate: lr = 1.

    Numbers: lr; rho, ρ; eps, ε, inside both roots; weight_decay, λ, L2.
    """

    hyper = ("lr", "rho", "eps", "weight_decay")

    @property
    def state(self) -> dict[str, str]:
        return {"s": "square_avg", "u": "acc_delta"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        rho, eps = hyper["rho"], hyper["eps"]
        g = g + hyper["weight_decay"] * p
        s = rho * state["s"] + (1 - rho) * g * g
        d = (state["u"] + eps).sqrt() / (s + eps).sqrt() * g
        u = rho * state["u"] + (1 - rho) * d * d
        return p - hyper["lr"] * d, {"s": s, "u": u}
