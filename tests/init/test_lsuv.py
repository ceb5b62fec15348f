"""LSUV: unit variance of every layer's output, whatever follows it."""

import math

import pytest
import torch
from torch import nn

from theta0.init import LSUV, Orthogonal
from theta0.models import MLP, ResidualMLP

INPUTS = 3 + 2 * torch.randn(600, 20, generator=torch.Generator().manual_seed(5))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def variances(network, inputs):
    """Of the output of each Linear and Conv, in the order of execution."""
    found = {}

    def measure(name):
        def hook(layer, args, output):
            found.setdefault(name, output.double().var(correction=0).item())

        return hook

    hooks = [
        layer.register_forward_hook(measure(name))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    with torch.no_grad():
        network(inputs)
    for hook in hooks:
        hook.remove()
    return found


def test_one_layer_by_hand():
    layer = nn.Linear(20, 8)
    (weight, bias) = LSUV(samples=600, tol=1e-6, max_iterations=1)(layer, generator(), INPUTS)
    blind = nn.Linear(20, 8)
    Orthogonal(gain=1.0)(blind, generator())
    std = blind(INPUTS).var(correction=0).sqrt()
    torch.testing.assert_close(layer.weight, blind.weight / std)
    assert not layer.bias.any()
    assert (weight.scheme, weight.gain) == ("lsuv", pytest.approx(1 / std.item()))
    assert weight.drawn_std == pytest.approx(layer.weight.std(correction=0).item())
    assert (bias.scheme, bias.drawn_std) == ("zeros", 0.0)


@pytest.mark.parametrize("tol", [0.1, 1e-4])
@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "sin"])
def test_thirty_layers(name, tol):
    """On all the rows it has seen: within tol after ten divisions at most; else it raises."""
    network = MLP(20, 5, widths=[64] * 30, activation=name)
    reports = LSUV(samples=600, tol=tol, max_iterations=10)(network, generator(), INPUTS)
    found = variances(network, INPUTS)
    assert len(found) == 31
    assert all(abs(variance - 1) < tol for variance in found.values())
    assert sum(report.scheme == "lsuv" for report in reports) == 31


def test_it_finds_the_gain_of_he():
    """√2 for ReLU, up to the sample; and 1.59 for tanh."""
    for name, gain in (("relu", math.sqrt(2)), ("tanh", 1.5925)):
        network = MLP(20, 5, widths=[256] * 8, activation=name)
        reports = LSUV(tol=1e-4)(network, generator(), INPUTS)
        gains = [report.gain for report in reports if report.gain is not None][1:-1]
        assert gains == pytest.approx([gain] * 7, rel=0.1)


def test_only_so_many_rows_are_seen():
    network = MLP(20, 5)
    LSUV(samples=32, tol=1e-4)(network, generator(), INPUTS)
    rows = generator()
    Orthogonal()(MLP(20, 5), rows)  # drawn first
    seen = INPUTS[torch.randperm(600, generator=rows)[:32]]
    assert all(abs(v - 1) < 1e-4 for v in variances(network, seen).values())
    assert all(abs(v - 1) > 1e-4 for v in variances(network, INPUTS).values())


def test_convolutions_and_what_follows_them_in_place():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, stride=2, groups=2),
        nn.LeakyReLU(inplace=True),
        nn.ConvTranspose2d(8, 4, 3),
        nn.Hardtanh(inplace=True),
        nn.Flatten(),
        nn.Linear(4 * 6 * 6, 5),
    )
    images = torch.randn(100, 3, 10, 10, generator=generator(1))
    network(images[:2])
    reports = LSUV(tol=1e-4)(network, generator(), images)
    assert sum(report.scheme == "lsuv" for report in reports) == 4
    for i in (0, 2, 4, 7):
        z = network[:i](images.clone()) if i else images
        assert network[i](z).var(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_dropout_and_batch_norm_rest_and_wake_up_as_they_were():
    network = nn.Sequential(
        *(nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.9), nn.Linear(64, 64)),
        *(nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 5)),
    )
    network[5].eval()  # frozen by the user
    before = [module.training for module in network.modules()]
    network[1].running_mean.fill_(7.0)
    LSUV(samples=600, tol=1e-4)(network, generator(), INPUTS)
    assert [module.training for module in network.modules()] == before
    assert not network[1].running_mean.any()
    assert not any(module._forward_hooks for module in network.modules())
    assert all(abs(v - 1) < 1e-4 for v in variances(network.eval(), INPUTS).values())


def test_order_of_execution_not_of_modules():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(30, 5), nn.Linear(20, 30)
            self.unused = nn.Linear(2, 2)

        def forward(self, x):
            return self.last(self.first(x).exp())

    network = Backwards()
    reports = LSUV(samples=600, tol=1e-4)(network, generator(), INPUTS)
    found = variances(network, INPUTS)
    assert list(found) == ["first", "last"]
    assert all(abs(v - 1) < 1e-4 for v in found.values())
    schemes = {r.name: r.scheme for r in reports if r.parameter == "weight"}
    assert schemes == {"last.weight": "lsuv", "first.weight": "lsuv", "unused.weight": "orthogonal"}


def test_a_shared_layer_is_scaled_to_its_first_call():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.tied = nn.Linear(20, 20), nn.Linear(20, 20)
            self.tied.weight = self.inner.weight

        def forward(self, x):
            return self.tied(self.inner(self.inner(x).relu()).relu())

    network = Shared()
    LSUV(samples=600, tol=1e-4)(network, generator(), INPUTS)
    assert variances(network, INPUTS)["inner"] == pytest.approx(1, abs=1e-4)
    assert network.tied.weight is network.inner.weight


@pytest.mark.parametrize("branch", ["plain", "scaled", "fixup"])
def test_residual_networks(branch):
    network = ResidualMLP(20, 5, width=32, branch=branch)
    scales = [p.detach().clone() for name, p in network.named_parameters() if "scale" in name]
    LSUV(samples=600, tol=1e-4)(network, generator(), INPUTS)
    assert all(abs(v - 1) < 1e-4 for v in variances(network, INPUTS).values())
    assert scales == [p for name, p in network.named_parameters() if "scale" in name]


def test_weight_norm():
    """g carries the scale, and v is as long as g."""
    network = MLP(20, 5, norm="weight")
    reports = LSUV(samples=600, tol=1e-4)(network, generator(), INPUTS)
    assert all(abs(v - 1) < 1e-4 for v in variances(network, INPUTS).values())
    names = [name for name, _ in network.named_parameters()]
    assert [report.name for report in reports] == names
    assert {r.scheme for r in reports if r.parameter != "bias"} == {"lsuv"}


def test_float64_and_one_seed_one_start():
    def start(seed, dtype=torch.float64):
        network = MLP(20, 5).to(dtype)
        LSUV(samples=64)(network, generator(seed), INPUTS)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    assert start(0).dtype == torch.float64
    assert torch.equal(start(0), start(0))
    assert not torch.equal(start(0), start(1))


def test_a_constant_output_is_refused():
    network = MLP(20, 5)
    with pytest.raises(ValueError) as error:
        LSUV()(network, generator(), torch.zeros(10, 20))
    assert str(error.value) == "LSUV: the output of hidden.0 has variance 0 on the batch"
    assert not any(module._forward_hooks for module in network.modules())
    assert all(module.training for module in network.modules())


def test_a_layer_whose_scale_is_fixed_is_refused():
    network = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(20, 8)))
    with pytest.raises(ValueError, match=r"^LSUV: the output of 0 still has variance [\d.]+ after"):
        LSUV(tol=1e-4)(network, generator(), INPUTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "samples=0: must be at least 1"),
        ({"tol": 0.0}, "tol=0.0: must be a number > 0"),
        ({"tol": float("nan")}, "tol=nan: must be a number > 0"),
        ({"max_iterations": 0}, "max_iterations=0: must be at least 1"),
    ],
)
def test_errors_are_one_line(arguments, message):
    with pytest.raises(ValueError) as error:
        LSUV(**arguments)
    assert str(error.value) == message
