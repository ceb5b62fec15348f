"""docs/corrections.md, a test a section: what is often said against what holds."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from theta0.init import Normal, Orthogonal, VarianceScaling, gain
from theta0.init.gains import gaussian_mean
from theta0.models import MLP
from theta0.optim import build_optimizer

PAGE = (Path(__file__).parents[1] / "docs" / "corrections.md").read_text()

XAVIER = VarianceScaling(fan="avg", distribution="uniform")


def he(activation: str = "relu") -> VarianceScaling:
    return VarianceScaling(fan="in", gain="forward", activation=activation)


def signals(init, activation: str, depth: int = 30, width: int = 500) -> tuple[Tensor, Tensor]:
    """Per hidden layer: E[z²] of the pre-activations, and E[δ²] of the gradients at them."""
    network = MLP(width, 10, [width] * depth, activation=activation)
    init(network, torch.Generator().manual_seed(0))
    x = torch.randn(100, width, generator=torch.Generator().manual_seed(1))
    seen: list[Tensor] = []
    for layer in network.hidden:
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda _layer, _in, out: seen.append(out))
    output = network(x)
    start = torch.randn(output.shape, generator=torch.Generator().manual_seed(2))
    gradients = torch.autograd.grad(output, seen, start)
    return (
        torch.stack([z.detach().square().mean() for z in seen]),
        torch.stack([g.square().mean() for g in gradients]),
    )


def per_layer(values: Tensor) -> float:
    """The factor from one layer to the next, averaged over the stack on a log scale."""
    return (values[-1] / values[0]).item() ** (1 / (len(values) - 1))


# -------------------------------------------------------------------------------- initialisation


def test_xavier_halves_the_signal_of_relu_layers():
    forward, backward = signals(XAVIER, "relu")
    assert per_layer(forward) == pytest.approx(1 / 2, rel=0.05)
    assert per_layer(backward.flip(0)) == pytest.approx(1 / 2, rel=0.05)
    forward, backward = signals(he(), "relu")
    assert per_layer(forward) == pytest.approx(1, rel=0.05)
    assert per_layer(backward.flip(0)) == pytest.approx(1, rel=0.05)


def test_he_makes_tanh_layers_chaotic():
    """χ₁ = σ_w²·E[φ'(√q z)²] at the fixed point q; perturbations and gradients grow by it."""

    def chi(variance: float) -> float:
        q = 1.0
        for _ in range(2000):
            q = variance * gaussian_mean(lambda z, q=q: torch.tanh(math.sqrt(q) * z) ** 2)
        return variance * gaussian_mean(lambda z: (1 - torch.tanh(math.sqrt(q) * z) ** 2) ** 2)

    assert chi(1.0) == pytest.approx(1, abs=0.01)
    assert chi(2.0) > 1.1
    with_relu_gain = VarianceScaling(fan="in", gain=math.sqrt(2), activation="tanh")
    _, backward = signals(with_relu_gain, "tanh")
    assert per_layer(backward.flip(0)) == pytest.approx(chi(2.0), rel=0.05)
    _, backward = signals(XAVIER, "tanh")
    assert per_layer(backward.flip(0)) < 1


def test_xavier_with_a_relu_gain_is_he_on_square_layers():
    layer = nn.Linear(400, 400)
    stds = []
    for scheme in (
        VarianceScaling(fan="avg", gain=math.sqrt(2), output_gain=math.sqrt(2)),
        VarianceScaling(fan="in", gain="forward", output_gain=math.sqrt(2)),
    ):
        scheme(layer, torch.Generator().manual_seed(0))
        stds.append(layer.weight.clone())
    torch.testing.assert_close(*stds, rtol=1e-6, atol=0)
    assert gain("forward", "relu") == pytest.approx(math.sqrt(2))


def test_of_several_inits_one_after_the_other_only_the_last_counts():
    network = MLP(20, 3, [16, 16])
    for scheme in (Normal(std=0.01), XAVIER, he()):
        scheme(network, torch.Generator().manual_seed(7))
    after_all = [p.clone() for p in network.parameters()]
    fresh = MLP(20, 3, [16, 16])
    he()(fresh, torch.Generator().manual_seed(7))
    assert all(torch.equal(a, b) for a, b in zip(after_all, fresh.parameters(), strict=True))
    Orthogonal()(fresh, torch.Generator().manual_seed(7))
    assert not torch.equal(after_all[0], next(fresh.parameters()))


# ------------------------------------------------------------------------------------ optimizers


def step_of(optimizer: type, g: list[float], θ: float = 1.0, **settings) -> np.ndarray:
    """What the optimizer's first step does to parameters θ under gradients g."""
    layer = nn.Linear(len(g), 1, bias=False).double()
    nn.init.constant_(layer.weight, θ)
    layer.weight.grad = torch.tensor([g], dtype=torch.float64)
    build_optimizer(optimizer, layer, **settings).step()
    return layer.weight.detach().numpy()[0] - θ


def test_without_bias_correction_the_first_step_is_three_times_too_long():
    β1, β2, lr, g = 0.9, 0.999, 1e-3, 0.5
    m, v = (1 - β1) * g, (1 - β2) * g**2
    uncorrected = lr * m / (math.sqrt(v) + 1e-8)
    (corrected,) = -step_of(torch.optim.AdamW, [g], lr=lr, weight_decay=0.0)
    assert corrected == pytest.approx(lr, rel=1e-6)
    assert uncorrected / corrected == pytest.approx((1 - β1) / math.sqrt(1 - β2), rel=1e-6)
    assert uncorrected / corrected == pytest.approx(3.162, abs=1e-3)


def test_epsilon_inside_the_root_stops_small_gradients():
    """At g = 1e-6 the step is 99 % of lr with ε beside the root, 1 % with the same ε inside."""
    lr, ε, g = 1e-3, 1e-8, 1e-6
    (outside,) = -step_of(torch.optim.AdamW, [g], lr=lr, eps=ε, weight_decay=0.0)
    inside = lr * g / math.sqrt(g**2 + ε)
    assert outside / lr == pytest.approx(0.990, abs=1e-3)
    assert inside / lr == pytest.approx(0.010, abs=1e-3)


def test_adam_has_the_second_moment_and_adamw_moves_the_decay():
    settings = {"lr": 1e-3, "betas": (0.9, 0.999)}
    g = [1.0, 1e-3]
    adam = step_of(torch.optim.Adam, g, **settings)
    adamw = step_of(torch.optim.AdamW, g, weight_decay=0.0, **settings)
    np.testing.assert_array_equal(adam, adamw)
    # Decay added to the gradient is divided by √v̂ too, and is lost in the first step's ±lr;
    # apart from the gradient it shrinks each weight by lr·λ.
    l2 = step_of(torch.optim.Adam, g, weight_decay=0.1, **settings)
    decoupled = step_of(torch.optim.AdamW, g, weight_decay=0.1, **settings)
    np.testing.assert_allclose(l2 - adam, 0, atol=1e-8)
    np.testing.assert_allclose(decoupled - adamw, -1e-3 * 0.1, rtol=1e-6)


# ------------------------------------------------------------------------------------------- page


def test_every_test_that_the_page_names_is_here():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    here = {name for name in globals() if name.startswith("test_")} - {
        "test_every_test_that_the_page_names_is_here"
    }
    assert named == here
