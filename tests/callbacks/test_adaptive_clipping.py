from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from theta0.callbacks import AdaptiveClipping


def clip(network: nn.Module, factor: float = 0.1, eps: float = 1e-3) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    AdaptiveClipping(factor=factor, eps=eps).on_before_optimizer_step(
        SimpleNamespace(), SimpleNamespace(network=network), optimizer
    )


def with_gradients(network: nn.Module, scale: float) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.grad = scale * torch.randn(parameter.shape, generator=generator).to(parameter)
    return network


def reference(w, g, factor, eps):
    """One unit of Brock et al.'s rule in NumPy."""
    largest = factor * max(np.linalg.norm(w), eps)
    norm = np.linalg.norm(g)
    return g * largest / norm if norm > largest else g


def test_units_are_rows_filters_and_whole_vectors():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Linear(5, 6), nn.Linear(6, 2)).double()
    nn.init.zeros_(network[1].bias)  # counts for a norm of ε
    with_gradients(network, 0.02)
    before = {name: p.grad.numpy().copy() for name, p in network.named_parameters()}
    clip(network)
    clipped = set()
    for name, parameter in network.named_parameters():
        w, g = parameter.detach().numpy(), before[name]
        if name.startswith("2."):  # the output layer
            expected = g
        elif w.ndim == 1:
            expected = reference(w, g, 0.1, 1e-3)
        else:
            rows = zip(w, g, strict=True)
            expected = np.stack([reference(*row, 0.1, 1e-3) for row in rows])
            clipped |= {bool((a == b).all()) for a, b in zip(expected, g, strict=True)}
        np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-12)
    assert clipped == {True, False}, "some rows are clipped and some are not"
    assert np.linalg.norm(network[1].bias.grad) == pytest.approx(0.1 * 1e-3)


def test_a_gradient_of_nothing_stays_nothing():
    network = with_gradients(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1)), 0.0)
    clip(network)
    assert all((p.grad == 0).all() for p in network.parameters())


def test_parameters_without_gradient_are_passed_over():
    network = with_gradients(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1)), 1.0)
    network[0].bias.grad = None
    clip(network)
    assert network[0].bias.grad is None
    assert network[0].weight.grad.norm(dim=1).max() < 0.2
