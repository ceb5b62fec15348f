"""The gains' numbers, by rule, against closed forms and against Gauss–Hermite quadrature."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.special import roots_hermitenorm
from torch import nn

from theta0.init import MeanField, gain
from theta0.init.gains import gaussian_mean
from theta0.models import ACTIVATIONS, activation

# E[φ], 1/√E[φ²], 1/sd(φ), 1/√E[φ'²] for z ~ N(0, 1), and torch's table.
TABLE = {
    "identity": (0, 1, 1, 1, 1),
    "relu": (0.3989, 1.4142, 1.7129, 1.4142, 1.4142),
    "leaky_relu": (0.3950, 1.4141, 1.7048, 1.4141, 1.4141),
    "leaky_relu_0.2": (0.3192, 1.3868, 1.5465, 1.3868, 1.3868),
    "tanh": (0, 1.5925, 1.5925, 1.4674, 1.6667),
    "sigmoid": (0.5, 1.8462, 4.8013, 4.7226, 1),
    "softsign": (0, 2.3375, 2.3375, 2.0958, None),
    "softplus": (0.8061, 1.0419, 1.9191, 1.8462, None),
    "elu": (0.1605, 1.2452, 1.2708, 1.2234, None),
    "selu": (0, 1, 1, 0.9660, 0.75),
    "gelu": (0.2821, 1.5335, 1.7009, 1.4811, None),
    "silu": (0.2066, 1.6765, 1.7872, 1.6233, None),
    "mish": (0.2404, 1.4868, 1.5920, 1.4448, None),
    "sin": (0, 1.5209, 1.5209, 1.3273, None),
}
SELU = 2 / (1.0507009873554805**2 * (1 + 1.6732632423543772**2))
CRITICAL = {
    "identity": 1,
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / 1.0001),
    "tanh": 1,
    "sigmoid": 10.1493,
    "softsign": 1,
    "elu": 1,
    "selu": math.sqrt(SELU),
    "sin": 1,
}
WITHOUT_CRITICAL = ["gelu", "silu", "mish", "softplus"]


def phi(name):
    return nn.LeakyReLU(0.2) if name == "leaky_relu_0.2" else activation(name)


Z, WEIGHTS = map(torch.from_numpy, roots_hermitenorm(10000))
Z, WEIGHTS = Z[WEIGHTS > 0], WEIGHTS[WEIGHTS > 0]


def hermite(f, variance=1.0):
    """E[f(z)], z ~ N(0, variance), by one Gauss–Hermite rule of 10000 nodes."""
    return float(f(Z * math.sqrt(variance)) @ WEIGHTS) / math.sqrt(2 * math.pi)


def slope(f, h=1e-5):
    return lambda z: (f(z + h) - f(z - h)) / (2 * h)


def test_the_table_and_the_critical_gains_cover_every_activation():
    assert TABLE.keys() - {"leaky_relu_0.2"} == ACTIVATIONS.keys()
    assert {*CRITICAL, *WITHOUT_CRITICAL} == ACTIVATIONS.keys()


@pytest.mark.parametrize("name", TABLE)
def test_table(name):
    mean, forward, standardised, backward, torchs = TABLE[name]
    f = phi(name)
    assert gaussian_mean(f) == pytest.approx(mean, abs=1e-3)
    assert gain("forward", f) == pytest.approx(forward, abs=1e-4)
    variance = gaussian_mean(lambda z: f(z).square()) - gaussian_mean(f) ** 2
    assert variance**-0.5 == pytest.approx(standardised, abs=1e-4)
    assert gain("backward", f) == pytest.approx(backward, abs=1e-4)
    if torchs is not None:
        assert gain("torch", f) == pytest.approx(torchs, abs=1e-4)
    for rule in ("forward", "backward") + (("torch",) if torchs else ()):
        assert name == "leaky_relu_0.2" or gain(rule, name) == gain(rule, f)


@pytest.mark.parametrize("name", TABLE)
def test_gauss_hermite_agrees(name):
    f = phi(name)
    assert gain("forward", f) == pytest.approx(hermite(lambda z: f(z) ** 2) ** -0.5, abs=1e-3)
    assert gain("backward", f) == pytest.approx(
        hermite(lambda z: slope(f)(z) ** 2) ** -0.5, abs=1e-3
    )


def test_exact_where_a_closed_form_exists():
    assert gain("forward", "relu") == pytest.approx(math.sqrt(2), rel=1e-12)
    assert gain("backward", "relu") == pytest.approx(math.sqrt(2), rel=1e-12)
    assert gain("forward", nn.LeakyReLU(0.2)) == pytest.approx(math.sqrt(2 / 1.04), rel=1e-12)
    sin, cos = (0.5 - 0.5 * math.exp(-2)) ** -0.5, (0.5 + 0.5 * math.exp(-2)) ** -0.5
    assert gain("forward", torch.sin) == pytest.approx(sin, rel=1e-12)
    assert gain("backward", torch.sin) == pytest.approx(cos, rel=1e-12)
    # E[clip(z, -1, 1)²]: kinks away from 0
    inside = math.erf(math.sqrt(0.5)) - math.sqrt(2 / math.pi) * math.exp(-0.5)
    outside = 1 - math.erf(math.sqrt(0.5))
    assert gain("forward", F.hardtanh) == pytest.approx((inside + outside) ** -0.5, rel=1e-12)
    assert gain("backward", F.hardtanh) == pytest.approx((1 - outside) ** -0.5, rel=1e-12)
    # E[z⁴] at another variance
    assert gaussian_mean(lambda z: z**4, 7.0) == pytest.approx(3 * 49, rel=1e-12)
    assert gaussian_mean(lambda z: z**4, 0.01) == pytest.approx(3e-4, rel=1e-12)


class Quadratic(nn.Module):
    """A module of one's own: z + a·z² with a parameter."""

    def __init__(self, a):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, z):
        return z + self.a * z**2


def test_a_module_of_ones_own():
    assert gain("forward", Quadratic(0.5)) == pytest.approx((1 + 3 * 0.25) ** -0.5)
    assert gain("backward", Quadratic(0.5)) == pytest.approx((1 + 4 * 0.25) ** -0.5)


def test_a_module_is_left_as_it_was():
    module = nn.PReLU(init=0.2)
    assert gain("forward", module) == pytest.approx(math.sqrt(2 / 1.04), rel=1e-6)
    assert gain("backward", module) == pytest.approx(math.sqrt(2 / 1.04), rel=1e-6)
    assert module.weight.dtype == torch.float32
    assert module.weight.grad is None


@pytest.mark.parametrize("rule", ["forward", "backward", "critical"])
def test_an_activation_may_work_in_place(rule):
    assert gain(rule, nn.ReLU(inplace=True)) == gain(rule, "relu")
    assert gaussian_mean(lambda z: z.square()) == pytest.approx(1, rel=1e-12)


# ----------------------------------------------------------------------------------------- critical


@pytest.mark.parametrize("name", CRITICAL)
def test_critical(name):
    assert gain("critical", name) == pytest.approx(CRITICAL[name], rel=1e-5)


@pytest.mark.parametrize("f", [nn.Identity(), nn.ReLU(), nn.LeakyReLU(0.2), torch.abs])
def test_scale_free_activations_have_one_gain(f):
    gains = [gain(rule, f) for rule in ("forward", "backward", "critical")]
    assert gains == pytest.approx([gains[0]] * 3, rel=1e-9)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (F.hardtanh, 1.0),
        (nn.ReLU6(), math.sqrt(2)),
        (lambda z: torch.sigmoid(z) - 0.5, 4.0),
        (lambda z: torch.tanh(3 * z), 1 / 3),
        # V(q) = (1 + e^(−2q))/2 and E[φ'²] = (1 − e^(−2q))/2: χ₁ = q·tanh q = 1, σ_w² = q + 1
        (torch.cos, math.sqrt(2.1996786402577)),
    ],
)
def test_critical_in_closed_form(f, expected):
    assert gain("critical", f) == pytest.approx(expected, rel=1e-9)


def fixed_point(f, weight_variance, bias_variance=0.0):
    """q* and χ₁ of the length map that starts at 1, by Gauss–Hermite."""
    q = 1.0
    for _ in range(100):
        q = weight_variance * hermite(lambda z: f(z) ** 2, q) + bias_variance
    return q, weight_variance * hermite(lambda z: slope(f)(z) ** 2, q)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "elu"])
def test_below_the_critical_gain_is_order_above_it_chaos(name):
    f, critical = activation(name), gain("critical", name)
    _, ordered = fixed_point(f, (0.9 * critical) ** 2)
    _, chaotic = fixed_point(f, (1.2 * critical) ** 2)
    assert ordered < 0.95 < 1.01 < chaotic


def test_the_sigmoid_is_critical_at_a_fixed_point_of_its_own():
    q, chi = fixed_point(torch.sigmoid, gain("critical", "sigmoid") ** 2)
    assert q == pytest.approx(45.624, abs=1e-2)
    assert chi == pytest.approx(1, abs=1e-3)


def test_torchs_tanh_gain_is_chaotic_and_the_forward_gain_too():
    assert fixed_point(torch.tanh, (5 / 3) ** 2) == pytest.approx((1.18, 1.21), abs=0.01)
    assert fixed_point(torch.tanh, gain("forward", "tanh") ** 2) == pytest.approx(
        (1, 1.18), abs=0.01
    )


def gradient_growth(scheme, f, q, depth=12, width=400):
    """The factor a layer by which the gradient's second moment grows backwards, from E[z²] = q."""
    layers = [m for _ in range(depth) for m in (nn.Linear(width, width), f)]
    network = nn.Sequential(*layers, nn.Linear(width, width)).double()
    scheme(network, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(64, width, generator=generator, dtype=torch.float64) * math.sqrt(q)
    moments = []
    for module in network[1:]:
        if isinstance(module, nn.Linear):
            z = module(z)
            z.register_hook(lambda g: moments.append(g.square().mean().item()))
        else:
            z = module(z.requires_grad_())
    z.backward(torch.randn(z.shape, generator=generator, dtype=torch.float64))
    return (moments[-1] / moments[1]) ** (1 / (len(moments) - 2))


def test_gradients_neither_grow_nor_vanish_at_the_critical_gain():
    f = nn.Sigmoid()
    critical = MeanField(weight_variance=gain("critical", f) ** 2)
    assert gradient_growth(critical, f, q=45.624) == pytest.approx(1, abs=0.03)
    forward = MeanField(weight_variance=gain("forward", f) ** 2)
    expected = (gain("forward", f) / gain("backward", f)) ** 2
    assert gradient_growth(forward, f, q=1.0) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    "f", [*WITHOUT_CRITICAL, nn.Hardswish(), torch.square, lambda z: z.abs().sqrt()]
)
def test_without_an_edge_of_chaos_there_is_no_critical_gain(f):
    with pytest.raises(ValueError, match=r"^activation=\S+: no critical gain: [^\n]+$"):
        gain("critical", f)


def test_gelu_has_no_fixed_point_where_its_slope_at_zero_would_be_critical():
    """φ'(0) = 1/2 asks for σ_w = 2; there the length map leaves every q."""
    q = 0.1
    for _ in range(40):
        q = 4 * hermite(lambda z: F.gelu(z) ** 2, q)
    assert q > 1e6


# ----------------------------------------------------------------------------------- torch, numbers


def test_torch_table_by_module_and_function():
    assert gain("torch", "linear") == gain("torch", nn.Identity()) == 1.0
    assert gain("torch", nn.Tanh()) == gain("torch", torch.tanh) == pytest.approx(5 / 3)


def test_numbers_pass_through():
    assert gain(0.5, "relu") == 0.5
    assert gain(2, lambda z: z) == 2.0


ALLOWED = "allowed are forward, backward, critical, torch or a number > 0"


@pytest.mark.parametrize(
    ("rule", "activation", "message"),
    [
        ("torch", "gelu", "activation='gelu': not in torch's table"),
        ("torch", nn.GELU(), "activation='GELU': not in torch's table"),
        ("fan_in", "relu", f"gain='fan_in': {ALLOWED}"),
        ("forward", "rleu", "activation='rleu': allowed are relu, "),
        (0, "relu", "gain=0: allowed"),
        (-1.0, "relu", "gain=-1.0: allowed"),
        (math.nan, "relu", "gain=nan: allowed"),
        (math.inf, "relu", "gain=inf: allowed"),
        (None, "relu", "gain=None: allowed"),
        ("forward", torch.zeros_like, "activation=zeros_like: E[φ(z)²] = 0.0, so no gain"),
        ("forward", torch.log, "activation=log: E[φ(z)²] = nan"),
        ("backward", lambda z: 0 * z, "activation=<lambda>: E[φ'(z)²]"),
        ("backward", torch.sign, "activation=sign: "),
        ("critical", lambda z: z.detach(), "activation=<lambda>: autograd has no derivative of it"),
        ("forward", nn.Sequential(nn.ReLU(), nn.Threshold(9e9, 0)), "activation=Sequential: E[φ"),
    ],
)
def test_errors_are_one_line(rule, activation, message):
    with pytest.raises(ValueError) as error:
        gain(rule, activation)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
