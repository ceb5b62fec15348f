"""The data-dependent initialisation that belongs to weight normalisation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.parametrize import is_parametrized

from theta0.init.data_dependent import DataDependent
from theta0.init.fans import WEIGHTED
from theta0.init.report import LayerReport
from theta0.init.schemes import Normal


@dataclass(kw_only=True)
class WeightNorm(DataDependent):
    """v ~ N(0, std²); g and b such that each unit gives mean 0 and variance 1 on a batch.

    Salimans & Kingma 2016, eq. 5 and 6: with t = g·v·x/‖v‖ + b before the activation, on that batch
    g ← g/σ[t] and b ← (b − μ[t])/σ[t], layer by layer, the output layer included; mean and variance
    run over the rows, of a convolution over the positions too. What batch normalisation does in
    every step is so done once.

    Args:
        std: of the entries of v, > 0. It leaves the function as it is, but a longer v turns more
            slowly.
        samples: see `DataDependent`.

    Raises:
        ValueError: an argument out of range.
    """

    std: float = 0.05

    adjusts: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.std) and self.std > 0):
            raise ValueError(f"std={self.std}: must be a number > 0")

    @property
    def name(self) -> str:
        return "weight norm"

    def draw(self, network: nn.Module, generator: torch.Generator) -> list[LayerReport]:
        """See `DataDependent`.

        Raises:
            ValueError: a layer is not weight-normed unit by unit, or has no bias.
        """
        for name, layer in network.named_modules():
            sound = _is_weight_normed(layer) and layer.bias is not None
            if isinstance(layer, WEIGHTED) and not sound:
                raise ValueError(
                    f"WeightNorm: {name} is not a weight-normed layer with a bias:"
                    " use model=weight_norm_mlp or model.norm=weight"
                )
        return Normal(std=self.std)(network, generator)

    def adjust(self, name: str, layer: Any, forward: Callable[[], Tensor]) -> None:
        t = forward()
        units = t if isinstance(layer, nn.Linear) else t.movedim(1, -1)
        units = units.flatten(0, -2).double()  # [N, units]
        mean, std = units.mean(0), units.std(0, correction=0)
        noise = torch.finfo(t.dtype).eps * units.abs().amax(0)
        if constant := int((~(std > 8 * noise)).sum()):
            raise ValueError(
                f"WeightNorm: {constant} of {len(std)} units of {name} are constant, or not finite,"
                " on the batch"
            )
        g, bias = layer.parametrizations.weight.original0, layer.bias
        g.div_(std.to(g).view_as(g))
        bias.copy_((bias.double() - mean) / std)


def _is_weight_normed(layer: nn.Module) -> bool:
    """Whether every output unit has a g of its own (ConvTranspose has inputs in dimension 0)."""
    if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return False
    if not is_parametrized(layer, "weight"):
        return False
    parametrization = layer.get_submodule("parametrizations.weight.0")
    return isinstance(parametrization, _WeightNorm) and parametrization.dim == 0
