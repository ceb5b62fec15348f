"""μP's coordinate check: does the size of activations depend on the width?"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from theta0.diagnostics.statistics import Loss
from theta0.diagnostics.trace import traced
from theta0.diagnostics.undisturbed import undisturbed


@dataclass(frozen=True, kw_only=True)
class Coordinate:
    """The size of one layer's activations against the width, after so many steps.

    Attributes:
        layer: its name.
        step: optimizer steps taken.
        widths: the networks' widths.
        sizes: mean |a| over units and rows, at each width.
    """

    layer: str
    step: int
    widths: tuple[int, ...]
    sizes: tuple[float, ...]

    @property
    def slope(self) -> float:
        """d log size / d log width, by least squares; 0 where all sizes are 0, and nan where only
        some are, or one is not finite."""
        if not any(self.sizes):
            return 0.0
        if not all(math.isfinite(size) and size > 0 for size in self.sizes):
            return math.nan
        return float(np.polyfit(np.log(self.widths), np.log(self.sizes), 1)[0])


def coordinate_check(
    build: Callable[[int], tuple[nn.Module, Loss, Optimizer]],
    widths: Sequence[int],
    batches: Sequence[tuple[Tensor, Tensor]],
    x: Tensor,
) -> list[Coordinate]:
    """Train networks of several widths for a few steps, and follow the size of their activations.

    Under μP every activation keeps its size as the width grows, at θ₀ and after any number of
    steps: a slope near 0 (Yang et al. 2022, "Tensor Programs V", appendix D.1). Under the standard
    parametrisation some grow once training has begun. Under μP the output has a slope of -1/2 at
    θ₀, which takes some steps to fade, unless its weights start at 0.

    Args:
        build: width -> the network at θ₀, its loss and its optimizer.
        widths: at least two.
        batches: (x, y), one a step.
        x: the inputs at which activations are looked at.

    Returns:
        One `Coordinate` a step, from 0 on, and layer.
    """
    sizes: dict[tuple[int, str], list[float]] = {}
    for width in widths:
        network, loss, optimizer = build(width)
        _note(sizes, 0, network, x)
        for step, batch in enumerate(batches, start=1):
            _step(network, optimizer, loss, *batch)
            _note(sizes, step, network, x)
    return [
        Coordinate(layer=layer, step=step, widths=tuple(widths), sizes=tuple(values))
        for (step, layer), values in sizes.items()
    ]


def _note(
    sizes: dict[tuple[int, str], list[float]], step: int, network: nn.Module, x: Tensor
) -> None:
    with undisturbed(network), torch.no_grad(), traced(network) as layers:
        network(x)
        for layer in layers:
            size = layer.activation.abs().mean().item()
            sizes.setdefault((step, layer.name), []).append(size)


def _step(network: nn.Module, optimizer: Optimizer, loss: Loss, x: Tensor, y: Tensor) -> None:
    def closure() -> float:
        with torch.enable_grad():
            optimizer.zero_grad()
            value = loss(network(x), y, x)
            value.backward()
        return value.item()

    optimizer.step(closure)
