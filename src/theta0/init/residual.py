"""Inits of residual networks: a sum of many branches that starts tame."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from theta0.init.fans import WEIGHTED
from theta0.init.report import LayerReport
from theta0.init.scheme import TensorScheme, require_no_needs
from theta0.init.schemes import VarianceScaling
from theta0.models import Residual, Scale, Shift


@dataclass(kw_only=True)
class Fixup(VarianceScaling):
    """He's scheme, made for a network of L residual branches (Zhang et al. 2019, section 3).

    1. The output layer and the last layer of each branch are 0.
    2. The other layers of a branch are He's times L^(−1/(2m−2)), m being the number of its layers.
    3. The scalar biases are 0, the scalar multiplier at the end of a branch 1.

    What is outside the branches is He's. So a step of SGD changes the output by as much as at any
    other depth, where under He alone the change grows exponentially with L. A branch is a
    `theta0.models.Residual`; the scalars are its `Shift` and `Scale`, if it has them.

    Args:
        output_gain: the output layer's: 0, as the paper has it.
        scale, fan, distribution, gain, activation, output_layer, bias, bias_value: see
            `VarianceScaling`.
    """

    gain: str | float = "forward"
    output_gain: float = 0.0

    @property
    def name(self) -> str:
        return "fixup"

    def gains(self, network: nn.Module) -> Callable[[nn.Module], float]:
        """He's gain, times 0 or L^(−1/(2m−2)) in a branch.

        Raises:
            ValueError: the network has no branch with a weight in it.
        """
        branches = [layers for branch in _branches(network) if (layers := _weighted(branch))]
        if not branches:
            raise ValueError(
                "Fixup: the network has no residual branch (theta0.models.Residual):"
                " use model=fixup_mlp, model=residual_mlp or model.residual=true"
            )
        factors: dict[nn.Module, float] = {}
        for *inner, last in branches:  # m − 1 inner ones
            factors[last] = 0.0
            for layer in inner:
                factors[layer] = len(branches) ** (-1 / (2 * len(inner)))
        he = super().gains(network)
        return lambda layer: factors.get(layer, 1.0) * he(layer)

    def __call__(self, network: nn.Module, generator: torch.Generator) -> list[LayerReport]:
        reports = super().__call__(network, generator)
        return _set_scalars(network, reports, scale=1.0, scheme=self.name)


@dataclass(kw_only=True)
class ReZero:
    """x + α·f(x) with α = 0: any network starts as the identity between its first and last map.

    Bachlechner et al. 2020; SkipInit (De & Smith 2020) is the same for a branch that was
    made for batch normalisation, and names α = 1/√L, L branches, as the other choice. At α = 0 no
    weight inside a branch has a gradient: α moves first.

    Args:
        base: the scheme that draws the weights. It may not ask for data or set learning rates.
        alpha: the `Scale` of every branch.
        strict: see `TensorScheme`; also where `base` is.
    """

    base: TensorScheme = field(default_factory=lambda: VarianceScaling(gain="forward"))
    alpha: float = 0.0
    strict: bool = False

    def __post_init__(self) -> None:
        require_no_needs("base", self.base)
        self.strict = self.strict or self.base.strict

    def __call__(self, network: nn.Module, generator: torch.Generator) -> list[LayerReport]:
        """Fill `network` in place; return one report a parameter, in module order.

        Raises:
            ValueError: the network has no branch, or a branch without a scale.
        """
        branches = _branches(network)
        if not branches or not all(_has_scale(branch) for branch in branches):
            raise ValueError(
                "ReZero: the network needs branches x + α·f(x), that is theta0.models.Residual with"
                " a Scale: use model=rezero_mlp"
            )
        reports = self.base(network, generator)
        return _set_scalars(network, reports, scale=self.alpha, scheme="rezero")


def _branches(network: nn.Module) -> list[Residual]:
    return [module for module in network.modules() if isinstance(module, Residual)]


def _weighted(branch: Residual) -> list[nn.Module]:
    return [module for module in branch.modules() if isinstance(module, WEIGHTED)]


def _has_scale(branch: Residual) -> bool:
    return any(isinstance(module, Scale) for module in branch.modules())


@torch.no_grad()
def _set_scalars(
    network: nn.Module, reports: list[LayerReport], *, scale: float, scheme: str
) -> list[LayerReport]:
    """Every `Scale` becomes `scale` and every `Shift` 0; the reports with their rows told anew."""
    scalars = set()
    for name, module in network.named_modules():
        if isinstance(module, Scale):
            module.scale.fill_(scale)
            scalars.add(name)
        elif isinstance(module, Shift):
            module.bias.zero_()
            scalars.add(name)
    return [
        replace(report, scheme=scheme, asked_std=0.0, drawn_std=0.0)
        if report.layer in scalars
        else report
        for report in reports
    ]
