"""Muon for the hidden matrices of a network, AdamW for the rest, in one optimizer."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from theta0.models.norms import NORMALISATION, is_magnitude
from theta0.optim.adam_direction import adam_direction
from theta0.optim.groups import parameter_groups
from theta0.optim.newton_schulz import newton_schulz
from theta0.optim.per_parameter import PerParameter


class Muon(PerParameter):
    """Momentum orthogonalised by Newton–Schulz (Jordan 2024), with AdamW for what is no matrix.

    Hidden matrices, `rule: muon` in their group:

        b ← μ·b + (1−μ)·g
        θ ← (1 − lr·λ)·θ − lr·adjust·NS((1−μ)·g + μ·b)         NS(b) without Nesterov

    Everything else, `rule: adamw`, with its own rate, which a schedule scales alike:

        θ ← (1 − lr·λ)·θ − lr·m̂/(√v̂ + ε)

    Hidden are the weights of more than one dimension between the first and the last of them, in
    module order; a convolution's [out, in, ...] is taken as a matrix [out, in·...]. The first and
    the last layer, embeddings, biases and normalisation are AdamW's. `torch.optim.Muon` steps
    matrices alone, all that it is given.

    Args:
        network: whose trained parameters are stepped.
        lr: learning rate of the hidden matrices.
        momentum: μ.
        nesterov: orthogonalise (1−μ)·g + μ·b, not b.
        newton_schulz_steps: see `newton_schulz`.
        newton_schulz_dtype: "bfloat16", or "parameter": the parameter's own.
        adjust: "original": √max(1, rows/columns), so that a step changes every layer's outputs
            alike; "match_rms_adamw": 0.2·√max(rows, columns), as large as AdamW's usual step, whose
            lr and λ then fit (Liu 2025).
        weight_decay: λ of the hidden matrices.
        adamw_lr, adamw_betas, adamw_eps, adamw_weight_decay: of the rest.
        decay_bias_and_norm: weight decay reaches biases and normalisation too.

    Raises:
        ValueError: a setting is out of its range, or no trained matrix lies between the first and
            the last.
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        newton_schulz_steps: int = 5,
        newton_schulz_dtype: Literal["bfloat16", "parameter"] = "bfloat16",
        adjust: Literal["original", "match_rms_adamw"] = "original",
        weight_decay: float = 0.01,
        adamw_lr: float = 1e-3,
        adamw_betas: Sequence[float] = (0.9, 0.95),
        adamw_eps: float = 1e-10,
        adamw_weight_decay: float = 0.01,
        decay_bias_and_norm: bool = False,
    ) -> None:
        if newton_schulz_dtype not in ("bfloat16", "parameter"):
            raise ValueError(
                f"newton_schulz_dtype={newton_schulz_dtype}: must be bfloat16 or parameter"
            )
        if adjust not in ADJUSTMENTS:
            raise ValueError(f"adjust={adjust}: must be {' or '.join(ADJUSTMENTS)}")
        hidden = hidden_matrices(network)
        if not hidden:
            raise ValueError(
                "Muon steps the matrices between a network's first and last, and none is trained"
                " here: take a deeper network or another optimizer"
            )
        muon = {
            "rule": "muon",
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "newton_schulz_steps": newton_schulz_steps,
            "newton_schulz_dtype": newton_schulz_dtype,
            "adjust": adjust,
            "weight_decay": weight_decay,
        }
        adamw = {"rule": "adamw", "lr": adamw_lr, "betas": adamw_betas, "eps": adamw_eps}
        groups = [{"params": hidden, **muon}]
        of_muon = set(hidden)
        for group in parameter_groups(network, adamw_weight_decay, decay_bias_and_norm):
            rest = [p for p in group["params"] if p not in of_muon]
            if rest:
                groups.append({**group, "params": rest, **adamw})
        super().__init__(groups, {})

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr = group["lr"]
        if group["rule"] == "muon":
            if not state:
                state["b"] = torch.zeros_like(p)
            direction = muon_direction(
                g,
                state["b"],
                group["momentum"],
                group["nesterov"],
                group["newton_schulz_steps"],
                p.dtype if group["newton_schulz_dtype"] == "parameter" else torch.bfloat16,
            )
            rows, columns = p.flatten(1).shape
            direction = ADJUSTMENTS[group["adjust"]](rows, columns) * direction
        else:
            if not state:
                state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
            state["step"] += 1
            direction = adam_direction(
                g, state["m"], state["v"], state["step"], group["betas"], group["eps"]
            )
        p.mul_(1 - lr * group["weight_decay"]).sub_(lr * direction)


ADJUSTMENTS = {
    "original": lambda rows, columns: math.sqrt(max(1, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
}
"""The factor on a step, by the matrix's shape."""


def muon_direction(
    g: Tensor, b: Tensor, momentum: float, nesterov: bool, steps: int, dtype: torch.dtype
) -> Tensor:
    """The orthogonalised momentum, of g's shape [rows, ...]; b is updated in place."""
    b.lerp_(g, 1 - momentum)
    ahead = g.lerp(b, momentum) if nesterov else b
    return newton_schulz(ahead.flatten(1), steps, dtype).view_as(g)


def hidden_matrices(network: nn.Module) -> list[nn.Parameter]:
    """The trained weights of more than one dimension between the first and the last of them."""
    matrices = [
        (parameter, module)
        for module in network.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim > 1
        and "bias" not in name
        and not isinstance(module, NORMALISATION)
        and not is_magnitude(name, module)
    ]
    ends = {parameter for parameter, _ in matrices[:1] + matrices[-1:]}
    hidden = {
        parameter: None  # a set that keeps the order
        for parameter, module in matrices
        if parameter.requires_grad
        and parameter not in ends
        and not isinstance(module, nn.Embedding)
    }
    return list(hidden)
