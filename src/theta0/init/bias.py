"""The bias policy: what the bias of a weighted layer starts as."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

POLICIES = ("zeros", "torch", "constant", "normal")


@dataclass(frozen=True)
class Bias:
    """How a bias is filled.

    Args:
        policy: "zeros"; "torch": U(±1/√fan_in), as the constructors of `nn.Linear` and `nn.Conv`
            draw it, fan_in being torch's reading of the weight's shape; "constant": all `value`;
            "normal": N(0, value²).
        value: what the last two need; 0 for the others.
        scale: factor on what the policy gives.

    Raises:
        ValueError: an unknown policy, a value that it does not take, or a negative std.
    """

    policy: str
    value: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"bias={self.policy!r}: allowed are {', '.join(POLICIES)}")
        if self.value != 0 and self.policy in ("zeros", "torch"):
            raise ValueError(f"bias_value={self.value}: bias={self.policy} takes no value")
        if not (math.isfinite(self.value) and (self.value >= 0 or self.policy == "constant")):
            raise ValueError(f"bias_value={self.value}: must be a number, for a normal's std >= 0")

    def fill(self, bias: Tensor, layer: nn.Module, generator: torch.Generator) -> float:
        """Draw `bias`, the values of `layer.bias`, in place; return the std asked for."""
        std = 0.0
        match self.policy:
            case "torch":
                weight = layer.weight
                assert isinstance(weight, Tensor)
                bound = 1 / math.sqrt(max(1, math.prod(weight.shape[1:])))
                bias.uniform_(-bound, bound, generator=generator)
                std = bound / math.sqrt(3)
            case "normal":
                bias.normal_(0.0, self.value, generator=generator)
                std = self.value
            case _:
                bias.fill_(self.value)
        bias.mul_(self.scale)
        return abs(self.scale) * std
