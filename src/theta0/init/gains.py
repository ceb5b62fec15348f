"""The gain: the factor on a layer's weights that makes up for its activation."""

import copy
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from theta0.models.activations import activation as make_activation

Activation = str | Callable[[Tensor], Tensor] | nn.Module


def gain(rule: str | float, activation: Activation) -> float:
    """The gain that `rule` gives for `activation`.

    Args:
        rule: "forward": 1/√E[φ(z)²], z ~ N(0, 1), which keeps the second moment of the
            pre-activations at 1 from layer to layer (He et al. 2015, eq. 9, for any φ; √2 for
            ReLU). "torch": the table of `torch.nn.init.calculate_gain`, which differs (tanh 5/3,
            SELU 3/4, both found by experiment). A positive number is returned as it is.
        activation: a name in `ACTIVATIONS`, or φ itself, elementwise.

    Raises:
        ValueError: an unknown rule or activation name, a number that is not positive, an activation
            outside torch's table, or a φ whose E[φ²] is zero or not finite.
    """
    if isinstance(rule, str):
        if rule not in RULES:
            raise ValueError(f"gain={rule!r}: allowed are {', '.join(RULES)} or a number > 0")
        return RULES[rule](activation)
    if not (isinstance(rule, int | float) and math.isfinite(rule) and rule > 0):
        raise ValueError(f"gain={rule!r}: allowed are {', '.join(RULES)} or a number > 0")
    return float(rule)


def forward_gain(activation: Activation) -> float:
    """1/√E[φ(z)²], z ~ N(0, 1)."""
    phi = _function(activation)
    second_moment = gaussian_mean(lambda z: phi(z).square())
    if not (math.isfinite(second_moment) and second_moment > 0):
        raise ValueError(f"activation={activation!r}: E[φ(z)²] = {second_moment}, so no gain")
    return 1 / math.sqrt(second_moment)


def torch_gain(activation: Activation) -> float:
    """`torch.nn.init.calculate_gain`, for the activations that it knows."""
    slope = activation.negative_slope if isinstance(activation, nn.LeakyReLU) else None
    if isinstance(activation, nn.Module):
        name = TORCH_MODULES.get(type(activation), type(activation).__name__)
    elif not isinstance(activation, str):
        name = getattr(activation, "__name__", repr(activation))
    else:
        name = "linear" if activation == "identity" else activation
    if name not in TORCH_MODULES.values():
        allowed = ", ".join(TORCH_MODULES.values())
        raise ValueError(f"activation={name!r}: not in torch's table of gains, which has {allowed}")
    return float(nn.init.calculate_gain(name, slope))  # type: ignore[arg-type]


RULES: dict[str, Callable[[Activation], float]] = {"forward": forward_gain, "torch": torch_gain}

TORCH_MODULES: dict[type[nn.Module], str] = {
    nn.Identity: "linear",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.SELU: "selu",
}


def gaussian_mean(f: Callable[[Tensor], Tensor]) -> float:
    """E[f(z)], z ~ N(0, 1), for an elementwise f, in float64.

    Gauss–Legendre on panels of width 1/4: exact to rounding where f is smooth inside the panels,
    and kinks of activations lie on their edges (0, ±1, 3, 6). Gauss–Hermite, one rule over the
    whole line, is only good to about 1/nodes there.
    """
    z, weights = _gaussian_rule()
    with torch.no_grad():
        return float((f(z) * weights).sum())


@cache
def _gaussian_rule(limit: float = 12.0, width: float = 0.25) -> tuple[Tensor, Tensor]:
    """Nodes z and weights w, both [panels · 16], with Σ w f(z) ≈ E[f(z)]; mass beyond: 1e-32."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    centres = np.arange(-limit + width / 2, limit, width)
    z = (centres[:, None] + nodes * width / 2).ravel()
    w = np.tile(weights * width / 2, len(centres)) * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return torch.from_numpy(z), torch.from_numpy(w)


def _function(activation: Activation) -> Callable[[Tensor], Tensor]:
    if isinstance(activation, str):
        return make_activation("identity" if activation == "linear" else activation)
    if isinstance(activation, nn.Module):  # a copy: parameters (PReLU's slope) go to float64
        return copy.deepcopy(activation).to("cpu", torch.float64).eval()
    return activation
