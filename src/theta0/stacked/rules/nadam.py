"""NAdam."""

from dataclasses import dataclass

import torch
from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class NAdam(Rule):
    """Adam with Nesterov's momentum (Dozat 2016, algorithm 2).

        g ← g + λθ                            decoupled: θ ← (1 − lr·λ)·θ
        μₜ = β₁·(1 − ½·0.96^(ψt)),  Π ← Π·μₜ
        m ← β₁·m + (1−β₁)·g
        v ← β₂·v + (1−β₂)·g²                  v̂ = v/(1 − β₂ᵗ)
        θ ← θ − lr·(μₜ₊₁·m/(1 − Π·μₜ₊₁) + (1−μₜ)·g/(1 − Π))/(√v̂ + ε)

    As in torch the paper's μₜ is β₁ in m, and Π is kept in float32; optax has β₁ everywhere.

    Args:
        decoupled_weight_decay: decay as in AdamW.

    Numbers: lr; betas, β₁ and β₂; eps, ε; momentum_decay, ψ; weight_decay, λ.
    """

    decoupled_weight_decay: bool = False

    hyper = ("lr", "betas", "eps", "momentum_decay", "weight_decay")
    cycled = "beta1"

    @property
    def state(self) -> dict[str, str]:
        return {"m": "exp_avg", "v": "exp_avg_sq"}

    @property
    def scalars(self) -> dict[str, str]:
        return {"product": "mu_product"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        lr, beta1, beta2, decay = (hyper[key] for key in ("lr", "beta1", "beta2", "weight_decay"))
        psi = hyper["momentum_decay"]
        if self.decoupled_weight_decay:
            p = (1 - lr * decay) * p
        else:
            g = g + decay * p
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * psi))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * psi))
        product = torch.where(t == 1, 1.0, state["product"])
        product = (product.float() * mu.float()).double()
        m = beta1 * state["m"] + (1 - beta1) * g
        v = beta2 * state["v"] + (1 - beta2) * g * g
        ahead = mu_next / (1 - product * mu_next) * m + (1 - mu) / (1 - product) * g
        p = p - lr * ahead / ((v / (1 - beta2**t)).sqrt() + hyper["eps"])
        return p, {"m": m, "v": v, "product": product}
