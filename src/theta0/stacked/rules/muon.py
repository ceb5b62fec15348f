"""Muon for the hidden matrices; what else a network has, its AdamW steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theta0.optim.muon import ADJUSTMENTS
from theta0.optim.newton_schulz import newton_schulz
from theta0.stacked.rules.adam import Adam
from theta0.stacked.rules.rule import Rule, Tensors


@dataclass(frozen=True)
class Muon(Rule):
    """Momentum orthogonalised by Newton–Schulz (Jordan 2024).

        b ← μ·b + (1−μ)·g
        θ ← (1 − lr·λ)·θ − lr·adjust·NS((1−μ)·g + μ·b)         NS(b) without Nesterov

    Each member's matrix is orthogonalised by itself.

    Args:
        nesterov: orthogonalise (1−μ)·g + μ·b, not b.
        newton_schulz_steps: how often.
        newton_schulz_dtype: "bfloat16", or "parameter": the parameter's own.
        adjust: a factor by the matrix's shape; "original" or "match_rms_adamw".

    Numbers: lr; momentum, μ; weight_decay, λ.
    """

    nesterov: bool = True
    newton_schulz_steps: int = 5
    newton_schulz_dtype: str = "bfloat16"
    adjust: str = "original"

    hyper = ("lr", "momentum", "weight_decay")
    step = None
    on_matrices = True

    @property
    def state(self) -> dict[str, str]:
        return {"b": "b"}

    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        lr, mu = hyper["lr"], hyper["momentum"]
        b = mu * state["b"] + (1 - mu) * g
        ahead = (1 - mu) * g + mu * b if self.nesterov else b
        direction = orthogonalised(
            ahead, self.newton_schulz_steps, self.newton_schulz_dtype, self.adjust
        )
        return (1 - lr * hyper["weight_decay"]) * p - lr * direction, {"b": b}


@torch.overrides.wrap_torch_function(lambda G, *_: (G,))  # one operation to who traces `update`
def orthogonalised(G: Tensor, steps: int, dtype: str, adjust: str) -> Tensor:
    """adjust·NS(G) of each matrix of G [members, rows, columns]."""
    to = G.dtype if dtype == "parameter" else torch.bfloat16
    factor = ADJUSTMENTS[adjust](*G.shape[1:])
    return factor * torch.func.vmap(lambda matrix: newton_schulz(matrix, steps, to))(G)


@dataclass(frozen=True)
class AdamWOfMuon(Adam):
    """What Muon does with all that is no hidden matrix: `Adam`, decoupled."""

    decoupled_weight_decay: bool = True

    step = int

    @classmethod
    def of(cls, group: Mapping[str, Any]) -> Rule:
        return cls()

    @property
    def state(self) -> dict[str, str]:
        return {"m": "m", "v": "v"}


def muon(group: Mapping[str, Any]) -> Rule:
    """The rule of one of Muon's parameter groups."""
    return Muon.of(group) if group["rule"] == "muon" else AdamWOfMuon()
