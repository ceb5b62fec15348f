"""Adam, torch's form of AMSGrad, and AdamW."""

from dataclasses import dataclass

import torch
from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class Adam(Rule):
    """Adaptive moments (Kingma & Ba 2015, algorithm 1); AdamW (Loshchilov & Hutter 2019).

        g ← g + λθ                                      Adam: λ is L2
        m ← β₁·m + (1−β₁)·g         m̂ = m/(1 − β₁ᵗ)
        v ← β₂·v + (1−β₂)·g²        v̂ = v/(1 − β₂ᵗ)
        θ ← θ − lr·m̂/(√v̂ + ε)
        θ ← (1 − lr·λ)·θ − lr·m̂/(√v̂ + ε)                AdamW

    TensorFlow and Keras have ε beside √v, before bias correction. The paper of AdamW does not
    multiply λ by the rate (adamw_lh.py).

    Args:
        amsgrad: the largest v so far in place of v, not corrected before the maximum is taken; the
            paper (amsgrad.py) corrects nothing, optax before the maximum.
        decoupled_weight_decay: AdamW.

    Numbers: lr; betas, β₁ and β₂; eps, ε; weight_decay, λ.
    """

    amsgrad: bool = False
    decoupled_weight_decay: bool = False

    hyper = ("lr", "betas", "eps", "weight_decay")
    cycled = "beta1"

    @property
    def state(self) -> dict[str, str]:
        largest = {"v_max": "max_exp_avg_sq"} if self.amsgrad else {}
        return {"m": "exp_avg", "v": "exp_avg_sq", **largest}

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
        new = {"m": m, "v": v}
        if self.amsgrad:
            v = new["v_max"] = torch.maximum(state["v_max"], v)
        v_hat = v / (1 - beta2**t)
        return p - lr / (1 - beta1**t) * m / (v_hat.sqrt() + hyper["eps"]), new
