from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from theta0.callbacks import GradientNoise


def noise(
    step: int, seed: int = 0, eta: float = 0.3, gamma: float = 0.55, n: int = 20000
) -> Tensor:
    """What is added to a gradient of ones at a step."""
    parameter = nn.Parameter(torch.zeros(n))
    parameter.grad = torch.ones(n)
    GradientNoise(eta=eta, gamma=gamma, seed=seed).on_before_optimizer_step(
        SimpleNamespace(global_step=step), SimpleNamespace(), torch.optim.SGD([parameter], lr=0.1)
    )
    assert parameter.grad is not None
    return parameter.grad - 1


@pytest.mark.parametrize("step", [0, 1, 9, 999])
@pytest.mark.parametrize(("eta", "gamma"), [(0.3, 0.55), (0.01, 0.0)])
def test_the_variance_is_eta_over_one_plus_t_to_the_gamma(step, eta, gamma):
    added = noise(step, eta=eta, gamma=gamma)
    variance = eta / (1 + step) ** gamma
    assert added.var().item() == pytest.approx(variance, rel=4 * (2 / 20000) ** 0.5)
    assert added.mean().item() == pytest.approx(0, abs=4 * (variance / 20000) ** 0.5)


def test_seed_and_step_decide_and_nothing_else_is_drawn():
    """So every process adds the same, and a continued run what it would have added."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first = noise(5)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(noise(5), first)
    assert not torch.equal(noise(6), first)
    assert not torch.equal(noise(5, seed=1), first)


def test_parameters_get_noise_of_their_own_and_those_without_gradient_none():
    a, b, frozen = (nn.Parameter(torch.zeros(50)) for _ in range(3))
    a.grad, b.grad = torch.zeros(50), torch.zeros(50)
    GradientNoise(eta=1.0, gamma=0.5, seed=0).on_before_optimizer_step(
        SimpleNamespace(global_step=0),
        SimpleNamespace(),
        torch.optim.SGD([a, frozen, b], lr=0.1),
    )
    assert frozen.grad is None
    assert a.grad.any() and not torch.equal(a.grad, b.grad)
