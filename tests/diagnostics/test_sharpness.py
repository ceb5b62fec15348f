"""The largest Hessian eigenvalue where it is known."""

import pytest
import torch
from torch import nn

from theta0.diagnostics import sharpness


def draw():
    return torch.Generator().manual_seed(0)


def test_linear_regression():
    """The Hessian of |Xw + b − y|²/n is 2ZᵀZ/n, Z being X with a column of ones."""
    x = torch.randn(40, 6, generator=draw(), dtype=torch.float64) * torch.arange(1.0, 7.0)
    y = torch.randn(40, 1, generator=draw(), dtype=torch.float64)
    layer = nn.Linear(6, 1).double()
    z = torch.cat([x, torch.ones(40, 1)], dim=1)
    expected = torch.linalg.eigvalsh(2 * z.T @ z / 40)[-1].item()
    loss = (layer(x) - y).square().mean()
    value, error = sharpness(loss, layer.parameters(), draw(), tolerance=1e-6, max_iterations=1000)
    assert value == pytest.approx(expected, rel=1e-10)
    assert error <= 1e-6
    rough, error = sharpness(loss, layer.parameters(), draw())
    assert expected * (1 - 0.05) <= rough <= expected * (1 + 1e-12)  # never above
    assert 0 < error <= 0.05
    assert layer.weight.grad is None


@pytest.mark.parametrize(
    ("eigenvalues", "expected"),
    [
        ([3.0, 1.0, -2.0], 3.0),
        ([2.0, 1.0, -3.0], 2.0),  # a saddle: the largest modulus is not the largest eigenvalue
        ([-1.0, -2.0, -3.0], -1.0),
        ([0.0, 0.0, -3.0], 0.0),
        ([0.0, 0.0, 0.0], 0.0),
    ],
)
def test_quadratic(eigenvalues, expected):
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=draw(), dtype=torch.float64))
    hessian = q @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ q.T
    theta = torch.randn(3, generator=draw(), dtype=torch.float64, requires_grad=True)
    loss = theta @ hessian @ theta / 2
    value, _ = sharpness(loss, [theta], draw(), tolerance=1e-7, max_iterations=1000)
    assert value == pytest.approx(expected, abs=1e-6)


def test_a_loss_that_is_linear_in_one_parameter_and_free_of_another():
    a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
    assert sharpness(3 * a.sum(), [a, b], draw()) == (0.0, 0.0)


def test_the_whole_hessian_of_a_network():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = torch.randn(20, 4).double(), torch.randint(3, (20,))
    names = [name for name, _ in network.named_parameters()]
    sizes = [p.numel() for p in network.parameters()]

    def loss(theta):
        parts = [
            t.view_as(p) for t, p in zip(theta.split(sizes), network.parameters(), strict=True)
        ]
        output = torch.func.functional_call(network, dict(zip(names, parts, strict=True)), (x,))
        return nn.functional.cross_entropy(output, y)

    theta = nn.utils.parameters_to_vector(network.parameters()).detach()
    expected = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, theta))[-1].item()
    loss_of_batch = nn.functional.cross_entropy(network(x), y)
    value, _ = sharpness(loss_of_batch, network.parameters(), draw(), 1e-6, 10_000)
    assert value == pytest.approx(expected, rel=1e-8)


def test_what_has_not_settled_says_so():
    """Two eigenvalues close together: two steps do not tell them apart."""
    theta = torch.ones(2, dtype=torch.float64, requires_grad=True)
    loss = (theta * torch.tensor([1.0, -0.999]) * theta).sum() / 2
    _, error = sharpness(loss, [theta], draw(), max_iterations=2)
    assert error > 0.05
