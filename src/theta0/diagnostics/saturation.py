"""Where an activation is flat: φ′, and which φ saturate."""

import functools

import torch
from torch import Tensor, nn

from theta0.models.activations import ACTIVATIONS

ELEMENTWISE: tuple[type[nn.Module], ...] = (
    *{type(make()) for name, make in ACTIVATIONS.items() if name != "identity"},
    nn.CELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LogSigmoid,
    nn.Softshrink, nn.Tanhshrink, nn.Threshold,
)  # fmt: skip
"""Modules φ that map each number by itself, without weights and the same way each time."""

FLAT = 0.05
"""Saturated is where |φ′| is below this share of its maximum: |z| > 2.18 for tanh, 4.36 for the
sigmoid, 3.47 for softsign. A unit there learns twenty times slower than one in the middle."""


def slope(phi: nn.Module, z: Tensor) -> Tensor:
    """φ′(z), of the shape of z. No hook of `phi` is run, and `z` stays as it is."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        value = phi.forward(leaf.clone())  # the clone may be overwritten, as by ReLU(inplace=True)
        return torch.autograd.grad(value.sum(), leaf)[0]


def saturated(phi: nn.Module, slopes: Tensor) -> Tensor | None:
    """The share of `slopes` = φ′(z) at which φ is flat; None for a φ that does not saturate."""
    steepest = _steepest(phi)
    return None if steepest is None else (slopes.abs() < FLAT * steepest).float().mean()


@functools.lru_cache(maxsize=256)
def _steepest(phi: nn.Module) -> float | None:
    """max |φ′| where φ is flat at both ends, as tanh is; None for rectifiers and the identity.

    A rectifier is flat at one end by design: what goes wrong there are dead units.
    """
    steepest = slope(phi, torch.linspace(-10, 10, 2001)).abs().max().item()
    far = torch.linspace(20, 40, 201)
    ends = slope(phi, torch.cat([-far, far])).abs().max().item()
    return steepest if ends < FLAT * steepest else None
