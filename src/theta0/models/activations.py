"""Activations by name: the vocabulary that networks and initialisation gains share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Sin(nn.Module):
    """sin(x), elementwise (Sitzmann et al. 2020, with ω₀ = 1: the weights carry it)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,  # slope 0.01
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,  # exact: x·Φ(x)
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "sin": Sin,
    "identity": nn.Identity,
}


def activation(name: str) -> nn.Module:
    """A new module of the activation called `name`.

    Raises:
        ValueError: `name` is not a key of `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation={name!r}: allowed are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()
