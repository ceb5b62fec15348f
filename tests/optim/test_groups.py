"""Which parameters weight decay reaches, by name and by what a step does to them."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from theta0.models.residual import Scale, Shift
from theta0.optim import build_optimizer, parameter_groups


class Network(nn.Module):
    """One of each: what decay reaches, and what it does not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.group = nn.GroupNorm(2, 4)
        self.batch = nn.BatchNorm2d(4)
        self.instance = nn.InstanceNorm2d(4, affine=True)
        self.embedding = nn.Embedding(5, 4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.prelu = nn.PReLU()
        self.layer = nn.LayerNorm(4)
        self.rms = nn.RMSNorm(4)
        self.output = nn.Linear(4, 2)


DECAYED = {
    "conv.weight",
    "embedding.weight",
    "attention.in_proj_weight",
    "attention.out_proj.weight",
    "output.weight",
}


def names(network: nn.Module, groups) -> list[tuple[float, set[str]]]:
    known = {id(p): name for name, p in network.named_parameters()}
    return [(g["weight_decay"], {known[id(p)] for p in g["params"]}) for g in groups]


def all_names(network: nn.Module) -> set[str]:
    return {name for name, _ in network.named_parameters()}


def test_biases_and_normalisation_are_exempt():
    network = Network()
    assert names(network, parameter_groups(network, 0.1)) == [
        (0.1, DECAYED),
        (0.0, all_names(network) - DECAYED),
    ]


def test_scalar_factors_are_exempt():
    """ReZero's α, Fixup's multipliers; a PReLU's slope as He et al. 2015 have it."""
    network = nn.Sequential(Scale(0.0), Shift(), nn.PReLU(), nn.Linear(1, 1, bias=False))
    assert names(network, parameter_groups(network, 0.1)) == [
        (0.0, {"0.scale", "1.bias", "2.weight"}),
        (0.1, {"3.weight"}),
    ]


class Vectors(nn.Module):
    """Scales and shifts of modules that torch does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.ones(4))
        self.own_norm = nn.Module()
        self.own_norm.scale = nn.Parameter(torch.ones(4))
        self.prelu = nn.PReLU(4)
        self.normed = weight_norm(nn.Linear(1, 4))
        self.kernel = nn.Linear(4, 1)


def test_a_vector_and_the_lengths_of_weight_norm_are_exempt():
    network = Vectors()
    decayed = {"normed.parametrizations.weight.original1", "kernel.weight"}
    assert dict(names(network, parameter_groups(network, 0.1))) == {
        0.1: decayed,
        0.0: all_names(network) - decayed,
    }


def test_the_order_within_a_group_is_the_networks():
    """A checkpoint's optimizer state is by position."""
    network = Network()
    position = {id(p): i for i, p in enumerate(network.parameters())}
    groups = parameter_groups(network, 0.1)
    orders = [[position[id(p)] for p in group["params"]] for group in groups]
    assert orders == [sorted(order) for order in orders]
    assert sum(map(len, orders)) == len(position)


def test_decay_bias_and_norm_reaches_everything():
    network = Network()
    groups = parameter_groups(network, 0.1, decay_bias_and_norm=True)
    assert names(network, groups) == [(0.1, all_names(network))]


def test_one_group_without_decay():
    network = Network()
    assert names(network, parameter_groups(network, 0.0)) == [(0.0, all_names(network))]


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("everywhere", [False, True])
def test_frozen_parameters_are_in_no_group(decay, everywhere):
    network = Network()
    network.conv.requires_grad_(False)
    network.layer.requires_grad_(False)
    got = names(network, parameter_groups(network, decay, everywhere))
    expected = all_names(network) - {"conv.weight", "conv.bias", "layer.weight", "layer.bias"}
    assert set().union(*(group for _, group in got)) == expected


def test_no_empty_group():
    bare = nn.Linear(3, 2, bias=False)
    assert names(bare, parameter_groups(bare, 0.1)) == [(0.1, {"weight"})]
    norm = nn.LayerNorm(3)
    assert names(norm, parameter_groups(norm, 0.1)) == [(0.0, {"weight", "bias"})]


def test_a_shared_weight_is_in_one_group_once():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    groups = parameter_groups(network, 0.1)
    assert [len(group["params"]) for group in groups] == [1, 2]


@pytest.mark.parametrize(
    "layer", [nn.LSTM(2, 3), nn.GRU(2, 3), nn.MultiheadAttention(4, 2, add_bias_kv=True)]
)
def test_biases_of_every_torch_layer_are_exempt(layer):
    decayed = names(layer, parameter_groups(layer, 0.1))[0][1]
    assert not {name for name in decayed if "bias" in name}


# --------------------------------------------------------------------------------- what a step does


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)
    ).double()
    for p in net.parameters():
        nn.init.normal_(p)  # a bias of 0 would not show that it was left alone
    return net


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("fused", ["auto", None])
@pytest.mark.parametrize("factory", [torch.optim.AdamW, torch.optim.SGD])
def test_without_gradients_weights_shrink_by_the_decay_and_the_rest_stays(
    factory, fused, everywhere
):
    net = network()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = build_optimizer(
        factory, net, fused=fused, decay_bias_and_norm=everywhere, lr=0.1, weight_decay=0.5
    )
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    shrunk = {"0.weight", "2.weight", "4.weight"}
    for name, p in net.named_parameters():
        if everywhere or name in shrunk:
            torch.testing.assert_close(p.detach(), 0.95 * before[name], rtol=1e-15, atol=0)
        else:
            assert torch.equal(p, before[name]), name


def test_frozen_parameters_do_not_move():
    net = network()
    net[0].requires_grad_(False)
    before = net[0].weight.clone(), net[2].weight.detach().clone()
    optimizer = build_optimizer(torch.optim.AdamW, net, lr=0.1, weight_decay=0.5)
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert torch.equal(net[0].weight, before[0])
    assert not torch.equal(net[2].weight, before[1])


def test_a_factory_without_weight_decay_gets_a_plain_list():
    net = network()
    net[4].bias.requires_grad_(False)
    given = {}

    def factory(parameters, **settings):
        given.update(parameters=parameters, settings=settings)
        return torch.optim.SGD(parameters, **settings)

    (group,) = build_optimizer(factory, net, lr=0.1).param_groups
    assert given["settings"] == {"lr": 0.1}
    trained = [p for p in net.parameters() if p.requires_grad]
    assert [id(p) for p in given["parameters"]] == [id(p) for p in trained]
    assert len(group["params"]) == 9
