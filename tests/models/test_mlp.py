from itertools import pairwise

import pytest
import torch
from torch import nn

from theta0.models import ACTIVATIONS, MLP, Linear


def test_names_shapes_and_count():
    net = MLP(784, 10)
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters()}
    assert shapes == {
        "hidden.0.weight": (256, 784),
        "hidden.0.bias": (256,),
        "hidden.2.weight": (256, 256),
        "hidden.2.bias": (256,),
        "output.weight": (10, 256),
        "output.bias": (10,),
    }
    assert sum(p.numel() for p in net.parameters()) == 784 * 256 + 256 * 256 + 256 * 10 + 522
    assert net(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize("widths", [(), (5,), [7, 7, 3]])
@pytest.mark.parametrize("bias", [True, False])
def test_count_of_any_widths(widths, bias):
    net = MLP(6, 2, widths=widths, bias=bias)
    expected = sum(a * b + bias * b for a, b in pairwise([6, *widths, 2]))
    assert sum(p.numel() for p in net.parameters()) == expected
    assert net(torch.zeros(4, 2, 3)).shape == (4, 2)
    assert any(name.endswith("bias") for name, _ in net.named_parameters()) is bias


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_forward_is_the_formula(name):
    net = MLP(4, 3, widths=(5, 6), activation=name)
    w1, b1, w2, b2, w3, b3 = net.parameters()
    phi = ACTIVATIONS[name]()
    x = torch.randn(7, 4)
    expected = phi(phi(x @ w1.T + b1) @ w2.T + b2) @ w3.T + b3
    torch.testing.assert_close(net(x), expected)


def test_sin():
    torch.testing.assert_close(
        ACTIVATIONS["sin"]()(torch.tensor([0.0, 0.5])).tolist(), [0.0, 0.4794255]
    )


def test_residual_adds_the_input_where_widths_are_equal():
    net = MLP(4, 2, widths=(4, 6, 6), activation="tanh", residual=True)
    w1, b1, w2, b2, w3, b3, w4, b4 = net.parameters()
    x = torch.randn(5, 4)
    h = x + torch.tanh(x @ w1.T + b1)
    h = torch.tanh(h @ w2.T + b2)  # 4 -> 6: nothing to add
    h = h + torch.tanh(h @ w3.T + b3)
    torch.testing.assert_close(net(x), h @ w4.T + b4)


def test_norm_stands_between_linear_and_activation():
    x = 3 + 2 * torch.randn(64, 8)
    for norm, dim, kind in (("batch", 0, nn.BatchNorm1d), ("layer", 1, nn.LayerNorm)):
        net = MLP(8, 2, widths=(16,), norm=norm)
        assert [type(m) for m in net.hidden] == [nn.Linear, kind, nn.ReLU]
        normed = net.hidden[:2](x)
        torch.testing.assert_close(
            normed.mean(dim), torch.zeros(normed.mean(dim).shape), atol=1e-5, rtol=0
        )
        torch.testing.assert_close(
            normed.var(dim, correction=0), torch.ones(normed.mean(dim).shape), atol=1e-3, rtol=0
        )
    assert [type(m) for m in MLP(8, 2, widths=(16,)).hidden] == [nn.Linear, nn.ReLU]


def test_rms_norm_divides_by_the_root_mean_square():
    net = MLP(8, 2, widths=(16,), norm="rms")
    assert [type(m) for m in net.hidden] == [nn.Linear, nn.RMSNorm, nn.ReLU]
    z = net.hidden[0](3 + 2 * torch.randn(64, 8))
    expected = z / z.square().mean(1, keepdim=True).sqrt()  # the mean stays
    torch.testing.assert_close(net.hidden[1](z), expected)
    assert [name for name, _ in net.hidden[1].named_parameters()] == ["weight"]


def test_dropout_acts_in_training_only():
    net = MLP(8, 2, widths=(4096,), activation="identity", dropout=0.25)
    assert [type(m) for m in net.hidden] == [nn.Linear, nn.Dropout]
    x = torch.randn(1, 8)
    net.eval()
    assert torch.equal(net(x), net(x))
    full = net.hidden(x)
    net.train()
    dropped = net.hidden(x)
    zero = dropped == 0
    assert abs(zero.float().mean().item() - 0.25) < 4 * (0.25 * 0.75 / 4096) ** 0.5
    torch.testing.assert_close(dropped[~zero], full[~zero] / 0.75)


def test_linear():
    net = Linear(6, 2)
    x = torch.randn(3, 2, 3)
    expected = x.reshape(3, 6) @ net.output.weight.T + net.output.bias
    torch.testing.assert_close(net(x), expected)
    assert [name for name, _ in Linear(6, 2, bias=False).named_parameters()] == ["output.weight"]


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_vmap_over_stacked_networks_equals_each_alone(norm):
    nets = [MLP(4, 3, widths=(5, 5), norm=norm, residual=True) for _ in range(3)]
    params, buffers = torch.func.stack_module_state(nets)
    x = torch.randn(3, 8, 4)
    stacked = torch.vmap(lambda p, b, x: torch.func.functional_call(nets[0], (p, b), (x,)))(
        params, buffers, x
    )
    alone = torch.stack([net(batch) for net, batch in zip(nets, x, strict=True)])
    torch.testing.assert_close(stacked, alone)


def test_compiles_without_a_graph_break():
    net = MLP(4, 3, widths=(5, 5), norm="batch", residual=True).eval()
    x = torch.randn(8, 4)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), net(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "rleu"}, "activation='rleu': allowed are relu, "),
        ({"norm": "group"}, "norm='group': allowed are none, batch, layer, rms, weight"),
        ({"norm": "group", "widths": ()}, "norm='group': allowed are none, "),
        ({"dropout": 1.0}, "dropout=1.0: "),
        ({"dropout": -0.1}, "dropout=-0.1: "),
        ({"widths": (8, 0)}, "sizes "),
    ],
)
def test_errors_are_one_line(arguments, message):
    with pytest.raises(ValueError) as error:
        MLP(4, 3, **arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
