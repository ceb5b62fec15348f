"""μP's coordinate check: sizes as they are, and what it says of two parametrisations."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from theta0.data import Mnist5k, load_cached
from theta0.diagnostics import Coordinate, coordinate_check
from theta0.init import MuP, VarianceScaling
from theta0.models import MLP
from theta0.optim import build_optimizer

WIDTHS = (128, 256, 512, 1024)


def loss(output, target, x):
    return functional.cross_entropy(output, target)


def coordinate(*sizes):
    return Coordinate(layer="one", step=0, widths=(10, 100, 1000)[: len(sizes)], sizes=sizes)


@pytest.mark.parametrize(
    ("sizes", "slope"),
    [((0.3, 0.3), 0), ((1, 10, 100), 1), ((4, 0.04), -2), ((1, 10, 1), 0), ((0, 0), 0)],
)
def test_slopes(sizes, slope):
    assert coordinate(*sizes).slope == pytest.approx(slope, abs=1e-12)


@pytest.mark.parametrize("sizes", [(0, 1), (1, math.inf), (math.nan, 1)])
def test_no_slope(sizes):
    assert math.isnan(coordinate(*sizes).slope)


def test_sizes_before_and_after_each_step():
    """A chain of two numbers, w₂·relu(w₁·x) at x = 1, under the loss 6·output/width and SGD."""

    def build(width):
        network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False))
        nn.init.constant_(network[0].weight, 2.0)
        nn.init.constant_(network[2].weight, -1.0)
        optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
        return network, lambda output, target, x: (output * target).mean() / width, optimizer

    ones = torch.ones(1, 1)
    found = coordinate_check(build, [3, 6], [(ones, 6 * ones)], ones)
    assert [(c.layer, c.step, c.widths, c.sizes) for c in found] == [
        ("0", 0, (3, 6), (2, 2)),
        ("2", 0, (3, 6), (2, 2)),
        ("0", 1, (3, 6), (4, 3)),  # w₁ = 2 + 6/width
        ("2", 1, (3, 6), (20, 9)),  # w₂ = −1 − 2·6/width
    ]


@pytest.mark.parametrize(
    ("factory", "settings"),
    [(torch.optim.Adam, {"lr": 1e-3}), (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9})],
    ids=["adam", "momentum"],
)
def test_sizes_are_flat_in_width_under_mup_alone(factory, settings):
    """On MNIST, at θ₀ and after each of two steps; the output starts at 0, as the paper has it."""
    arrays = load_cached(Mnist5k(test_samples=1000, test_seed=0))
    x = torch.tensor(arrays.train_x[:128], dtype=torch.float32).div(arrays.scale)
    x = (x - x.mean()) / x.std()
    y = torch.tensor(arrays.train_y[:128], dtype=torch.int64)
    batches = list(zip(x.split(64), y.split(64), strict=True))

    def slopes(scheme):
        def build(width):
            network = MLP(784, 10, widths=[width, width])
            scheme(network, torch.Generator().manual_seed(0))
            scales = scheme.lr_scales(network, factory) if scheme is mup else None
            return network, loss, build_optimizer(factory, network, lr_scales=scales, **settings)

        found = coordinate_check(build, WIDTHS, batches, x)
        return {(c.layer, c.step): abs(c.slope) for c in found}

    mup = MuP(base_width=128, output_gain=0.0)
    standard = VarianceScaling(gain="forward")
    assert max(slopes(mup).values()) < 0.1
    assert max(slopes(standard).values()) > 0.3
