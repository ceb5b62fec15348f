"""AdamW with its paper's decay."""

from dataclasses import dataclass

from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class AdamWLH(Rule):
    """Adam with decay apart from the rate (Loshchilov & Hutter 2019, algorithm 2).

        m ← β₁·m + (1−β₁)·g         m̂ = m/(1 − β₁ᵗ)
        v ← β₂·v + (1−β₂)·g²        v̂ = v/(1 − β₂ᵗ)
        θ ← θ − η·(α·m̂/(√v̂ + ε) + λ·θ)

    where η = lr/α is what a schedule makes of the rate. torch, optax and Keras multiply λ by the
    rate as well (adam.py).

    Numbers: lr, η·α; base_lr, α; betas, β₁ and β₂; eps, ε; weight_decay, λ.
    """

    hyper = ("lr", "base_lr", "betas", "eps", "weight_decay")
    cycled = "beta1"
    step = int

    @property
    def state(self) -> dict[str, str]:
        return {"m": "m", "v": "v"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        lr, beta1, beta2 = hyper["lr"], hyper["beta1"], hyper["beta2"]
        m = beta1 * state["m"] + (1 - beta1) * g
        v = beta2 * state["v"] + (1 - beta2) * g * g
        p = (1 - lr / hyper["base_lr"] * hyper["weight_decay"]) * p
        v_hat = v / (1 - beta2**t)
        return p - lr / (1 - beta1**t) * m / (v_hat.sqrt() + hyper["eps"]), {"m": m, "v": v}
