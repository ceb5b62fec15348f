"""What papers say of optimizers, each on the smallest problem that shows it."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from theta0.optim import AdamWLH, AMSGrad, cosine

# ------------------------------------------------------------------------- Loshchilov & Hutter 2019


def shrunk(factory, lr: float, scheduled: bool = False, **settings) -> list[float]:
    """By what factor each of four steps multiplies a weight whose gradient is 0."""
    p = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = factory([p], lr=lr, **settings)
    schedule = cosine(optimizer, total_steps=4) if scheduled else None
    factors = []
    for _ in range(4):
        before = p.item()
        p.grad = torch.zeros_like(p)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        factors.append(p.item() / before)
    return factors


def test_doubling_the_rate_leaves_the_papers_decay_alone_and_doubles_torchs():
    for lr in (0.01, 0.02):
        assert shrunk(AdamWLH, lr, weight_decay=0.1) == pytest.approx([0.9] * 4, rel=1e-12)
        assert shrunk(torch.optim.AdamW, lr, weight_decay=10.0) == pytest.approx(
            [1 - 10 * lr] * 4, rel=1e-12
        )


def test_a_schedule_multiplies_the_papers_decay_too():
    η = [(1 + math.cos(math.pi * t / 4)) / 2 for t in range(4)]
    for lr in (0.01, 0.5):
        got = shrunk(AdamWLH, lr, scheduled=True, weight_decay=0.1)
        assert got == pytest.approx([1 - 0.1 * e for e in η], rel=1e-12)


def test_where_torchs_decay_times_its_rate_is_the_papers_the_two_agree():
    ends = []
    for factory, decay in ((AdamWLH, 0.02 * 0.3), (torch.optim.AdamW, 0.3)):
        torch.manual_seed(0)
        p = nn.Parameter(torch.randn(5, dtype=torch.float64))
        optimizer = factory([p], lr=0.02, weight_decay=decay)
        schedule = cosine(optimizer, total_steps=10)
        for _ in range(10):
            p.grad = torch.randn_like(p)
            optimizer.step()
            schedule.step()
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=0, atol=1e-12)


def test_the_papers_multiplier_goes_on_from_a_checkpoint():
    """η is lr over the rate that the run began with, not over the one it goes on with."""
    p = nn.Parameter(torch.ones(1, dtype=torch.float64))
    first = AdamWLH([p], lr=0.1, weight_decay=0.1)
    first.param_groups[0]["lr"] = 0.05
    second = AdamWLH([p], lr=0.1, weight_decay=0.1)
    second.load_state_dict(first.state_dict())
    p.grad = torch.zeros_like(p)
    second.step()
    assert p.item() == pytest.approx(1 - 0.5 * 0.1, rel=1e-12)


def test_a_group_that_joins_later_has_a_rate_and_a_range_of_its_own():
    first, second = (nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2))
    optimizer = AdamWLH([first], lr=0.1, weight_decay=0.1)
    optimizer.add_param_group({"params": [second], "lr": 0.5})
    with pytest.raises(ValueError, match=r"^lr=-1: must be greater than 0$"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": -1})
    first.grad = second.grad = torch.zeros_like(first)
    optimizer.step()
    assert first.item() == second.item() == pytest.approx(0.9, rel=1e-12)


# --------------------------------------------------------------------------------------- Reddi 2018


def online(optimizer_of, steps: int) -> float:
    """Where x ends in [−1, 1] under gradients 1010, then a hundred times −10; −1 is the best."""
    x = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = optimizer_of([x], lr=0.04, betas=(0.9, 0.99))
    large, small = (torch.full_like(x, g) for g in (1010.0, -10.0))
    for t in range(1, steps + 1):
        x.grad = large if t % 101 == 1 else small
        optimizer.step()
        x.data.clamp_(-1, 1)
    return x.item()


def test_adam_ends_at_the_worst_point_and_amsgrad_near_the_best():
    """The paper's section 3, theorem 1's example: Adam forgets the rare large gradient."""
    steps = 250 * 101
    assert online(torch.optim.Adam, steps) == 1.0
    assert online(AMSGrad, steps) < -0.7


# ---------------------------------------------------------------------------- Kingma & Ba 2015, 6.4


def test_without_bias_correction_the_first_step_is_three_times_the_rate():
    """lr·(1−β₁)/√(1−β₂): 3.16·lr at the default betas, and more the nearer β₂ is to 1."""
    steps = {}
    for beta2 in (0.99, 0.999, 0.9999):
        for factory in (AMSGrad, torch.optim.Adam):
            p = nn.Parameter(torch.zeros(1, dtype=torch.float64))
            p.grad = torch.full_like(p, 7.0)
            factory([p], lr=1.0, betas=(0.9, beta2)).step()
            steps[factory, beta2] = -p.item()
    without = [steps[AMSGrad, beta2] for beta2 in (0.99, 0.999, 0.9999)]
    assert without == pytest.approx([1.0, math.sqrt(10), 10.0], rel=1e-6)
    assert without[1] == pytest.approx(3.16, abs=0.005)
    assert [steps[torch.optim.Adam, b] for b in (0.99, 0.999, 0.9999)] == pytest.approx([1.0] * 3)


# ---------------------------------------------------------------------------------------- Choi 2019


def test_adam_with_a_huge_epsilon_is_momentum():
    """ε = E and lr = η·E: θ ← θ − η·m̂, which is dampened momentum with Adam's bias correction."""
    E, η, β = 1e8, 0.1, 0.9
    scales = np.array([1.0, 10.0, 100.0])
    p = nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    θ, m = p.detach().numpy().copy(), 0
    optimizer = torch.optim.Adam([p], lr=η * E, betas=(β, 0.999), eps=E)
    for t in range(1, 51):
        g = scales * np.sin(t + np.arange(3))
        p.grad = torch.from_numpy(g.copy())
        optimizer.step()
        m = β * m + (1 - β) * g
        θ = θ - η * m / (1 - β**t)
    moved = np.abs(θ - np.array([1.0, -2.0, 3.0]))
    np.testing.assert_allclose(p.detach().numpy(), θ, rtol=0, atol=1e-4)
    assert moved.max() > 1  # in proportion to the gradient, as Adam with a small ε would not
