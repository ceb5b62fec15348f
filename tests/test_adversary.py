"""Attacks: as strong as the closed form says, inside the ball and the bounds, and without a trace.

Numbers are float64 and radii powers of two, so that bounds hold exactly.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from theta0.adversary import FGSM, PGD
from theta0.models import MLP

EPS = 0.125
ATTACKS = {
    "FGSM": FGSM(eps=EPS),
    "PGD": PGD(eps=EPS, step=EPS / 4, steps=8),  # across the ball
    "PGD from x": PGD(eps=EPS, step=EPS / 4, steps=8, random_start=False),
}
ONE = torch.ones((), dtype=torch.double)


def images(n: int = 16) -> tuple[Tensor, Tensor]:
    """(x in [0, 1) [n, 2, 4, 4], labels)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, 2, 4, 4, generator=generator, dtype=torch.double)
    return x, torch.randint(3, (n,), generator=generator)


def small(**settings) -> MLP:
    torch.manual_seed(0)
    return MLP(32, 3, widths=(16,), activation="tanh", **settings).double()


def plain_sum(output: Tensor, y: Tensor) -> Tensor:
    return output.mean()


def test_the_yaml_papers_shares_are_the_defaults():
    assert FGSM(eps=0.1).share == 0.5
    assert PGD(eps=0.1, step=0.1, steps=1).share == 1.0


@pytest.mark.parametrize("name", ATTACKS)
def test_a_linear_networks_loss_rises_by_eps_times_the_weights_l1_norm(name):
    """w·(x + ε·sign w) − w·x = ε‖w‖₁: no change within the ball does more."""
    x, y = images()
    network = nn.Sequential(nn.Flatten(), nn.Linear(32, 1).double())
    attacked = ATTACKS[name](network, plain_sum, x, y, ONE, None, None)
    rise = (network(attacked) - network(x)).flatten()
    norm = network[1].weight.abs().sum()
    torch.testing.assert_close(rise, (EPS * norm).expand(16), rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", ATTACKS)
def test_eps_counts_before_normalisation(name):
    """Channels that were divided by 0.25 and 2 change by ε/0.25 and ε/2."""
    x, y = images()
    std = torch.tensor([0.25, 2.0], dtype=torch.double).view(2, 1, 1)
    attacked = ATTACKS[name](small(), functional.cross_entropy, x, y, std, None, None)
    largest = (attacked - x).abs().amax((0, 2, 3))
    torch.testing.assert_close(largest, EPS / std.flatten(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ATTACKS)
def test_ball_and_bounds_hold_exactly(name):
    x = images()[0].mul(64).round() / 64  # so that differences are exact
    y = images()[1]
    low = torch.tensor([0.0, 0.25], dtype=torch.double).view(2, 1, 1)
    high = torch.tensor([1.0, 0.75], dtype=torch.double).view(2, 1, 1)
    x = x.clamp(low, high)
    attacked = ATTACKS[name](small(), functional.cross_entropy, x, y, ONE, low, high)
    assert (attacked - x).abs().max() <= EPS
    assert (attacked >= low).all() and (attacked <= high).all()
    assert (attacked == low).any() and (attacked == high).any(), "else the bounds were not tried"
    assert ((attacked - x).abs() == EPS).any()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_raises_the_loss_and_leaves_no_trace(name):
    x, y = images()
    network = small(norm="batch", dropout=0.5)
    network.hidden[1].eval()  # frozen, say
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    kept = x.clone()
    attacked = ATTACKS[name](network, functional.cross_entropy, x, y, ONE, None, None)
    assert not attacked.requires_grad and not x.requires_grad
    assert torch.equal(x, kept)
    assert [module.training for module in network.modules()] == modes
    assert all((p.grad == 1).all() for p in network.parameters())
    after = network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    network.eval()
    losses = [functional.cross_entropy(network(z), y).item() for z in (x, attacked)]
    assert losses[1] > losses[0] + 0.1


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_works_in_validation(name):
    """Where Lightning has inference mode on, and hands over inference tensors."""
    x, y = images()
    network = small().eval()
    expected = ATTACKS[name](network, functional.cross_entropy, x, y, ONE, None, None)
    with torch.inference_mode():
        rows = torch.arange(len(x))
        batch = x[rows], y[rows]
        assert batch[0].is_inference()
        found = ATTACKS[name](network, functional.cross_entropy, *batch, ONE, None, None)
        assert torch.equal(found, expected)
        network(found)
    assert all(p.grad is None for p in network.parameters())


def test_steps_do_more_than_one_step():
    """On a network that is far from linear within the ball."""
    x, y = images(64)
    network = small()
    for parameter in network.parameters():
        parameter.data *= 6
    network.eval()

    def loss_after(attack):
        attacked = attack(network, functional.cross_entropy, x, y, ONE, None, None)
        return functional.cross_entropy(network(attacked), y).item()

    fgsm, pgd = loss_after(FGSM(eps=0.5)), loss_after(PGD(eps=0.5, step=0.125, steps=10))
    clean = functional.cross_entropy(network(x), y).item()
    assert clean < fgsm < pgd


def test_one_step_from_x_is_the_fast_gradient_sign_method():
    x, y = images()
    one = PGD(eps=EPS, step=EPS, steps=1, random_start=False)
    arguments = (small(), functional.cross_entropy, x, y, ONE, None, None)
    torch.testing.assert_close(one(*arguments), FGSM(eps=EPS)(*arguments), rtol=0, atol=1e-15)


def test_a_random_start_is_drawn_in_training_and_fixed_in_evaluation():
    x, y = images()
    network = small()
    start_only = PGD(eps=EPS, step=1e-9, steps=1)

    def start(seed):
        torch.manual_seed(seed)
        return start_only(network, functional.cross_entropy, x, y, ONE, None, None) - x

    network.train()
    assert torch.equal(start(0), start(0)) and not torch.equal(start(0), start(1))
    assert start(0).abs().max() <= EPS
    assert start(0).std().item() == pytest.approx(EPS / 3**0.5, rel=0.1)
    network.eval()
    assert torch.equal(start(0), start(1))
    torch.manual_seed(0)
    expected = torch.rand(3)
    start(0)
    assert torch.equal(torch.rand(3), expected), "a validation leaves the noise stream alone"
