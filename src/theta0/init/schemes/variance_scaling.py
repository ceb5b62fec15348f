"""Variance scaling: Xavier, He, LeCun and what lies between them."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from theta0.init.fans import fans
from theta0.init.scheme import GainScheme, require
from theta0.init.schemes.truncated_normal import fill_truncated, truncated_std

FANS = ("in", "out", "avg", "geo")
DISTRIBUTIONS = ("normal", "truncated_normal", "uniform")


@dataclass(kw_only=True)
class VarianceScaling(GainScheme):
    """Independent entries with mean 0 and variance scale·gain²/fan: Xavier, He and LeCun.

    ============== ====== ============ ========= ==========================================
    name           fan    distribution gain      source
    ============== ====== ============ ========= ==========================================
    LeCun          in     normal       1         LeCun et al. 1998, eq. 16
    Xavier, Glorot avg    uniform      1         Glorot & Bengio 2010, eq. 16
    He, Kaiming    in     normal       forward   He et al. 2015, eq. 10
    ============== ====== ============ ========= ==========================================

    Keras and JAX know no gain: their `scale` is 2 for He, in the output layer too.

    Args:
        scale: factor on the variance of every layer, > 0.
        fan: "in" keeps the forward signal, "out" the gradient; "avg" is (fan_in + fan_out)/2, "geo"
            √(fan_in·fan_out).
        distribution: "normal", N(0, std²); "truncated_normal", a normal cut at two of its own
            standard deviations and wide enough to have this std after the cut (as Keras and JAX
            do it: std/0.8796 before); "uniform", U(±√3·std).
        gain, output_gain, activation, output_layer, bias, bias_value: see `GainScheme`.
    """

    scale: float = 1.0
    fan: Literal["in", "out", "avg", "geo"] = "in"
    distribution: Literal["normal", "truncated_normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale={self.scale}: must be a number > 0")
        require("fan", self.fan, FANS)
        require("distribution", self.distribution, DISTRIBUTIONS)

    @property
    def name(self) -> str:
        return f"{self.distribution.replace('_', ' ')} fan-{self.fan}"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        fan_in, fan_out = fans(layer)
        fan = {
            "in": fan_in,
            "out": fan_out,
            "avg": (fan_in + fan_out) / 2,
            "geo": math.sqrt(fan_in * fan_out),
        }[self.fan]
        std = math.sqrt(self.scale) * gain / math.sqrt(fan or 1)
        match self.distribution:
            case "normal":
                weight.normal_(0.0, std, generator=generator)
            case "truncated_normal":
                parent = std / truncated_std(-2, 2)
                fill_truncated(weight, 0.0, parent, -2, 2, generator)
            case "uniform":
                bound = math.sqrt(3) * std
                weight.uniform_(-bound, bound, generator=generator)
        return std
