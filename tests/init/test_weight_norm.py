"""The data-dependent init of weight normalisation: mean 0 and variance 1, unit by unit."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from theta0.init import WeightNorm
from theta0.models import MLP, ResidualMLP

INPUTS = 3 + 2 * torch.randn(600, 20, generator=torch.Generator().manual_seed(5))
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def outputs(network, inputs):
    """[N, units] of each Linear and Conv; the positions of a convolution are rows."""
    found = {}

    def gather(name):
        def hook(layer, args, output):
            units = output if isinstance(layer, nn.Linear) else output.movedim(1, -1)
            found[name] = units.flatten(0, -2).double()

        return hook

    hooks = [
        layer.register_forward_hook(gather(name))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    with torch.no_grad():
        network(inputs)
    for hook in hooks:
        hook.remove()
    return found


def assert_standardised(network, inputs, layers, atol):
    found = outputs(network, inputs)
    assert len(found) == layers
    for units in found.values():
        mean, variance = units.mean(0), units.var(0, correction=0)
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=atol, rtol=0)
        torch.testing.assert_close(variance, torch.ones_like(variance), atol=atol, rtol=0)


def test_one_layer_is_equation_6():
    """g = 1/σ and b = −μ/σ of t = v·x/‖v‖, v as drawn."""
    layer = weight_norm(nn.Linear(20, 8)).double()
    WeightNorm(samples=600)(layer, generator(), INPUTS)
    g, v = layer.parametrizations.weight.parameters()
    drawn = torch.empty(8, 20, dtype=torch.float64).normal_(0, 0.05, generator=generator())
    torch.testing.assert_close(v, drawn)
    t = INPUTS.double() @ (v / v.norm(dim=1, keepdim=True)).T
    mean, std = t.mean(0), t.std(0, correction=0)
    torch.testing.assert_close(g.squeeze(1), 1 / std)
    torch.testing.assert_close(layer.bias, -mean / std)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "sin"])
def test_every_unit_of_every_layer(activation, dtype):
    network = MLP(20, 5, widths=[32] * 10, activation=activation, norm="weight").to(dtype)
    reports = WeightNorm(samples=600)(network, generator(), INPUTS)
    assert_standardised(network, INPUTS.to(dtype), 11, TOLERANCE[dtype])
    assert [r.name for r in reports] == [name for name, _ in network.named_parameters()]
    assert {r.scheme for r in reports} == {"weight norm"}
    for report in reports:
        parameter = network.get_parameter(report.name).double()
        assert report.drawn_std == pytest.approx(parameter.std(correction=0).item())


@pytest.mark.parametrize(
    "network",
    [
        MLP(20, 5, widths=(20, 20), norm="weight", residual=True, dropout=0.5),
        ResidualMLP(20, 5, width=16, norm="weight"),
        ResidualMLP(20, 5, width=16, norm="weight", branch="scaled", dropout=0.5),
    ],
)
def test_residual_networks_and_dropout(network):
    WeightNorm(samples=600)(network.double(), generator(), INPUTS)
    layers = sum(isinstance(m, nn.Linear) for m in network.modules())
    assert network.training
    assert_standardised(network.eval(), INPUTS.double(), layers, 1e-10)


def test_convolutions():
    network = nn.Sequential(
        weight_norm(nn.Conv2d(3, 8, 3)),
        nn.ReLU(inplace=True),
        weight_norm(nn.Conv2d(8, 8, 3, groups=2)),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        weight_norm(nn.Linear(8 * 6 * 6, 5)),
    ).double()
    images = torch.randn(100, 3, 10, 10, generator=generator(1), dtype=torch.float64)
    WeightNorm()(network, generator(), images)
    assert_standardised(network, images, 3, 1e-10)


def test_the_length_of_v_is_no_part_of_the_function():
    short, long = (MLP(20, 5, norm="weight").double() for _ in range(2))
    WeightNorm(std=0.05)(short, generator(), INPUTS)
    WeightNorm(std=0.5)(long, generator(), INPUTS)
    x = INPUTS.double()
    torch.testing.assert_close(short(x), long(x))
    v, tenfold = (net.output.parametrizations.weight.original1 for net in (short, long))
    torch.testing.assert_close(tenfold, 10 * v)


def test_one_seed_one_start():
    def start(seed):
        network = MLP(20, 5, norm="weight")
        WeightNorm(samples=64)(network, generator(seed), INPUTS)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    assert torch.equal(start(0), start(0))
    assert not torch.equal(start(0), start(1))


@pytest.mark.parametrize(
    ("network", "layer"),
    [
        (MLP(20, 5), "hidden.0"),
        (MLP(20, 5, norm="weight", bias=False), "hidden.0"),
        (ResidualMLP(20, 5, norm="weight", branch="fixup"), "blocks.0.3"),
        (nn.Sequential(weight_norm(nn.Linear(20, 20), dim=1)), "0"),
        (nn.Sequential(weight_norm(nn.ConvTranspose2d(3, 4, 2))), "0"),
        (nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(20, 5))), "0"),
    ],
)
def test_another_network_is_refused_and_left_as_it_was(network, layer):
    before = [p.detach().clone() for p in network.parameters()]
    with pytest.raises(ValueError) as error:
        WeightNorm()(network, generator(), INPUTS)
    assert str(error.value) == (
        f"WeightNorm: {layer} is not a weight-normed layer with a bias:"
        " use model=weight_norm_mlp or model.norm=weight"
    )
    assert all(map(torch.equal, before, network.parameters()))


def test_a_constant_unit_is_refused():
    network = MLP(20, 5, norm="weight")
    with pytest.raises(ValueError) as error:
        WeightNorm()(network, generator(), torch.ones(50, 20))
    assert str(error.value) == (
        "WeightNorm: 256 of 256 units of hidden.0 are constant, or not finite, on the batch"
    )
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("arguments", [{"std": 0.0}, {"std": float("inf")}, {"samples": 0}])
def test_errors_are_one_line(arguments):
    ((key, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"^{key}={value}: must be [^\n]*$"):
        WeightNorm(**arguments)
