"""Residual branches, as networks are built of them and inits find them."""

import torch
from torch import Tensor, nn


class Residual(nn.Sequential):
    """x + f(x), f being the modules in sequence: one branch (He et al. 2016, eq. 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Scale(nn.Module):
    """α·x, one learned scalar for the whole tensor.

    Args:
        start: α before training.
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([start]))  # [1]: FSDP takes no 0-dimensional ones

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


class Shift(nn.Module):
    """x + b, one learned scalar for the whole tensor, 0 before training."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias
