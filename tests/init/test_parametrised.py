"""A weight that is computed from other parameters gets what the scheme draws, or the run stops."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm
from torch.nn.utils.parametrize import register_parametrization

from theta0.init import (
    Identity,
    MeanField,
    Normal,
    Orthogonal,
    Siren,
    Sparse,
    TorchDefault,
    VarianceScaling,
    Zeros,
)

SCHEMES = {
    "he": VarianceScaling(gain="forward"),
    "orthogonal": Orthogonal(),
    "torch default": TorchDefault(),
    "sparse": Sparse(),
    "siren": Siren(),
    "mean field": MeanField(bias_variance=0.1),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(parametrise=lambda layer: layer):
    return nn.Sequential(
        parametrise(nn.Conv2d(3, 8, 3)),
        nn.BatchNorm2d(8),
        nn.Flatten(),
        parametrise(nn.Linear(8 * 16, 32)),
        nn.ReLU(),
        parametrise(nn.Linear(32, 10)),
    )


@pytest.mark.parametrize("name", SCHEMES)
def test_weight_norm_gets_the_weights_of_a_plain_network(name):
    plain, normed = network(), network(weight_norm)
    SCHEMES[name](plain, generator())
    reports = SCHEMES[name](normed, generator())
    for i in (0, 3, 5):
        assert torch.equal(normed[i].parametrizations.weight.original1, plain[i].weight)
        torch.testing.assert_close(normed[i].weight, plain[i].weight, rtol=1e-6, atol=1e-7)
        norms = plain[i].weight.flatten(1).norm(dim=1)
        torch.testing.assert_close(normed[i].parametrizations.weight.original0.flatten(), norms)
        assert torch.equal(normed[i].bias, plain[i].bias)
    x = torch.randn(4, 3, 6, 6, generator=generator(1))
    torch.testing.assert_close(normed(x), plain(x))
    assert [r.name for r in reports] == [n for n, _ in normed.named_parameters()]


def test_the_report_says_so():
    scheme = VarianceScaling(gain="forward")
    rows = {row.name: row for row in scheme(network(weight_norm), generator())}
    for part in ("original0", "original1"):
        row = rows[f"3.parametrizations.weight.{part}"]
        assert row.scheme == "normal fan-in through WeightNorm"
        assert (row.fan_in, row.fan_out) == (128, 32)
        assert row.gain == pytest.approx(2**0.5)
    assert rows["3.parametrizations.weight.original1"].shape == (32, 128)
    assert rows["3.bias"].scheme == "zeros"
    assert rows["1.weight"].scheme == "ones"


def test_one_seed_one_start():
    """Whatever the constructor drew."""
    first, second = network(weight_norm), network(weight_norm)
    for net in (first, second):
        SCHEMES["he"](net, generator(3))
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(p, q)


def test_an_orthogonal_weight_takes_an_orthogonal_one():
    plain, tied_down = nn.Linear(16, 16), orthogonal(nn.Linear(16, 16))
    Orthogonal()(plain, generator())
    rows = Orthogonal()(tied_down, generator())
    torch.testing.assert_close(tied_down.weight, plain.weight, rtol=0, atol=1e-6)
    assert {row.scheme for row in rows} == {"orthogonal through Orthogonal", "zeros"}


def test_a_weight_that_the_parametrisation_changes_is_reported_as_changed():
    tied_down = orthogonal(nn.Linear(16, 16))
    before = tied_down.weight.detach().clone()
    rows = Normal()(tied_down, generator())
    weight = tied_down.weight.detach()
    torch.testing.assert_close(weight @ weight.T, torch.eye(16), atol=1e-5, rtol=0)
    assert not torch.allclose(weight, before)
    assert rows[1].scheme == "normal changed by Orthogonal"

    plain, bounded = nn.Linear(16, 16), spectral_norm(nn.Linear(16, 16))
    Normal(std=1.0)(plain, generator())
    rows = Normal(std=1.0)(bounded, generator())
    assert torch.equal(bounded.parametrizations.weight.original, plain.weight)
    assert rows[1].scheme == "normal changed by SpectralNorm"


class Double(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, w):
        return w / 2


class OneWay(nn.Module):
    def forward(self, x):
        return x.exp()


def test_parametrisations_of_ones_own_and_of_other_tensors():
    layer = nn.Linear(5, 4)
    register_parametrization(layer, "weight", Double())
    register_parametrization(layer, "bias", Double())
    rows = {r.name: r for r in Sparse(bias="constant", bias_value=0.5)(layer, generator())}
    plain = nn.Linear(5, 4)
    Sparse()(plain, generator())
    assert torch.equal(layer.weight, plain.weight)
    assert torch.equal(layer.bias, torch.full((4,), 0.5))
    assert rows["parametrizations.bias.original"].scheme == "constant through Double"

    norm = nn.LayerNorm(4)
    register_parametrization(norm, "weight", Double())
    Normal()(norm, generator())
    assert torch.equal(norm.weight, torch.ones(4))


def one_way():
    layer = nn.Linear(4, 4)
    register_parametrization(layer, "weight", OneWay())
    return layer


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
@pytest.mark.parametrize(
    ("make", "scheme", "message"),
    [
        (one_way, Normal(), "0.weight: OneWay has no right_inverse, so no value can be assigned"),
        (
            lambda: orthogonal(nn.Linear(4, 4), use_trivialization=False),
            Normal(),
            "0.weight: no value can be assigned to Orthogonal: It is not possible",
        ),
        (
            lambda: weight_norm(nn.Linear(4, 4)),
            Zeros(),
            "0.weight: WeightNorm cannot yield the values of zeros: some become nan",
        ),
        (
            lambda: weight_norm(nn.Linear(3, 4)),
            Identity(),
            "0.weight: WeightNorm cannot yield the values of identity: some become nan",
        ),
        (
            lambda: torch.nn.utils.weight_norm(nn.Linear(4, 4)),
            Normal(),
            "0.weight: is not a parameter, so no scheme can fill it",
        ),
    ],
)
def test_a_weight_that_cannot_be_set_is_an_error(make, scheme, message):
    with pytest.raises(ValueError) as error:
        scheme(nn.Sequential(make()), generator())
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
