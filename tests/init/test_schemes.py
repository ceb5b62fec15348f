"""Each scheme's numbers: moments, shape of the distribution, orthogonality."""

import math

import pytest
import torch
from torch import nn

from theta0.init import Normal, Orthogonal, TorchDefault, Uniform, VarianceScaling, Zeros, fans

LAYERS = {
    "square": lambda: nn.Linear(256, 256),
    "wide": lambda: nn.Linear(64, 512),
    "tall": lambda: nn.Linear(512, 64),
    "conv": lambda: nn.Conv2d(32, 64, 3),
    "grouped": lambda: nn.Conv2d(64, 128, 3, groups=4),
    "transposed": lambda: nn.ConvTranspose2d(32, 64, 3),
    "embedding": lambda: nn.Embedding(500, 64),
}
RELU = math.sqrt(2)
# name -> scheme, gain of a hidden layer, fan from (fan_in, fan_out), distribution
SCALED = {
    "xavier": (
        VarianceScaling(fan="avg", distribution="uniform", gain=1.0),
        1.0,
        lambda i, o: (i + o) / 2,
        "uniform",
    ),
    "xavier_normal": (
        VarianceScaling(fan="avg", distribution="normal", gain=1.0),
        1.0,
        lambda i, o: (i + o) / 2,
        "normal",
    ),
    "he": (VarianceScaling(gain="forward"), RELU, lambda i, o: i, "normal"),
    "he_out": (VarianceScaling(gain="forward", fan="out"), RELU, lambda i, o: o, "normal"),
    "he_uniform": (
        VarianceScaling(gain="forward", distribution="uniform"),
        RELU,
        lambda i, o: i,
        "uniform",
    ),
    "tanh": (
        VarianceScaling(gain="torch", activation="tanh"),
        5 / 3,
        lambda i, o: i,
        "normal",
    ),
    "lecun": (VarianceScaling(gain=1.0), 1.0, lambda i, o: i, "normal"),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def hidden(scheme, make, seed=0):
    """`make()`, filled as a layer that is not the output; with its report."""
    network = nn.ModuleDict({"layer": make(), "output": nn.Linear(2, 2)})
    report = scheme(network, generator(seed))[0]
    assert report.name == "layer.weight"
    return network["layer"], report


def assert_moments(weight, std, distribution, mean=0.0):
    """Mean, std and fourth moment within 4 standard errors; bounds for a uniform."""
    x = weight.detach().double().flatten() - mean
    n = x.numel()
    kurtosis, eighth = {"normal": (3.0, 105.0), "uniform": (1.8, 9.0)}[distribution]
    assert abs(x.mean().item()) < 4 * std / math.sqrt(n)
    assert abs((x**2).mean().item() / std**2 - 1) < 4 * math.sqrt((kurtosis - 1) / n)
    assert abs((x**4).mean().item() / std**4 - kurtosis) < 4 * math.sqrt((eighth - kurtosis**2) / n)
    if distribution == "uniform":
        bound = math.sqrt(3) * std
        assert 0.999 * bound < x.abs().max().item() <= bound * (1 + 1e-6)


@pytest.mark.parametrize("shape", LAYERS)
@pytest.mark.parametrize("name", SCALED)
def test_variance_scaling(name, shape):
    scheme, gain, fan, distribution = SCALED[name]
    gain = 1.0 if shape == "embedding" else gain
    layer, report = hidden(scheme, LAYERS[shape])
    fan_in, fan_out = fans(layer)
    expected = gain / math.sqrt(fan(fan_in, fan_out))
    assert report.asked_std == pytest.approx(expected)
    assert report.gain == pytest.approx(gain)
    assert (report.fan_in, report.fan_out) == (fan_in, fan_out)
    assert report.drawn_std == pytest.approx(layer.weight.double().std(correction=0).item())
    assert_moments(layer.weight, expected, distribution)


def test_xavier_is_not_he_with_relu():
    """On a square ReLU layer He's variance is twice Xavier's."""
    he, _ = hidden(SCALED["he"][0], LAYERS["square"])
    xavier, _ = hidden(SCALED["xavier_normal"][0], LAYERS["square"])
    torch.testing.assert_close(he.weight, xavier.weight * RELU)


@pytest.mark.parametrize("shape", LAYERS)
def test_normal_uniform_zeros(shape):
    layer, report = hidden(Normal(std=0.02, mean=0.5), LAYERS[shape])
    assert_moments(layer.weight, 0.02, "normal", mean=0.5)
    assert (report.gain, report.asked_std) == (None, 0.02)

    layer, report = hidden(Uniform(low=0.0, high=0.1), LAYERS[shape])
    assert_moments(layer.weight, 0.1 / math.sqrt(12), "uniform", mean=0.05)
    assert report.gain is None
    assert report.asked_std == pytest.approx(0.1 / math.sqrt(12))

    layer, report = hidden(Zeros(), LAYERS[shape])
    assert not layer.weight.any()
    assert (report.gain, report.asked_std, report.drawn_std) == (None, 0.0, 0.0)


@pytest.mark.parametrize("gain", [1.0, 0.5, "forward"])
@pytest.mark.parametrize("shape", LAYERS)
def test_orthogonal(shape, gain):
    layer, report = hidden(Orthogonal(gain=gain), LAYERS[shape])
    number = 1.0 if shape == "embedding" else RELU if gain == "forward" else gain
    groups = getattr(layer, "groups", 1)
    for matrix in layer.weight.detach().double().flatten(1).chunk(groups):
        rows, columns = matrix.shape
        gram = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
        identity = torch.eye(min(rows, columns), dtype=torch.float64)
        torch.testing.assert_close(gram, number**2 * identity, atol=1e-5, rtol=0)
    expected = number / math.sqrt(max(rows, columns))
    assert report.asked_std == pytest.approx(expected)
    assert report.drawn_std == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("shape", ["square", "wide", "tall", "conv"])
def test_orthogonal_draws_what_torch_draws(shape):
    layer, _ = hidden(Orthogonal(gain=1.0), LAYERS[shape], seed=3)
    expected = nn.init.orthogonal_(torch.empty_like(layer.weight), generator=generator(3))
    torch.testing.assert_close(layer.weight.detach(), expected, atol=1e-5, rtol=0)


def test_orthogonal_signs_are_fixed():
    """Haar: the diagonal of Q has mean 0; without the signs LAPACK's is negative."""
    diagonals = [
        hidden(Orthogonal(gain=1.0), LAYERS["square"], s)[0].weight.diagonal() for s in (0, 1)
    ]
    mean = torch.cat(diagonals).mean().item()
    assert abs(mean) < 4 / math.sqrt(256 * 512)


@pytest.mark.parametrize("shape", LAYERS)
def test_torch_default_is_what_the_constructor_draws(shape):
    """Bit for bit: the same seed, once in torch's global generator and once in ours."""
    layer, report = hidden(TorchDefault(), LAYERS[shape], seed=5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = LAYERS[shape]()
    for ours, theirs in zip(layer.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert report.gain is None
    if shape == "embedding":
        assert_moments(layer.weight, report.asked_std, "normal")
    else:
        bound = 1 / math.sqrt(layer.weight[0].numel())
        assert report.asked_std == pytest.approx(bound / math.sqrt(3))
        assert_moments(layer.weight, bound / math.sqrt(3), "uniform")
        assert layer.bias.abs().max() <= bound


def test_he_keeps_the_second_moment_and_torch_default_loses_a_factor_of_six():
    def moments(scheme, activation):
        layers = [m for _ in range(8) for m in (nn.Linear(512, 512), activation())]
        network = nn.Sequential(*layers, nn.Linear(512, 512))
        scheme(network, generator())
        x = torch.randn(256, 512, generator=generator(1))
        values = [x := m(x) for m in network]
        return [values[i].square().mean().item() for i in range(0, 16, 2)]

    he = moments(VarianceScaling(gain="forward"), nn.ReLU)
    assert he[0] == pytest.approx(2, rel=0.1)  # the input is no ReLU's output: E[x²] = 1, not 1/2
    assert he[7] == pytest.approx(he[0], rel=0.25)
    default = moments(TorchDefault(bias="zeros"), nn.ReLU)
    assert default[7] == pytest.approx(default[0] / 6**7, rel=0.25)
    selu = moments(VarianceScaling(gain="forward", activation="selu"), nn.SELU)
    assert selu[7] == pytest.approx(1, rel=0.25)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VarianceScaling(fan="fan_in"), "fan='fan_in': allowed are in, out, avg"),
        (lambda: VarianceScaling(distribution="cauchy"), "distribution='cauchy': allowed"),
        (lambda: VarianceScaling(gain="relu"), "gain='relu': allowed"),
        (lambda: VarianceScaling(gain="forward", activation="rleu"), "activation='rleu': "),
        (lambda: VarianceScaling(output_gain=-1.0), "output_gain=-1.0: "),
        (lambda: Orthogonal(bias="ones"), "bias='ones': allowed are zeros, torch"),
        (lambda: Normal(std=-1.0), "std=-1.0: "),
        (lambda: Uniform(low=1.0, high=0.0), "low=1.0, high=0.0: "),
    ],
)
def test_errors_are_one_line(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
