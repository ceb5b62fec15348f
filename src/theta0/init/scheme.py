"""The walk that every tensor scheme shares: which parameter is filled, in which order, with what.

A scheme says how one weight is drawn (`fill`); the rest stands here. Draws come from an explicit
CPU generator, in module order, on the CPU and in the parameter's dtype; then they are copied to the
parameter's device. So one seed gives one θ₀ on every device, whatever else consumed random numbers.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from theta0.init.fans import WEIGHTED, fans
from theta0.init.gains import gain as gain_of
from theta0.init.report import LayerReport, drawn_std

NORMALISATION = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""_NormBase: BatchNorm1d to 3d, SyncBatchNorm, InstanceNorm1d to 3d."""


@dataclass(kw_only=True)
class Scheme(ABC):
    """Base of the schemes that fill one weight at a time.

    Weighted layers (Linear, Conv, ConvTranspose, Embedding) get `fill`, their biases the policy;
    normalisation layers weight 1, bias 0 and fresh running statistics. A shared parameter is
    filled once, where it comes first. What no rule covers keeps the constructor's values.

    Args:
        bias: "zeros", or "torch": U(±1/√fan_in) as in `nn.Linear` and `nn.Conv`.
    """

    bias: Literal["zeros", "torch"] = "zeros"

    def __post_init__(self) -> None:
        require("bias", self.bias, ("zeros", "torch"))

    @property
    @abstractmethod
    def name(self) -> str:
        """The scheme in a word or two, for the report."""

    @abstractmethod
    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        """Draw `weight`, the values of `layer.weight`, in place; return the std asked for."""

    def gains(self, network: nn.Module) -> Callable[[nn.Module], float] | None:
        """The rule layer -> gain for this network; None for a scheme that has no gain."""
        return None

    @torch.no_grad()
    def __call__(self, network: nn.Module, generator: torch.Generator) -> list[LayerReport]:
        """Fill `network` in place; return one report a parameter, in module order.

        Raises:
            ValueError: the generator is not on the CPU, a parameter has no shape yet, or the
                output layer that was named does not exist.
        """
        if generator.device.type != "cpu":
            raise ValueError(f"init draws on the CPU, but the generator is on {generator.device}")
        for name, parameter in network.named_parameters():
            if is_lazy(parameter):
                raise ValueError(f"{name} has no shape yet: run a batch through the network first")

        gain_rule = self.gains(network)
        filled: dict[nn.Parameter, str] = {}
        reports = []
        for layer_name, layer in network.named_modules():
            if isinstance(layer, _NormBase):
                layer.reset_running_stats()
            for key, parameter in layer.named_parameters(recurse=False, remove_duplicate=False):
                is_weight = isinstance(layer, WEIGHTED) and key == "weight"
                gain, asked_std = None, None
                if parameter in filled:
                    scheme = f"tied to {filled[parameter]}"
                elif is_weight:
                    scheme = self.name
                    gain = gain_rule(layer) if gain_rule else None
                    asked_std = self._fill_weight(parameter, layer, gain or 0.0, generator)
                elif isinstance(layer, WEIGHTED) and key == "bias":
                    scheme = self.bias
                    asked_std = self._fill_bias(parameter, layer, generator)
                elif isinstance(layer, NORMALISATION) and key in ("weight", "bias"):
                    scheme = "ones" if key == "weight" else "zeros"
                    asked_std = 0.0
                    parameter.fill_(1.0 if key == "weight" else 0.0)
                else:
                    scheme = "kept"
                fan_in, fan_out = fans(layer) if is_weight else (None, None)
                report = LayerReport(
                    layer=layer_name,
                    parameter=key,
                    shape=tuple(parameter.shape),
                    fan_in=fan_in,
                    fan_out=fan_out,
                    scheme=scheme,
                    gain=gain,
                    asked_std=asked_std,
                    drawn_std=drawn_std(parameter),
                )
                filled.setdefault(parameter, report.name)
                reports.append(report)
        return reports

    def _fill_weight(
        self, parameter: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        values = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
        asked_std = self.fill(values, layer, gain, generator)
        if isinstance(layer, nn.Embedding) and layer.padding_idx is not None:
            values[layer.padding_idx] = 0
        parameter.copy_(values)
        return asked_std

    def _fill_bias(self, parameter: Tensor, layer: nn.Module, generator: torch.Generator) -> float:
        if self.bias == "zeros":
            parameter.zero_()
            return 0.0
        weight = layer.weight
        assert isinstance(weight, Tensor)
        bound = 1 / math.sqrt(max(1, math.prod(weight.shape[1:])))  # fan_in as torch reads it
        values = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
        parameter.copy_(values.uniform_(-bound, bound, generator=generator))
        return bound / math.sqrt(3)


@dataclass(kw_only=True)
class GainScheme(Scheme):
    """Base of the schemes whose weights are scaled by a gain.

    A hidden layer's gain makes up for the activation that follows it. No activation follows the
    output layer, which has a gain of its own, nor an Embedding, whose gain is 1.

    Args:
        gain: "forward", "torch" or a number > 0; see `theta0.init.gain`.
        output_gain: the output layer's, a number >= 0.
        activation: what follows the hidden layers: a name in `ACTIVATIONS`.
        output_layer: name of the output layer; None: the last Linear or Conv in module order.
        bias: see `Scheme`.

    Raises:
        ValueError: an unknown rule, activation or policy, or a gain that is out of range.
    """

    gain: str | float = 1.0
    output_gain: float = 1.0
    activation: str = "relu"
    output_layer: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        gain_of(self.gain, self.activation)
        if not (math.isfinite(self.output_gain) and self.output_gain >= 0):
            raise ValueError(f"output_gain={self.output_gain}: must be a number >= 0")

    def gains(self, network: nn.Module) -> Callable[[nn.Module], float]:
        hidden = gain_of(self.gain, self.activation)
        output = self._find_output(network)

        def rule(layer: nn.Module) -> float:
            if layer is output:
                return self.output_gain
            return 1.0 if isinstance(layer, nn.Embedding) else hidden

        return rule

    def _find_output(self, network: nn.Module) -> nn.Module | None:
        layers = {name: m for name, m in network.named_modules() if isinstance(m, WEIGHTED)}
        if self.output_layer is None:
            maps = [m for m in layers.values() if isinstance(m, nn.Linear | _ConvNd)]
            return maps[-1] if maps else None
        if self.output_layer not in layers:
            names = ", ".join(layers)
            raise ValueError(f"output_layer={self.output_layer!r}: the layers are {names}")
        return layers[self.output_layer]


def require(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError, one line, unless `value` is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{key}={value!r}: allowed are {', '.join(allowed)}")
