import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from theta0.init import gain
from theta0.models import ACTIVATIONS

# 1/√E[φ(z)²] for z ~ N(0, 1), to four decimals.
FORWARD = {
    "identity": 1.0,
    "relu": 1.4142,
    "leaky_relu": 1.4141,
    "tanh": 1.5925,
    "sigmoid": 1.8462,
    "softsign": 2.3375,
    "softplus": 1.0419,
    "elu": 1.2452,
    "selu": 1.0,
    "gelu": 1.5335,
    "silu": 1.6765,
    "mish": 1.4868,
    "sin": 1.5209,
}
TORCH = {
    "identity": 1.0,
    "linear": 1.0,
    "relu": math.sqrt(2),
    "leaky_relu": 1.41414,
    "tanh": 5 / 3,
    "sigmoid": 1.0,
    "selu": 0.75,
}


def test_every_activation_has_a_forward_gain():
    assert FORWARD.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("name", FORWARD)
def test_forward(name):
    assert gain("forward", name) == pytest.approx(FORWARD[name], abs=1e-4)
    assert gain("forward", ACTIVATIONS[name]()) == gain("forward", name)


def test_forward_is_exact_where_a_closed_form_exists():
    assert gain("forward", "relu") == pytest.approx(math.sqrt(2), rel=1e-12)
    assert gain("forward", nn.LeakyReLU(0.2)) == pytest.approx(math.sqrt(2 / 1.04), rel=1e-12)
    assert gain("forward", torch.sin) == pytest.approx(
        (0.5 - 0.5 * math.exp(-2)) ** -0.5, rel=1e-12
    )
    # E[clip(z, -1, 1)²]: kinks away from 0
    inside = math.erf(math.sqrt(0.5)) - math.sqrt(2 / math.pi) * math.exp(-0.5)
    outside = 1 - math.erf(math.sqrt(0.5))
    assert gain("forward", F.hardtanh) == pytest.approx((inside + outside) ** -0.5, rel=1e-12)


def test_a_module_is_left_as_it_was():
    module = nn.PReLU(init=0.2)
    assert gain("forward", module) == pytest.approx(math.sqrt(2 / 1.04), rel=1e-6)
    assert module.weight.dtype == torch.float32


@pytest.mark.parametrize("name", TORCH)
def test_torch_table(name):
    assert gain("torch", name) == pytest.approx(TORCH[name], abs=1e-4)


def test_torch_table_by_module_and_function():
    assert gain("torch", nn.Tanh()) == gain("torch", torch.tanh) == pytest.approx(5 / 3)
    assert gain("torch", nn.LeakyReLU(0.2)) == pytest.approx(1.3868, abs=1e-4)
    assert gain("torch", nn.Identity()) == 1.0


def test_numbers_pass_through():
    assert gain(0.5, "relu") == 0.5
    assert gain(2, lambda z: z) == 2.0


@pytest.mark.parametrize(
    ("rule", "activation", "message"),
    [
        ("torch", "gelu", "activation='gelu': not in torch's table"),
        ("torch", nn.GELU(), "activation='GELU': not in torch's table"),
        ("fan_in", "relu", "gain='fan_in': allowed are forward, torch or a number > 0"),
        ("forward", "rleu", "activation='rleu': allowed are relu, "),
        (0, "relu", "gain=0: allowed"),
        (-1.0, "relu", "gain=-1.0: allowed"),
        (math.nan, "relu", "gain=nan: allowed"),
        (math.inf, "relu", "gain=inf: allowed"),
        (None, "relu", "gain=None: allowed"),
        ("forward", torch.zeros_like, "activation="),
        ("forward", torch.log, "activation="),
    ],
)
def test_errors_are_one_line(rule, activation, message):
    with pytest.raises(ValueError) as error:
        gain(rule, activation)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
