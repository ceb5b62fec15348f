"""Layer-sequential unit variance: the data say how large the weights must be."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from theta0.init.data_dependent import DataDependent
from theta0.init.report import LayerReport
from theta0.init.schemes import Orthogonal


@dataclass(kw_only=True)
class LSUV(DataDependent):
    """Orthonormal weights, each layer's divided by the std of its output (Mishkin & Matas 2016).

    Algorithm 1: until |Var(z) − 1| < tol, W ← W/√Var(z), z being all outputs of the layer on the
    batch, before its activation. Every layer is treated so, the last one included; biases are 0.
    No gain has to be known for the activation: the factor found stands as `gain` in the report.
    Only the forward signal is kept so: in a deep network of sines the variance of the gradient
    still grows by 1.31 a layer.

    The paper runs the network anew for every measurement; here it runs once, see `DataDependent`.
    Some implementations subtract the mean of the outputs too, which the paper does not.

    Args:
        tol: how far a layer's variance may stay from 1, > 0.
        max_iterations: divisions a layer may need. A layer that is linear in its weight needs one.
        samples: see `DataDependent`.

    Raises:
        ValueError: an argument out of range.
    """

    tol: float = 0.1
    max_iterations: int = 10

    adjusts: ClassVar[tuple[str, ...]] = ("weight",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.tol) and self.tol > 0):
            raise ValueError(f"tol={self.tol}: must be a number > 0")
        if self.max_iterations < 1:
            raise ValueError(f"max_iterations={self.max_iterations}: must be at least 1")

    @property
    def name(self) -> str:
        return "lsuv"

    def draw(self, network: nn.Module, generator: torch.Generator) -> list[LayerReport]:
        return Orthogonal(gain=1.0)(network, generator)

    def adjust(self, name: str, layer: Any, forward: Callable[[], Tensor]) -> float:
        gain = 1.0
        for _ in range(self.max_iterations + 1):
            variance = forward().double().var(correction=0).item()
            if not (math.isfinite(variance) and variance > 0):
                raise ValueError(
                    f"LSUV: the output of {name} has variance {variance:g} on the batch"
                )
            if abs(variance - 1) < self.tol:
                return gain
            _multiply(layer, 1 / math.sqrt(variance))
            gain /= math.sqrt(variance)
        raise ValueError(
            f"LSUV: the output of {name} still has variance {variance:.4g} after"
            f" {self.max_iterations} divisions: it does not scale with the weight"
        )


def _multiply(layer: Any, factor: float) -> None:
    if is_parametrized(layer, "weight"):
        layer.weight = layer.weight * factor
    else:
        layer.weight.mul_(factor)
