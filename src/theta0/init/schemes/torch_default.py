"""torch's own initialisation, as a scheme with a name."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from theta0.init.scheme import Scheme


@dataclass(kw_only=True)
class TorchDefault(Scheme):
    """What torch's constructors do: U(±1/√fan_in) for weights and biases, N(0, 1) for Embedding.

    Its variance 1/(3·fan_in) is a sixth of He's; Glorot & Bengio 2010 call it the standard
    heuristic (eq. 1). For Linear and Conv it is `kaiming_uniform_(a=√5)`, which is not He's scheme.
    Here and in the biases fan_in is torch's reading, which for ConvTranspose is the true fan_out.

    Args:
        bias, bias_value: see `Scheme`.
    """

    bias: Literal["zeros", "torch", "constant", "normal"] = "torch"

    @property
    def name(self) -> str:
        return "torch default"

    def fill(
        self, weight: Tensor, layer: nn.Module, gain: float, generator: torch.Generator
    ) -> float:
        if isinstance(layer, nn.Embedding):
            weight.normal_(generator=generator)
            return 1.0
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        return 1 / math.sqrt(3 * max(1, math.prod(weight.shape[1:])))
