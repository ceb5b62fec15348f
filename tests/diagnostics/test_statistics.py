"""Each quantity against its definition, written out."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from theta0.diagnostics import measure, weights
from theta0.diagnostics.statistics import PRICES
from theta0.models import MLP, activation
from theta0.models.residual import Residual


def cross_entropy(output, target, x):
    return functional.cross_entropy(output, target)


def batch(rows=32, features=6, classes=3):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, features, generator=generator)
    return x, torch.randint(classes, (rows,), generator=generator)


def by_layer(network, x=None, y=None, price="economy", before=None, loss=cross_entropy):
    own_x, own_y = batch()
    x, y = own_x if x is None else x, own_y if y is None else y
    return {row.layer: row for row in measure(network, loss, x, y, price, before)}


def test_a_network_of_two_layers_in_numpy():
    torch.manual_seed(0)
    network = MLP(6, 3, widths=[5], activation="tanh").double()
    x, y = batch()
    x = x.double()
    before = {name: weight + 0.01 for name, weight in weights(network).items()}
    rows = by_layer(network, x, y, before=before)
    assert list(rows) == ["hidden.0", "output"]

    w1, b1, w2, b2 = (p.detach().numpy() for p in network.parameters())
    z1 = x.numpy() @ w1.T + b1
    a1 = np.tanh(z1)
    z2 = a1 @ w2.T + b2
    p = np.exp(z2) / np.exp(z2).sum(1, keepdims=True)
    d2 = p - np.eye(3)[y.numpy()]  # of the loss summed over rows
    d1 = d2 @ w2 * (1 - a1**2)
    for row, z, a, d, before_layer, w in (
        (rows["hidden.0"], z1, a1, d1, x.numpy(), w1),
        (rows["output"], z2, z2, d2, a1, w2),
    ):
        assert row.activation_mean == pytest.approx(a.mean())
        assert row.activation_std == pytest.approx(a.std())
        assert row.preactivation_std == pytest.approx(z.std())
        assert row.grad_std == pytest.approx(d.std())
        assert row.weight_grad_std == pytest.approx((d.T @ before_layer / 32).std())
        assert row.weight_std == pytest.approx(w.std())
        ratio = 0.01 * math.sqrt(w.size) / np.linalg.norm(w + 0.01)
        assert row.update_ratio == pytest.approx(ratio)
        assert row.dead == row.identical == 0
    assert rows["hidden.0"].saturated == pytest.approx((1 - a1**2 < 0.05).mean())
    assert rows["output"].saturated is None


def test_backpropagated_gradients_do_not_depend_on_the_number_of_rows():
    torch.manual_seed(0)
    network = MLP(6, 3, widths=[5])
    x, y = batch()
    once, twice = by_layer(network), by_layer(network, x.repeat(2, 1), y.repeat(2))
    for name in once:
        assert twice[name].grad_std == pytest.approx(once[name].grad_std, rel=1e-5)
        assert twice[name].weight_grad_std == pytest.approx(once[name].weight_grad_std, rel=1e-5)


def lonely(phi, z):
    """A network whose pre-activations are the numbers z, behind φ; and its one row a number."""
    network = nn.Sequential(nn.Linear(1, 1, bias=False), phi, nn.Linear(1, 2))
    nn.init.ones_(network[0].weight)
    x = torch.tensor(z).reshape(-1, 1)
    return by_layer(network, x, torch.zeros(len(z), dtype=torch.int64))["0"]


@pytest.mark.parametrize(
    ("name", "edge"), [("tanh", 2.178), ("sigmoid", 4.357), ("softsign", 3.472)]
)
def test_where_an_activation_is_saturated(name, edge):
    z = [0.0, edge - 0.01, -edge + 0.01, edge + 0.01, -edge - 0.01]
    assert lonely(activation(name), z).saturated == pytest.approx(2 / 5)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "gelu", "silu", "elu", "softplus", "sin"])
def test_what_does_not_saturate_at_both_ends(name):
    assert lonely(activation(name), [-30.0, 0.0, 30.0]).saturated is None


def test_dead_units_pass_no_gradient_on_any_row():
    network = MLP(2, 3, widths=[4])
    with torch.no_grad():
        network.hidden[0].weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, 0]]))
        network.hidden[0].bias.copy_(torch.tensor([0.0, 0, 0, -1]))
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]])  # unit 0 +, 1 ±, 2 −, 3 −
    rows = by_layer(network, x, torch.tensor([0, 1]))
    assert rows["hidden.0"].dead == 0.5
    assert rows["output"].dead == 0


def test_dead_channels_of_a_convolution():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    with torch.no_grad():
        network[1].bias.copy_(torch.tensor([0.0, -100, 0, 0]))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 1, 4, 4, generator=generator)
    assert by_layer(network, x, torch.zeros(8, dtype=torch.int64))["0"].dead == 0.25


class Functional(nn.Module):
    """Activations that are no modules, and a layer that runs twice."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = nn.Linear(6, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        x = functional.relu(self.first(x))
        x = self.again(torch.tanh(self.again(x)))
        return self.last(x)


def test_without_an_activation_module_a_dead_unit_is_one_that_is_0():
    torch.manual_seed(0)
    network = Functional()
    with torch.no_grad():
        network.first.bias[1] = -100
    rows = by_layer(network)
    assert list(rows) == ["first", "again", "again:2", "last"]  # in order of execution
    assert (rows["first"].dead, rows["first"].saturated) == (0.25, None)
    assert rows["again"].activation_std < rows["again"].preactivation_std  # tanh shrinks
    assert rows["again"].weight_grad_std == rows["again:2"].weight_grad_std
    assert rows["again"].grad_std != rows["again:2"].grad_std


def test_an_activation_that_works_in_place_is_measured_like_another():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    in_place = copy.deepcopy(network)
    in_place[1].inplace = True
    assert by_layer(in_place) == by_layer(network)


def test_a_skip_connection_is_part_of_the_activation():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 6), Residual(nn.Linear(6, 6), nn.Tanh()), nn.Linear(6, 3))
    x, _ = batch()
    inner = network[0](x)
    expected = (inner + torch.tanh(network[1][0](inner))).std(correction=0)
    assert by_layer(network)["1.0"].activation_std == pytest.approx(expected.item(), rel=1e-5)


def test_a_parametrised_weight_is_the_one_that_is_used():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    normed = copy.deepcopy(plain)
    parametrizations.weight_norm(normed[0])
    before = {name: weight * 1.1 for name, weight in weights(plain).items()}
    expected, found = (by_layer(n, before=before, price="business") for n in (plain, normed))
    for name in expected:
        assert found[name].known == pytest.approx(expected[name].known, rel=1e-3)


def test_a_frozen_weight_has_no_gradient_and_no_update():
    torch.manual_seed(0)
    network = MLP(6, 3, widths=[5, 5])
    network.hidden.requires_grad_(False)
    rows = by_layer(network, before=weights(network), price="full")
    frozen, trained = rows["hidden.2"], rows["output"]
    assert (frozen.grad_std, frozen.weight_grad_std, frozen.update_ratio) == (None, None, None)
    assert frozen.noise_scale is None
    assert trained.weight_grad_std > 0
    assert trained.update_ratio == 0
    network.requires_grad_(False)
    assert by_layer(network)["output"].weight_grad_std is None


def test_units_that_nothing_tells_apart():
    network = MLP(6, 3, widths=[5, 5], activation="sigmoid")
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    assert [row.identical for row in by_layer(network).values()] == [1, 1, 1]
    with torch.no_grad():
        network.hidden[2].bias[4] = 0  # the first two rows are equal still
    assert by_layer(network)["hidden.2"].identical == 0
    zero_branch = nn.Sequential(nn.Linear(6, 6), Residual(nn.Linear(6, 6)), nn.Linear(6, 3))
    nn.init.zeros_(zero_branch[1][0].weight)
    nn.init.zeros_(zero_branch[1][0].bias)
    assert by_layer(zero_branch)["1.0"].identical == 0  # as Fixup has it: x + 0 differs by unit


class LastBits(nn.Linear):
    """Each unit's sum is rounded in another way, as by a kernel that sums in blocks."""

    def forward(self, x):
        z = super().forward(x)
        return z + torch.arange(self.out_features) * torch.finfo(z.dtype).eps * z.detach().abs()


def test_units_that_differ_by_rounding_alone_are_identical():
    network = nn.Sequential(LastBits(6, 5), nn.Sigmoid(), LastBits(5, 3))
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    assert [row.identical for row in by_layer(network).values()] == [1, 1]


def test_the_noise_scale_is_that_of_eight_parts():
    torch.manual_seed(0)
    network = nn.Linear(6, 3)
    x, y = batch(rows=83)
    grads = []
    for part in range(8):  # ten rows each; three are left over
        loss = functional.cross_entropy(network(x[part * 10 :][:10]), y[part * 10 :][:10])
        grads.append(torch.autograd.grad(loss, network.weight)[0].flatten().numpy())
    spread = sum(((g - np.mean(grads, 0)) ** 2).sum() for g in grads) / 7
    expected = 10 * spread / ((np.mean(grads, 0) ** 2).sum() - spread / 8)
    found = by_layer(network, x, y, price="business")[""]
    assert found.noise_scale == pytest.approx(expected, rel=1e-3)
    assert by_layer(network, x[:1], y[:1], price="business")[""].noise_scale is None


def test_each_price_adds_to_the_one_below():
    torch.manual_seed(0)
    network = MLP(6, 3, widths=[5])
    economy, business, full = (
        {(row.layer, name): value for row in rows for name, value in row.known.items()}
        for rows in (measure(network, cross_entropy, *batch(), price) for price in PRICES)
    )
    assert business.items() >= economy.items()
    assert {name for _, name in business.keys() - economy.keys()} == {"noise_scale"}
    assert full.items() >= business.items()
    added = full.keys() - business.keys()
    assert {name for layer, name in added if not layer} == {"sharpness", "sharpness_error"}
    assert {name for layer, name in added if layer} == {
        "jacobian_mean", "jacobian_min", "jacobian_max",
    }  # fmt: skip


@pytest.mark.parametrize("price", PRICES)
def test_the_network_is_left_as_it_was(price):
    torch.manual_seed(0)
    network = MLP(6, 3, widths=[8, 8], norm="batch", dropout=0.5)
    network.output.weight.grad = torch.ones_like(network.output.weight)
    parametrizations.spectral_norm(network.hidden[0])
    state = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    first = measure(network, cross_entropy, *batch(), price)
    assert all(module.training for module in network.modules())
    assert torch.equal(torch.get_rng_state(), random_state)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in state.items())
    grads = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    assert grads.keys() == {"output.weight"}
    assert grads["output.weight"].eq(1).all()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert measure(network, cross_entropy, *batch(), price) == first


def test_of_a_compiled_network_hooks_are_run():
    torch.manual_seed(0)
    network = MLP(6, 3, widths=[5])
    expected = by_layer(network)
    network.compile(backend="eager")
    x, _ = batch()
    network(x)
    assert by_layer(network) == expected


def test_integer_inputs():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(8, 3))
    x = torch.randint(9, (16, 2))
    rows = by_layer(network, x, torch.randint(3, (16,)), price="full")
    assert list(rows) == ["", "0", "2"]
    assert rows["0"].activation_std == pytest.approx(network[0](x).std(correction=0).item())
    assert rows["0"].jacobian_mean is None


def test_a_price_that_there_is_not():
    with pytest.raises(ValueError, match="price='cheap': allowed are economy, business, full"):
        measure(nn.Linear(6, 3), cross_entropy, *batch(), "cheap")


def test_a_network_without_layers():
    with pytest.raises(ValueError, match="no Linear, Conv or Embedding"):
        measure(nn.Identity(), cross_entropy, *batch(features=3))
