"""The same distribution for every layer, whatever its size."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from theta0.init.scheme import Scheme


@dataclass(kw_only=True)
class Normal(Scheme):
    """N(mean, std²), the same for every layer.

    Args:
        std: standard deviation, >= 0.
        mean: mean.
        bias, bias_value: see `Scheme`.
    """

    std: float = 0.01
    mean: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.std) and self.std >= 0):
            raise ValueError(f"std={self.std}: must be a number >= 0")

    @property
    def name(self) -> str:
        return "normal"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        weight.normal_(self.mean, self.std, generator=generator)
        return self.std


@dataclass(kw_only=True)
class Uniform(Scheme):
    """U(low, high), the same for every layer.

    Args:
        low, high: the bounds, low <= high.
        bias, bias_value: see `Scheme`.
    """

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.high - self.low) and self.low <= self.high):
            raise ValueError(f"low={self.low}, high={self.high}: low must not exceed high")

    @property
    def name(self) -> str:
        return "uniform"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        weight.uniform_(self.low, self.high, generator=generator)
        return (self.high - self.low) / math.sqrt(12)


@dataclass(kw_only=True)
class Zeros(Scheme):
    """All weights 0: the units of a layer stay equal, so this is the failure to compare with.

    Args:
        bias, bias_value: see `Scheme`.
    """

    @property
    def name(self) -> str:
        return "zeros"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        weight.zero_()
        return 0.0
