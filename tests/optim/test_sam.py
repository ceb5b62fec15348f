"""SAM on losses whose two gradients are known in closed form."""

import pytest
import torch
from torch import nn

from theta0.optim import SAM, build_optimizer

CURVATURE = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64)
START = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)


class Quadratic(nn.Module):
    """L(θ) = ½ Σ c·θ², in two parameters: ∇L = c·θ."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(START[:2].clone())
        self.b = nn.Parameter(START[2:].clone())

    @property
    def at(self) -> torch.Tensor:
        return torch.cat([self.a, self.b]).detach().clone()

    def forward(self) -> torch.Tensor:
        return 0.5 * (CURVATURE * torch.cat([self.a, self.b]) ** 2).sum()


def stepped(net, optimizer) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """(the loss that step returns, where the loss was evaluated)."""
    visited = []

    def closure():
        visited.append(net.at)
        optimizer.zero_grad()
        loss = net()
        loss.backward()
        return loss

    return optimizer.step(closure), visited


def sgd(net, **settings):
    return torch.optim.SGD(net.parameters(), lr=0.1, **settings)


@pytest.mark.parametrize("rho", [0.05, 1.0])
def test_the_gradient_is_that_of_the_worst_point_near_by(rho):
    net = Quadratic()
    loss, visited = stepped(net, SAM(sgd(net), rho=rho))
    g = CURVATURE * START
    e = rho * g / g.norm()
    torch.testing.assert_close(visited[0], START, rtol=0, atol=0)
    torch.testing.assert_close(visited[1], START + e, rtol=0, atol=1e-14)
    torch.testing.assert_close(net.at, START - 0.1 * CURVATURE * (START + e), rtol=0, atol=1e-14)
    assert loss.item() == pytest.approx(0.5 * (CURVATURE * START**2).sum().item(), rel=1e-14)
    assert (visited[1] - visited[0]).norm().item() == pytest.approx(rho, rel=1e-12)


def test_adaptive_measures_distance_by_each_weights_size():
    net = Quadratic()
    _, visited = stepped(net, SAM(sgd(net), rho=0.5, adaptive=True))
    g = CURVATURE * START
    e = 0.5 * START**2 * g / (START * g).norm()
    torch.testing.assert_close(visited[1], START + e, rtol=0, atol=1e-14)
    assert (e / START).norm().item() == pytest.approx(0.5, rel=1e-12)
    torch.testing.assert_close(net.at, START - 0.1 * CURVATURE * (START + e), rtol=0, atol=1e-14)


def test_ten_steps_with_a_momentum_base():
    net = Quadratic()
    optimizer = SAM(sgd(net, momentum=0.9, weight_decay=0.01), rho=0.1)
    θ, v = START, torch.zeros(3, dtype=torch.float64)
    for _ in range(10):
        stepped(net, optimizer)
        g = CURVATURE * θ
        v = 0.9 * v + CURVATURE * (θ + 0.1 * g / g.norm()) + 0.01 * θ  # decay at θ itself
        θ = θ - 0.1 * v
        torch.testing.assert_close(net.at, θ, rtol=0, atol=1e-10)


def test_at_a_minimum_it_stays():
    net = Quadratic()
    with torch.no_grad():
        net.a.zero_()
        net.b.zero_()
    stepped(net, SAM(sgd(net)))
    assert not net.at.any()


def test_groups_and_state_are_the_bases():
    net = Quadratic()
    base = sgd(net, momentum=0.9)
    optimizer = SAM(base)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t)
    stepped(net, optimizer)
    schedule.step()
    assert base.param_groups[0]["lr"] == 0.05
    assert optimizer.state_dict() == base.state_dict()
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    schedule.step()
    assert base.param_groups[0]["lr"] == 0.025
    assert optimizer.state is base.state


def test_weights_are_where_they_were_when_the_second_evaluation_fails():
    net = Quadratic()
    optimizer = SAM(sgd(net))
    calls = []

    def closure():
        calls.append(1)
        if len(calls) == 2:
            raise ArithmeticError
        optimizer.zero_grad()
        loss = net()
        loss.backward()
        return loss

    with pytest.raises(ArithmeticError):
        optimizer.step(closure)
    assert torch.equal(net.at, START)


def test_batch_statistics_move_once_a_step():
    """By the batch's mean at θ; the second pass still normalises by the batch."""

    def moved(wrap):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        base = torch.optim.SGD(net.parameters(), lr=0.1)
        optimizer = SAM(base, network=net) if wrap else base
        x = torch.randn(16, 3)

        def closure():
            optimizer.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        return net[1]

    plain, sharp = moved(False), moved(True)
    assert torch.equal(plain.running_mean, sharp.running_mean)
    assert torch.equal(plain.running_var, sharp.running_var)
    assert sharp.num_batches_tracked == 1
    assert sharp.track_running_stats
    assert not torch.equal(plain.weight, sharp.weight)


def test_built_from_nested_settings():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    base = {
        "_target_": "torch.optim.AdamW",
        "lr": 0.003,
        "weight_decay": 0.1,
        "decay_bias_and_norm": False,
        "fused": "auto",
    }
    optimizer = build_optimizer(SAM, net, lr=0.003, rho=0.2, adaptive=True, base=base)
    assert isinstance(optimizer.base, torch.optim.AdamW)
    assert (optimizer.rho, optimizer.adaptive, optimizer.network) == (0.2, True, net)
    assert [(g["lr"], g["weight_decay"], g["fused"]) for g in optimizer.param_groups] == [
        (0.003, 0.1, True),
        (0.003, 0.0, True),
    ]


def test_wrong_use_is_one_line():
    net = Quadratic()
    with pytest.raises(ValueError, match="rho=0: must be greater than 0"):
        SAM(sgd(net), rho=0)
    with pytest.raises(ValueError, match="base=LBFGS"):
        SAM(torch.optim.LBFGS(net.parameters()))
    with pytest.raises(ValueError, match="base=SAM"):
        SAM(SAM(sgd(net)))
    with pytest.raises(ValueError, match=r"step\(closure\)"):
        SAM(sgd(net)).step()
