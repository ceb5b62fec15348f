"""Fixup and ReZero: residual networks whose first steps do not depend on their depth."""

import math

import pytest
import torch
from torch import nn

from theta0.init import LSUV, Fixup, MuP, Normal, Orthogonal, ReZero, VarianceScaling
from theta0.models import MLP, Residual, ResidualMLP, Scale, Shift

HE = VarianceScaling(gain="forward")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def spoilt(network):
    """Nothing in it is as its constructor left it."""
    for parameter in network.parameters():
        parameter.data.fill_(7.0)
    return network


def scalars(network, kind):
    return [p.item() for m in network.modules() if isinstance(m, kind) for p in m.parameters()]


# -------------------------------------------------------------------------------------------- Fixup


@pytest.mark.parametrize(("blocks", "layers"), [(5, 2), (9, 3), (4, 1)])
@pytest.mark.parametrize("branch", ["plain", "scaled", "fixup"])
def test_fixup_by_the_rules(branch, blocks, layers):
    network = spoilt(
        ResidualMLP(40, 10, width=64, blocks=blocks, layers_per_block=layers, branch=branch)
    )
    reports = {r.name: r for r in Fixup()(network, generator())}
    assert reports.keys() == dict(network.named_parameters()).keys()
    named = {module: name for name, module in network.named_modules()}
    for block in network.blocks:
        *inner, last = [m for m in block if isinstance(m, nn.Linear)]
        assert not last.weight.any()
        for layer in inner:
            std = math.sqrt(2 / 64) * blocks ** (-1 / (2 * layers - 2))
            assert reports[f"{named[layer]}.weight"].asked_std == pytest.approx(std)
            assert layer.weight.std().item() == pytest.approx(std, rel=4 / math.sqrt(2 * 64 * 64))
    assert not network.output.weight.any()
    he = math.sqrt(2 / 40)
    assert network.input.weight.std().item() == pytest.approx(he, rel=4 / math.sqrt(2 * 40 * 64))
    assert not any(p.any() for name, p in network.named_parameters() if "bias" in name)
    assert set(scalars(network, Scale)) <= {1.0}
    assert all(r.scheme in ("fixup", "zeros") for r in reports.values())


def test_fixup_on_an_mlp_with_residual_connections():
    """A branch of one layer: that layer is the last one."""
    network = spoilt(MLP(20, 5, widths=(32, 32, 32), residual=True))
    Fixup()(network, generator())
    assert sum(isinstance(m, Residual) for m in network.hidden) == 2
    x = torch.randn(7, 20)
    assert torch.equal(network.hidden(x), network.hidden[:2](x))
    assert network.hidden[0].weight.any()


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_fixup_starts_at_the_zero_function_and_the_identity(activation):
    network = spoilt(ResidualMLP(20, 5, branch="fixup", activation=activation))
    Fixup(activation=activation)(network, generator())
    x, h = torch.randn(7, 20), torch.randn(7, 128)
    assert torch.equal(network(x), torch.zeros(7, 5))
    assert torch.equal(network.blocks(h), h)


def change(scheme, blocks, layers=2):
    """By how much one step of SGD on a batch moves its outputs."""
    network = ResidualMLP(16, 4, width=32, blocks=blocks, layers_per_block=layers, branch="fixup")
    scheme(network.double(), generator())
    x = torch.randn(32, 16, generator=generator(1), dtype=torch.float64)
    labels = torch.randint(4, (32,), generator=generator(2))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
    before = network(x)
    nn.functional.cross_entropy(before, labels).backward()
    optimizer.step()
    return (network(x) - before).norm().item()


@pytest.mark.parametrize("output_gain", [0.0, 1.0])
def test_the_first_step_does_not_depend_on_the_depth(output_gain):
    """With a zero output layer it moves that layer alone; without, all L last layers at once."""
    scheme = Fixup(output_gain=output_gain)
    changes = [change(scheme, blocks) for blocks in (8, 64, 512)]
    assert max(changes) / min(changes) < 2
    changes = [change(scheme, blocks, layers=3) for blocks in (8, 64)]
    assert max(changes) / min(changes) < 2


def test_under_he_it_explodes():
    assert change(HE, 16) / change(HE, 4) > 1e3


def test_without_a_branch_fixup_refuses():
    network = MLP(20, 5)
    before = network.hidden[0].weight.clone()
    with pytest.raises(ValueError) as error:
        Fixup()(network, generator())
    assert str(error.value) == (
        "Fixup: the network has no residual branch (theta0.models.Residual):"
        " use model=fixup_mlp, model=residual_mlp or model.residual=true"
    )
    assert torch.equal(network.hidden[0].weight, before)


def test_a_weight_normed_row_cannot_be_zero():
    with pytest.raises(ValueError, match=r"WeightNorm cannot yield"):
        Fixup()(ResidualMLP(20, 5, norm="weight"), generator())


# ------------------------------------------------------------------------------------------- ReZero


@pytest.mark.parametrize("base", [HE, Orthogonal(), Normal(std=3.0)])
def test_rezero_is_the_identity_between_its_affine_maps(base):
    network = spoilt(ResidualMLP(20, 5, branch="scaled"))
    ReZero(base=base)(network, generator())
    h, x = torch.randn(7, 128), torch.randn(7, 20)
    assert torch.equal(network.blocks(h), h)
    assert torch.equal(network(x), network.output(network.input(x)))


def test_rezero_draws_the_weights_by_its_base():
    network, other = (ResidualMLP(20, 5, branch="scaled") for _ in range(2))
    reports = ReZero(alpha=0.5)(network, generator())
    assert scalars(network, Scale) == [0.5] * 4
    assert [r.name for r in reports] == [name for name, _ in network.named_parameters()]
    assert {r.scheme for r in reports if r.parameter == "scale"} == {"rezero"}
    he = HE(other, generator())
    weights = [r for r in reports if r.parameter != "scale"]
    assert weights == [r for r in he if r.parameter != "scale"]
    assert torch.equal(network.blocks[3][3].weight, other.blocks[3][3].weight)


def test_at_first_only_the_scales_move():
    network = ResidualMLP(20, 5, branch="scaled")
    ReZero()(network, generator())
    network(torch.randn(7, 20)).square().sum().backward()
    for block in network.blocks:
        assert not any(p.grad.any() for m in block[:-1] for p in m.parameters())
        assert block[-1].scale.grad != 0


def test_rezero_on_fixups_network():
    network = spoilt(ResidualMLP(20, 5, branch="fixup"))
    ReZero()(network, generator())
    assert set(scalars(network, Scale) + scalars(network, Shift)) == {0.0}


@pytest.mark.parametrize("base", [MuP(), LSUV()])
def test_rezero_refuses_a_base_that_needs_more_than_the_network(base):
    name = type(base).__name__
    with pytest.raises(ValueError, match=f"^base={name}: must not ask for data or set learning"):
        ReZero(base=base)


@pytest.mark.parametrize("network", [MLP(20, 5, residual=True), ResidualMLP(20, 5), MLP(20, 5)])
def test_without_scales_rezero_refuses(network):
    with pytest.raises(ValueError) as error:
        ReZero()(network, generator())
    assert str(error.value) == (
        "ReZero: the network needs branches x + α·f(x), that is theta0.models.Residual with a"
        " Scale: use model=rezero_mlp"
    )


# ---------------------------------------------------------------------------------- tensor schemes


@pytest.mark.parametrize("scheme", [HE, Orthogonal(), VarianceScaling(fan="avg")])
@pytest.mark.parametrize("branch", ["scaled", "fixup"])
def test_a_tensor_scheme_keeps_the_scalars(scheme, branch):
    network = ResidualMLP(20, 5, branch=branch)
    before = scalars(network, Scale | Shift)
    reports = scheme(network, generator())
    assert scalars(network, Scale | Shift) == before
    scalar = {r.name for r in reports if r.shape == (1,)}
    assert scalar == {r.name for r in reports if r.scheme == "kept"}
    assert len(scalar) == len(before)


@pytest.mark.parametrize("scheme", [HE, Orthogonal(), VarianceScaling(fan="avg")])
@pytest.mark.parametrize("make", [MLP, ResidualMLP])
def test_a_weight_normed_network_starts_as_the_plain_one(make, scheme):
    plain, normed = make(20, 5), make(20, 5, norm="weight")
    scheme(plain, generator())
    scheme(normed, generator())
    x = torch.randn(7, 20)
    torch.testing.assert_close(normed(x), plain(x))
