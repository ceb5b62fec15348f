"""The two axes of mean-field theory."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from theta0.init.bias import Bias
from theta0.init.fans import fans
from theta0.init.scheme import TensorScheme, find_output


@dataclass(kw_only=True)
class MeanField(TensorScheme):
    """W ~ N(0, σ_w²/fan_in), b ~ N(0, σ_b²): the phase diagram (Poole 2016; Schoenholz 2017).

    In wide layers the second moment of the pre-activations follows q ← σ_w²·E[φ(√q·z)²] + σ_b²; at
    its fixed point, χ₁ = σ_w²·E[φ'(√q·z)²] parts order (< 1: inputs become alike, gradients vanish)
    from chaos (> 1). For ReLU the border is the point (2, 0), for tanh a line that starts at
    (1, 0). At σ_b = 0 it is σ_w² = gain² for the gain called critical.

    Args:
        weight_variance: σ_w² of the hidden layers, >= 0.
        bias_variance: σ_b² of all layers, >= 0.
        output_weight_variance: σ_w² of the output layer, >= 0. The theory is of the hidden layers;
            1 gives outputs as large as the last activations.
        output_layer: name of the output layer; None: the last Linear or Conv in module order.

    Raises:
        ValueError: a negative variance.
    """

    weight_variance: float = 2.0
    bias_variance: float = 0.0
    output_weight_variance: float = 1.0
    output_layer: str | None = None

    def __post_init__(self) -> None:
        for key in ("weight_variance", "bias_variance", "output_weight_variance"):
            if not (math.isfinite(value := getattr(self, key)) and value >= 0):
                raise ValueError(f"{key}={value}: must be a number >= 0")

    @property
    def name(self) -> str:
        return "mean field"

    def gains(self, network: nn.Module) -> Callable[[nn.Module], float]:
        output = find_output(network, self.output_layer)
        hidden, last = math.sqrt(self.weight_variance), math.sqrt(self.output_weight_variance)
        return lambda layer: last if layer is output else hidden

    def biases(self, network: nn.Module) -> Callable[[nn.Module], Bias]:
        return lambda layer: Bias("normal", math.sqrt(self.bias_variance))

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        std = gain / math.sqrt(fans(layer)[0])
        weight.normal_(0.0, std, generator=generator)
        return std
