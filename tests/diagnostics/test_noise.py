"""The noise scale of gradients whose covariance is known."""

import math

import pytest
import torch

from theta0.diagnostics import noise_scale


def test_the_formula():
    grads = torch.tensor([[3.0, 0.0], [5.0, 0.0], [4.0, 3.0]])
    variance = (1 + 1 + 1 + 1 + 4) / 2  # about the mean (4, 1)
    signal = 17 - variance / 3
    assert noise_scale(grads, 32) == pytest.approx(32 * variance / signal)


def test_it_is_the_covariance_s_trace_over_the_square_of_the_mean():
    """Rows with gradient N(G, 4·I₁₀₀), ‖G‖² = 25, in parts of 16 rows: B = 400/25."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.full((100,), 0.5)
    grads = mean + 2 / 16**0.5 * torch.randn(2000, 100, generator=generator)
    assert noise_scale(grads, 16) == pytest.approx(16, rel=0.02)


def test_gradients_without_noise_and_without_signal():
    assert noise_scale(torch.ones(4, 3), 8) == 0
    assert noise_scale(torch.tensor([[1.0], [-1.0]]), 8) == math.inf
    assert math.isnan(noise_scale(torch.zeros(4, 3), 8))
