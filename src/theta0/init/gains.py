"""The gain: the factor on a layer's weights that makes up for its activation."""

import copy
import math
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from theta0.models.activations import activation as make_activation

Activation = str | Callable[[Tensor], Tensor] | nn.Module


def gain(rule: str | float, activation: Activation) -> float:
    """The gain that `rule` gives for `activation`.

    The rules answer different questions, and agree only where φ(cz) = cφ(z) for c > 0 (identity,
    ReLU, leaky ReLU); elsewhere a gain is right for one size of the pre-activations.

    Args:
        rule: "forward": 1/√E[φ(z)²], z ~ N(0, 1), which keeps the second moment of the
            pre-activations at 1 from layer to layer (He et al. 2015, eq. 9, for any φ; √2 for
            ReLU). "backward": 1/√E[φ'(z)²], which keeps the gradient's, as long as theirs is 1
            (eq. 13). "critical": see `critical_gain`. "torch": the table of
            `torch.nn.init.calculate_gain`, which differs (tanh 5/3, SELU 3/4, both found by
            experiment). A positive number is returned as it is.
        activation: a name in `ACTIVATIONS`, or φ itself, elementwise.

    Raises:
        ValueError: an unknown rule or activation name, a number that is not positive, an activation
            outside torch's table, a φ whose E[φ²] or E[φ'²] is zero or not finite or which autograd
            cannot derive, or one without a critical gain.
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
    return _inverse_root("E[φ(z)²]", gaussian_mean(lambda z: phi(z).square()), activation)


def backward_gain(activation: Activation) -> float:
    """1/√E[φ'(z)²], z ~ N(0, 1), with φ' by autograd."""
    slope = _derivative(activation)
    return _inverse_root("E[φ'(z)²]", gaussian_mean(lambda z: slope(z).square()), activation)


def critical_gain(activation: Activation) -> float:
    """The edge of chaos of a deep network without biases: the σ_w at which χ₁ = 1.

    The second moment q of the pre-activations follows the length map q ← σ_w²·V(q), with V(q) =
    E[φ(√q·z)²]. At its fixed point q* the gradient's variance, and the squared distance of two
    nearby inputs, grow by χ₁ = σ_w²·E[φ'(√q*·z)²] a layer (Poole et al. 2016; Schoenholz et al.
    2017): below 1 inputs become alike and gradients vanish, above 1 both explode.

    q* is the stable fixed point that the map reaches from q = 1. For a φ that is scale-free any q
    is one, and the three gains are equal. Where φ(0) = 0 and V(q)/q falls, as for tanh, q* → 0 and
    the gain is 1/φ'(0). Where φ(0) ≠ 0, q* can be a number of its own (sigmoid).

    Raises:
        ValueError: there is none. GELU, SiLU and Mish: V(q)/q grows, so no q* > 0 is stable, and q
            no longer falls to 0 before χ₁ is 1 there. Softplus: χ₁ < 1 wherever there is a q*.
    """
    phi, slope = _function(activation), _derivative(activation)

    def stretch(q: float) -> float:
        return gaussian_mean(lambda z: slope(z).square(), q)

    @cache
    def variance(q: float) -> float:
        """The σ_w² of which q is a fixed point."""
        length = gaussian_mean(lambda z: phi(z).square(), q)
        return q / length if length > 0 else math.inf

    @cache
    def excess(q: float) -> float:
        """χ₁ − 1 at the fixed point q."""
        return variance(q) * stretch(q) - 1

    def is_reached(fixed: float) -> bool:
        """Seen from 1 no other fixed point stands before it, and it attracts from both sides."""
        between = [q for q in grid if min(1, fixed) <= q <= max(1, fixed)]
        return all(
            (variance(q) - variance(fixed)) * (q - fixed) > 0
            for q in [0.99 * fixed, *between, 1.01 * fixed]
        )

    grid = [10 ** (k / 8) for k in range(-48, 25)]  # q from 1e-6 to 1e3
    at_zero = 1 / max(stretch(1e-24), 1e-300)
    if math.isclose(variance(grid[0]), at_zero, rel_tol=0.05) and all(
        variance(q) >= at_zero * (1 - 1e-9) for q in grid if q <= 1
    ):
        return math.sqrt(at_zero)
    for low, high in pairwise(grid):
        if excess(low) * excess(high) < 0 and is_reached(fixed := _root(excess, low, high)):
            return math.sqrt(variance(fixed))
    raise ValueError(
        f"activation={_label(activation)}: no critical gain: without biases, no stable"
        " fixed point of the length map has χ₁ = 1; use forward, backward or a number"
    )


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


RULES: dict[str, Callable[[Activation], float]] = {
    "forward": forward_gain,
    "backward": backward_gain,
    "critical": critical_gain,
    "torch": torch_gain,
}

TORCH_MODULES: dict[type[nn.Module], str] = {
    nn.Identity: "linear",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.SELU: "selu",
}


def gaussian_mean(f: Callable[[Tensor], Tensor], variance: float = 1.0) -> float:
    """E[f(z)], z ~ N(0, variance), for an elementwise f, in float64.

    Gauss–Legendre on panels of width 1/4 (less where the variance is below 1): exact to rounding
    where f is smooth inside the panels, and kinks of activations lie on their edges (0, ±1, 3, 6).
    Gauss–Hermite, one rule over the whole line, is only good to about 1/nodes there.
    """
    z, weights = _gaussian_rule(variance)
    with torch.no_grad():
        return float((f(z.clone()) * weights).sum())  # a clone: f may work in place


@lru_cache(maxsize=128)
def _gaussian_rule(variance: float) -> tuple[Tensor, Tensor]:
    """Nodes z and weights w, both [panels · 16], with Σ w f(z) ≈ E[f(z)]; mass beyond: 1e-32."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    std = math.sqrt(variance)
    width = 0.25 * min(1.0, std)
    panels = math.ceil(12 * std / width)  # on either side of 0
    centres = (np.arange(-panels, panels) + 0.5) * width
    z = (centres[:, None] + nodes * width / 2).ravel()
    density = np.exp(-z * z / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    return torch.from_numpy(z), torch.from_numpy(np.tile(weights * width / 2, 2 * panels) * density)


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Where f > 0 changes its sign, by bisection of the logarithm."""
    sign = f(low)
    for _ in range(50):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if f(middle) * sign > 0 else (low, middle)
    return middle


def _inverse_root(what: str, moment: float, activation: Activation) -> float:
    if not (math.isfinite(moment) and moment > 0):
        raise ValueError(f"activation={_label(activation)}: {what} = {moment}, so no gain")
    return 1 / math.sqrt(moment)


def _derivative(activation: Activation) -> Callable[[Tensor], Tensor]:
    phi = _function(activation)

    def slope(z: Tensor) -> Tensor:
        with torch.enable_grad():
            z = z.requires_grad_()
            value = phi(1.0 * z)  # no leaf, so φ may work in place
            if not value.requires_grad:
                raise ValueError(
                    f"activation={_label(activation)}: autograd has no derivative of it"
                )
            return torch.autograd.grad(value.sum(), z)[0]

    return slope


def _label(activation: Activation) -> str:
    if isinstance(activation, nn.Module):
        return type(activation).__name__
    return activation if isinstance(activation, str) else getattr(activation, "__name__", "...")


def _function(activation: Activation) -> Callable[[Tensor], Tensor]:
    if isinstance(activation, str):
        return make_activation("identity" if activation == "linear" else activation)
    if isinstance(activation, nn.Module):  # a copy: parameters (PReLU's slope) go to float64
        return copy.deepcopy(activation).to("cpu", torch.float64).eval()
    return activation
