"""An MLP whose weights are g·v/‖v‖ (Salimans & Kingma 2016)."""

import copy
import io

import pytest
import torch

from theta0.models import MLP

X = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
LAYERS = ("hidden.0", "hidden.2", "output")


def network(seed=0):
    torch.manual_seed(seed)
    return MLP(6, 3, widths=(8, 8), activation="tanh", norm="weight")


def g_and_v(net, layer):
    weight = net.get_submodule(layer).parametrizations.weight
    return weight.original0, weight.original1


def test_names_and_shapes():
    shapes = {name: tuple(value.shape) for name, value in network().state_dict().items()}
    assert shapes == {
        "hidden.0.bias": (8,),
        "hidden.0.parametrizations.weight.original0": (8, 1),
        "hidden.0.parametrizations.weight.original1": (8, 6),
        "hidden.2.bias": (8,),
        "hidden.2.parametrizations.weight.original0": (8, 1),
        "hidden.2.parametrizations.weight.original1": (8, 8),
        "output.bias": (3,),
        "output.parametrizations.weight.original0": (3, 1),
        "output.parametrizations.weight.original1": (3, 8),
    }


def test_forward_is_the_formula():
    """And a unit's weight is as long as its g."""
    net, x = network(), X
    for layer in LAYERS:
        g, v = g_and_v(net, layer)
        torch.nn.init.uniform_(g, 0.5, 2.0)
        weight = net.get_submodule(layer).weight
        torch.testing.assert_close(weight.norm(dim=1, keepdim=True), g)
        x = x @ (g * v / v.norm(dim=1, keepdim=True)).T + net.get_submodule(layer).bias
        x = x if layer == "output" else x.tanh()
    torch.testing.assert_close(net(X), x)


def test_at_first_it_is_the_network_without():
    net = network()
    torch.manual_seed(0)
    torch.testing.assert_close(net(X), MLP(6, 3, widths=(8, 8), activation="tanh")(X))


def test_a_copy_and_a_saved_one_are_the_same_function():
    net, other = network(), network(seed=1)
    copied = copy.deepcopy(net)
    assert torch.equal(copied(X), net(X))
    g_and_v(copied, "output")[0].data.zero_()
    assert not torch.equal(copied(X), net(X))  # a copy of its own
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(X), net(X))


def test_v_turns_but_never_shrinks():
    """The gradient of v is orthogonal to v, so plain SGD lengthens it (Salimans & Kingma, 2.1)."""
    net = network().double()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    lengths = []
    for _ in range(10):
        optimizer.zero_grad()
        net(X.double()).square().mean().backward()
        for layer in LAYERS:
            _, v = g_and_v(net, layer)
            assert v.grad.norm() > 1e-4
            torch.testing.assert_close((v * v.grad).sum(1), v.new_zeros(len(v)), atol=1e-15, rtol=0)
        lengths.append(torch.cat([g_and_v(net, layer)[1].norm(dim=1) for layer in LAYERS]))
        optimizer.step()
    growth = torch.stack(lengths).diff(dim=0)
    assert (growth > 0).all()


def test_compiles_without_a_graph_break():
    net = network().eval()
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(X), net(X))


@pytest.mark.parametrize("bias", [True, False])
def test_count(bias):
    net = MLP(6, 3, widths=(8, 8), norm="weight", bias=bias)
    weights = 6 * 8 + 8 * 8 + 8 * 3
    units = 8 + 8 + 3
    assert sum(p.numel() for p in net.parameters()) == weights + units + bias * units
