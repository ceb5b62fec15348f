"""RAdam."""

from dataclasses import dataclass

import torch
from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class RAdam(Rule):
    """Adam that waits for its second moment (Liu 2020, algorithm 2).

        g ← g + λθ                            decoupled: θ ← (1 − lr·λ)·θ
        m ← β₁·m + (1−β₁)·g                   m̂ = m/(1 − β₁ᵗ)
        v ← β₂·v + (1−β₂)·g²
        ρ∞ = 2/(1−β₂) − 1,  ρ = ρ∞ − 2t·β₂ᵗ/(1 − β₂ᵗ)
        r = √((ρ−4)(ρ−2)ρ∞/((ρ∞−4)(ρ∞−2)ρ))
        θ ← θ − lr·m̂·r·√(1 − β₂ᵗ)/(√v + ε)    where ρ > 5, else θ ← θ − lr·m̂

    The paper rectifies where ρ > 4 and has no ε; its code and torch as here.

    Args:
        decoupled_weight_decay: decay as in AdamW.

    Numbers: lr; betas, β₁ and β₂; eps, ε; weight_decay, λ.
    """

    decoupled_weight_decay: bool = False

    hyper = ("lr", "betas", "eps", "weight_decay")
    cycled = "beta1"

    @property
    def state(self) -> dict[str, str]:
        return {"m": "exp_avg", "v": "exp_avg_sq"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        lr, beta1, beta2, decay = (hyper[key] for key in ("lr", "beta1", "beta2", "weight_decay"))
        if self.decoupled_weight_decay:
            p = (1 - lr * decay) * p
        else:
            g = g + decay * p
        m = beta1 * state["m"] + (1 - beta1) * g
        v = beta2 * state["v"] + (1 - beta2) * g * g
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t * beta2**t / (1 - beta2**t)
        r_squared = (length - 4) * (length - 2) * longest
        r_squared = r_squared / ((longest - 4) * (longest - 2) * length)
        rectified = (r_squared * (1 - beta2**t)).sqrt() / (v.sqrt() + hyper["eps"])
        scale = torch.where(length > 5, rectified, 1.0)
        return p - lr / (1 - beta1**t) * m * scale, {"m": m, "v": v}
