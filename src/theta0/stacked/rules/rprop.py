"""Rprop."""

from dataclasses import dataclass

import torch
from torch import Tensor

from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class Rprop(Rule):
    """Resilient propagation: signs alone (Igel & Hüsken 2000, iRprop−; Riedmiller & Braun 1993).

        a = g·g₋₁
        Δ ← Δ·(η₊ where a > 0, η₋ where a < 0), within [Δ₋, Δ₊]
        g ← 0 where a < 0
        θ ← θ − Δ·sign g

    The paper of 1993 takes back the step before a change of sign.

    Numbers: lr, Δ before the first step and nothing else; etas, η₋ and η₊; step_sizes, Δ₋ and Δ₊.
    """

    hyper = ("lr", "etas", "step_sizes")

    @property
    def state(self) -> dict[str, str]:
        return {"before": "prev", "delta": "step_size"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        agree = g * state["before"]
        delta = torch.where(t == 1, hyper["lr"], state["delta"])
        delta = torch.where(agree > 0, hyper["eta2"] * delta, delta)
        delta = torch.where(agree < 0, hyper["eta1"] * delta, delta)
        delta = delta.clamp(hyper["step_size1"], hyper["step_size2"])
        g = torch.where(agree < 0, 0.0, g)
        return p - delta * g.sign(), {"before": g, "delta": delta}
