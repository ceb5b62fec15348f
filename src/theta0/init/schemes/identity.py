"""Deterministic weights: the identity, and Hadamard matrices where it would waste units."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from theta0.init.fans import centre, maps
from theta0.init.scheme import Scheme, require


@dataclass(kw_only=True)
class Identity(Scheme):
    """The identity matrix, or as much of it as the layer's shape allows; no draw at all.

    A square layer is I. One that shrinks keeps its first inputs, the partial identity. One that
    expands either fills up with units that are 0 (`expand="identity"`, as torch's `eye_` and
    `dirac_`), or is the corner [out, in] of a Hadamard matrix times a constant, as ZerO has it
    (Zhao et al. 2021, algorithms 1 and 2), where every unit sees every input:

        W = 2^(−(m−1)/2) · H_m[:out, :in],  H_m of size 2^m, m = ⌈log₂ out⌉.

    As H_m·H_mᵀ = 2^m·I, ‖Wx‖² = 2‖x‖² where out = 2^m: what a ReLU then halves. The authors' code
    divides by 2^(m/2) instead, so that ‖Wx‖ = ‖x‖. The kernel of a Conv is 0 but for its centre.

    The same for every seed. `Zeros` is another scheme.

    Args:
        expand: "hadamard" or "identity": what a layer with more outputs than inputs gets.
        bias, bias_value: see `Scheme`.
    """

    expand: Literal["hadamard", "identity"] = "identity"

    def __post_init__(self) -> None:
        super().__post_init__()
        require("expand", self.expand, ("hadamard", "identity"))

    @property
    def name(self) -> str:
        return "identity" if self.expand == "identity" else "identity, hadamard"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        matrices = centre(maps(weight.zero_(), layer))  # [groups, out, in]
        outputs, inputs = matrices.shape[1:]
        if outputs > inputs and self.expand == "hadamard":
            m = math.ceil(math.log2(outputs))
            matrices.copy_(2 ** (-(m - 1) / 2) * hadamard(m)[:outputs, :inputs])
        else:
            matrices.copy_(torch.eye(outputs, inputs, device="cpu"))
        return weight.double().std(correction=0).item()


def hadamard(m: int) -> Tensor:
    """Sylvester's H_m [2^m, 2^m]: H_0 = [1], H_m = [[H, H], [H, −H]] with H = H_(m−1)."""
    h = torch.ones(1, 1, device="cpu")
    for _ in range(m):
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)])
    return h
