"""SIREN: networks with sines for activations."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from theta0.init.bias import Bias
from theta0.init.fans import WEIGHTED, fans
from theta0.init.scheme import Scheme, find_output


@dataclass(kw_only=True)
class Siren(Scheme):
    """Sitzmann et al. 2020, section 3.2, for a network with sin as its activation.

    The paper's layer is sin(ω₀·(Wx + b)), ours sin(Wx + b): here ω₀ is folded into W and b. With
    n = fan_in, the paper's draws and what becomes of them:

    ============== ======================= =====================
    layer          paper                   here
    ============== ======================= =====================
    first weight   U(±1/n)                 U(±ω₀/n)
    hidden weight  U(±√(6/n)/ω₀)           U(±√(6/n))
    output weight  U(±√(6/n)/ω₀), no sine  U(±√(6/n)/ω₀)
    bias           torch's, U(±1/√n)       ω₀ times it; 1 time in the output layer
    ============== ======================= =====================

    The first layer then spans many periods of the sine, and every hidden Wx is about N(0, 1). The
    biases are those of the authors' code, which leaves them as `nn.Linear` draws them;
    the paper does not say. The function is the paper's, but not its training: a step on ω₀·W is ω₀
    times smaller in effect than the same step on W (Adam), or ω₀² times (SGD), so Adam's rate of
    1e-4 is 3e-3 here. The first layer is the first one with a weight, in module order.

    Args:
        omega_0: ω₀, > 0. The authors allow the first layer one of its own.
        output_layer: name of the output layer; None: the last Linear or Conv in module order.
        bias, bias_value: see `Scheme`; times ω₀ before a sine.
    """

    omega_0: float = 30.0
    output_layer: str | None = None
    bias: Literal["zeros", "torch", "constant", "normal"] = "torch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.omega_0) and self.omega_0 > 0):
            raise ValueError(f"omega_0={self.omega_0}: must be a number > 0")

    @property
    def name(self) -> str:
        return "siren"

    def gains(self, network: nn.Module) -> Callable[[nn.Module], float]:
        """std·√fan_in by the layer's place: √2 gives U(±√(6/n))."""
        output = find_output(network, self.output_layer)
        first = next((m for m in network.modules() if isinstance(m, WEIGHTED)), None)

        def rule(layer: nn.Module) -> float:
            if layer is output:
                return math.sqrt(2) / self.omega_0
            return self.omega_0 / math.sqrt(3 * fans(layer)[0]) if layer is first else math.sqrt(2)

        return rule

    def biases(self, network: nn.Module) -> Callable[[nn.Module], Bias]:
        output = find_output(network, self.output_layer)
        return lambda layer: Bias(
            self.bias, self.bias_value, scale=1.0 if layer is output else self.omega_0
        )

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        std = gain / math.sqrt(fans(layer)[0])
        bound = math.sqrt(3) * std
        weight.uniform_(-bound, bound, generator=generator)
        return std
