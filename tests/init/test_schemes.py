"""Each scheme's numbers: moments, shape of the distribution, exact invariants."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.linalg import hadamard
from torch import nn

from theta0.init import (
    DeltaOrthogonal,
    Identity,
    MeanField,
    Normal,
    Orthogonal,
    Siren,
    Sparse,
    TorchDefault,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    Zeros,
    fans,
)
from theta0.init.gains import gaussian_mean
from theta0.init.schemes.truncated_normal import truncated_std
from theta0.models import MLP

LAYERS = {
    "square": lambda: nn.Linear(256, 256),
    "wide": lambda: nn.Linear(64, 512),
    "tall": lambda: nn.Linear(512, 64),
    "one unit": lambda: nn.Linear(900, 1),
    "one input": lambda: nn.Linear(1, 900),
    "conv": lambda: nn.Conv2d(32, 64, 3),
    "conv1d": lambda: nn.Conv1d(40, 30, 4),
    "grouped": lambda: nn.Conv2d(64, 128, 3, groups=4),
    "depthwise": lambda: nn.Conv2d(128, 128, 3, groups=128),
    "transposed": lambda: nn.ConvTranspose2d(32, 64, 3),
    "embedding": lambda: nn.Embedding(500, 64),
}
MATRICES = ["square", "wide", "tall"]
RELU = math.sqrt(2)
MEAN = {
    "in": lambda i, o: i,
    "out": lambda i, o: o,
    "avg": lambda i, o: (i + o) / 2,
    "geo": lambda i, o: math.sqrt(i * o),
}
# name -> scheme, √scale·gain of a hidden layer, of an Embedding
SCALED = {
    "xavier": (VarianceScaling(fan="avg", distribution="uniform"), 1.0, 1.0),
    "xavier normal": (VarianceScaling(fan="avg"), 1.0, 1.0),
    "he": (VarianceScaling(gain="forward"), RELU, 1.0),
    "he out": (VarianceScaling(gain="forward", fan="out"), RELU, 1.0),
    "he uniform": (VarianceScaling(gain="forward", distribution="uniform"), RELU, 1.0),
    "tanh": (VarianceScaling(gain="torch", activation="tanh"), 5 / 3, 1.0),
    "lecun": (VarianceScaling(), 1.0, 1.0),
    "lecun uniform": (VarianceScaling(distribution="uniform"), 1.0, 1.0),
    "geometric": (VarianceScaling(fan="geo", distribution="truncated_normal"), 1.0, 1.0),
    "keras he": (VarianceScaling(scale=2.0, distribution="truncated_normal"), RELU, RELU),
    "scale and gain": (VarianceScaling(scale=4.0, gain=0.5), 1.0, 2.0),
    "mean field": (MeanField(weight_variance=1.5), math.sqrt(1.5), math.sqrt(1.5)),
}


def truncated(low, high):
    """Mean, std, and fourth and eighth standardised moments of a cut normal, by Riemann's sum."""
    z = np.linspace(low, high, 200001)
    density = np.exp(-z * z / 2)
    density /= density.sum()
    mean = (z * density).sum()
    std = math.sqrt(((z - mean) ** 2 * density).sum())
    fourth, eighth = ((((z - mean) / std) ** k * density).sum() for k in (4, 8))
    return mean, std, fourth, eighth


MOMENTS = {  # E[x⁴]/σ⁴, E[x⁸]/σ⁸, largest |x|/σ
    "normal": (3.0, 105.0, math.inf),
    "uniform": (9 / 5, 9.0, math.sqrt(3)),
    "truncated_normal": (*truncated(-2, 2)[2:], 2 / truncated(-2, 2)[1]),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def hidden(scheme, make, seed=0):
    """`make()`, filled as a layer that is neither first nor output; with its report."""
    parts = {"first": nn.Linear(2, 2), "layer": make(), "output": nn.Linear(2, 2)}
    network = nn.ModuleDict(parts)
    report = scheme(network, generator(seed))[2]
    assert report.name == "layer.weight"
    return network["layer"], report


def assert_moments(values, std, distribution, mean=0.0):
    """Mean, variance and fourth moment within 4 standard errors; no entry beyond the bound.

    The standard error of a mean of f(x) is √(Var f/n): σ/√n, σ²√((κ − 1)/n), σ⁴√((μ₈ − κ²)/n).
    """
    x = (values.detach().double().flatten() - mean) / std
    n = x.numel()
    kurtosis, eighth, bound = MOMENTS[distribution]
    assert abs(x.mean().item()) < 4 / math.sqrt(n)
    assert abs((x**2).mean().item() - 1) < 4 * math.sqrt((kurtosis - 1) / n)
    assert abs((x**4).mean().item() - kurtosis) < 4 * math.sqrt((eighth - kurtosis**2) / n)
    assert x.abs().max().item() <= bound * (1 + 1e-6)
    if math.isfinite(bound):  # the largest of n: short of the bound by about 1/n of the mass
        assert x.abs().max().item() > bound * (1 - 20 / n)


# --------------------------------------------------------------------------------- variance scaling


@pytest.mark.parametrize("shape", LAYERS)
@pytest.mark.parametrize("name", SCALED)
def test_variance_scaling(name, shape):
    scheme, factor, embedding = SCALED[name]
    layer, report = hidden(scheme, LAYERS[shape])
    fan_in, fan_out = fans(layer)
    fan = MEAN[getattr(scheme, "fan", "in")](fan_in, fan_out)
    expected = (embedding if shape == "embedding" else factor) / math.sqrt(fan)
    assert report.asked_std == pytest.approx(expected)
    assert report.gain**2 * getattr(scheme, "scale", 1.0) == pytest.approx(expected**2 * fan)
    assert (report.fan_in, report.fan_out) == (fan_in, fan_out)
    assert report.drawn_std == pytest.approx(layer.weight.double().std(correction=0).item())
    assert_moments(layer.weight, expected, getattr(scheme, "distribution", "normal"))


def test_scale_is_of_the_output_layer_too():
    """As in Keras, where the output layer is like any other; its gain is its own."""
    network = MLP(20, 10, widths=(30,))
    rows = VarianceScaling(scale=2.0)(network, generator())
    asked = [row.asked_std for row in rows if row.parameter == "weight"]
    assert asked == pytest.approx([math.sqrt(2 / 20), math.sqrt(2 / 30)])


def test_xavier_is_not_he_with_relu():
    """On a square ReLU layer He's variance is twice Xavier's."""
    he, _ = hidden(SCALED["he"][0], LAYERS["square"])
    xavier, _ = hidden(SCALED["xavier normal"][0], LAYERS["square"])
    torch.testing.assert_close(he.weight, xavier.weight * RELU)


def test_any_activation_can_be_named():
    class Mine(nn.Module):
        def forward(self, z):
            return 3 * z

    _, report = hidden(VarianceScaling(gain="forward", activation=Mine()), LAYERS["square"])
    assert report.gain == pytest.approx(1 / 3)
    _, report = hidden(VarianceScaling(gain="backward", activation=torch.tanh), LAYERS["square"])
    assert report.gain == pytest.approx(1.4674, abs=1e-4)
    _, report = hidden(VarianceScaling(gain="critical", activation="selu"), LAYERS["square"])
    assert report.gain == pytest.approx(0.6905, abs=1e-4)


# ------------------------------------------------------------------------- the same for every layer


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


@pytest.mark.parametrize("shape", LAYERS)
def test_truncated_normal(shape):
    layer, report = hidden(TruncatedNormal(std=0.02), LAYERS[shape])
    assert report.asked_std == pytest.approx(0.02 * 0.87962566103423978, rel=1e-12)
    assert_moments(layer.weight, report.asked_std, "truncated_normal")
    assert layer.weight.abs().max() <= 0.04


@pytest.mark.parametrize("bounds", [(-1.0, 3.0), (0.5, 1.5), (2.0, 30.0), (-30.0, 0.0)])
def test_truncated_normal_between_any_bounds(bounds):
    low, high = bounds
    mean, std, kurtosis, _ = truncated(max(low, -9), min(high, 9))
    scheme = TruncatedNormal(std=0.1, mean=5.0, low=low, high=high)
    layer, report = hidden(scheme, lambda: nn.Linear(400, 400).double())
    assert report.asked_std == pytest.approx(0.1 * std, rel=1e-4)
    x, n = (layer.weight.detach() - 5) / 0.1, 400 * 400
    assert abs(x.mean().item() - mean) < 4 * std / math.sqrt(n)
    second = (x - mean).square().mean().item() / std**2
    assert abs(second - 1) < 4 * math.sqrt((kurtosis - 1) / n)
    assert x.min() >= low - 1e-9
    assert x.max() <= high + 1e-9


def test_the_std_after_the_cut():
    assert truncated_std(-2, 2) == pytest.approx(0.87962566103423978, rel=1e-14)
    assert truncated_std(-9, 9) == pytest.approx(1, rel=1e-14)


# --------------------------------------------------------------------------------------- orthogonal


def as_matrices(layer):
    """[outputs, inputs · kernel] of each group; an Embedding's rows are its inputs."""
    weight = layer.weight.detach().double()
    groups = weight.chunk(getattr(layer, "groups", 1))
    if isinstance(layer, nn.ConvTranspose2d):
        groups = [group.transpose(0, 1) for group in groups]
    return [group.flatten(1) for group in groups]


@pytest.mark.parametrize("gain", [1.0, 0.5, "forward"])
@pytest.mark.parametrize("shape", LAYERS)
def test_orthogonal(shape, gain):
    layer, report = hidden(Orthogonal(gain=gain), LAYERS[shape])
    number = 1.0 if shape == "embedding" else RELU if gain == "forward" else gain
    for matrix in as_matrices(layer):
        rows, columns = matrix.shape
        gram = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
        identity = torch.eye(min(rows, columns), dtype=torch.float64)
        torch.testing.assert_close(gram, number**2 * identity, atol=1e-5, rtol=0)
    expected = number / math.sqrt(max(rows, columns))
    assert report.asked_std == pytest.approx(expected)
    rms = layer.weight.detach().double().square().mean().sqrt().item()  # exact, not statistical
    assert rms == pytest.approx(expected, rel=1e-6)
    # Var(Σ Qᵢⱼ) = rows·columns/max(rows, columns), as if the entries were independent.
    assert abs(layer.weight.mean().item()) < 4 * expected / math.sqrt(layer.weight.numel())


@pytest.mark.parametrize("shape", [*MATRICES, "conv"])
def test_orthogonal_draws_what_torch_draws(shape):
    layer = LAYERS[shape]()
    Orthogonal()(layer, generator(3))  # the output layer: gain 1
    expected = nn.init.orthogonal_(torch.empty_like(layer.weight), generator=generator(3))
    torch.testing.assert_close(layer.weight.detach(), expected, atol=1e-5, rtol=0)


def test_orthogonal_signs_are_fixed():
    """Haar: the diagonal of Q has mean 0; without the signs LAPACK's is negative."""
    diagonals = [
        hidden(Orthogonal(gain=1.0), LAYERS["square"], s)[0].weight.diagonal() for s in (0, 1)
    ]
    mean = torch.cat(diagonals).mean().item()
    assert abs(mean) < 4 / math.sqrt(256 * 512)


DELTA = {
    "conv": lambda: nn.Conv2d(8, 24, 3, padding=1),
    "same channels": lambda: nn.Conv2d(16, 16, 5, padding=2),
    "oblong": lambda: nn.Conv2d(8, 24, (3, 7), padding=(1, 3)),
    "even kernel": lambda: nn.Conv1d(8, 24, 4, padding="same"),
    "3d": lambda: nn.Conv3d(4, 6, 3, padding=1),
    "grouped": lambda: nn.Conv2d(8, 24, 3, padding=1, groups=4),
    "depthwise": lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8),
    "transposed": lambda: nn.ConvTranspose2d(8, 24, 3, padding=1),
    "transposed grouped": lambda: nn.ConvTranspose1d(8, 24, 5, padding=2, groups=2),
}


@pytest.mark.parametrize("name", DELTA)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_delta_orthogonal_multiplies_the_norm_by_the_gain(name):
    """Exactly, for every input: ‖conv(x)‖ = gain·‖x‖."""
    layer, report = hidden(DeltaOrthogonal(gain=1.5), DELTA[name])
    assert report.gain == 1.5
    spatial = {"Conv3d": 3, "Conv1d": 1, "ConvTranspose1d": 1}.get(type(layer).__name__, 2)
    x = torch.randn(5, layer.in_channels, *(6,) * spatial, generator=generator(1))
    with torch.no_grad():
        norms = layer(x).flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, 1.5 * x.flatten(1).norm(dim=1), rtol=1e-5, atol=0)
    nonzero = (layer.weight.flatten(2).abs().sum((0, 1)) > 0).sum()
    assert nonzero == 1
    assert report.drawn_std == pytest.approx(report.asked_std, rel=0.15)
    rms = layer.weight.detach().double().square().mean().sqrt().item()
    assert rms == pytest.approx(report.asked_std, rel=1e-6)


def test_delta_orthogonal_is_orthogonal_on_a_linear_layer():
    for shape in MATRICES:
        delta, _ = hidden(DeltaOrthogonal(), LAYERS[shape])
        plain, _ = hidden(Orthogonal(), LAYERS[shape])
        assert torch.equal(delta.weight, plain.weight)


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [
        (nn.Conv2d(8, 4, 3), "Conv2d maps 8 to 4"),
        (nn.Conv2d(12, 8, 3, groups=4), "Conv2d maps 3 to 2"),
    ],
)
def test_delta_orthogonal_needs_as_many_outputs_as_inputs(layer, sizes):
    network = nn.Sequential(nn.Flatten(), layer)
    with pytest.raises(ValueError) as error:
        DeltaOrthogonal()(network, generator())
    assert str(error.value) == (
        "1.weight: delta orthogonal needs as many output channels as input channels, or more:"
        f" {sizes} (a group)"
    )


# ------------------------------------------------------------------------------------------- sparse


def units(layer):
    """[units, incoming weights] of a layer, by the definition of each kind."""
    weight = layer.weight.detach()
    if isinstance(layer, nn.ConvTranspose2d):
        assert layer.groups == 1
        return weight.transpose(0, 1).flatten(1)
    return weight.T if isinstance(layer, nn.Embedding) else weight.flatten(1)


@pytest.mark.parametrize("shape", LAYERS)
def test_sparse(shape):
    layer, report = hidden(Sparse(connections=15, std=0.5), LAYERS[shape])
    weight = units(layer)
    count, inputs = weight.shape
    k = min(15, inputs)
    assert (weight != 0).sum(1).tolist() == [k] * count  # exactly, for every unit
    assert report.asked_std == pytest.approx(0.5 * math.sqrt(k / inputs))
    values = weight[weight != 0]
    if len(values) > 100:
        assert_moments(values, 0.5, "normal")
    if count >= 64 and k < inputs:  # each unit chooses an input with probability p
        p = k / inputs
        share = (weight != 0).double().mean(0)
        assert (share - p).abs().max() <= 5.5 * math.sqrt(p * (1 - p) / count)  # the worst of many
        assert share.std().item() == pytest.approx(math.sqrt(p * (1 - p) / count), rel=0.25)


def test_sparse_units_differ():
    layer, _ = hidden(Sparse(), LAYERS["square"])
    assert len({tuple(row.nonzero().flatten().tolist()) for row in layer.weight}) == 256


# ----------------------------------------------------------------------------------------- identity


@pytest.mark.parametrize("expand", ["identity", "hadamard"])
def test_identity_where_nothing_expands(expand):
    for sizes in ((7, 7), (9, 4)):
        layer, report = hidden(Identity(expand=expand), lambda sizes=sizes: nn.Linear(*sizes))
        n_in, n_out = sizes
        assert torch.equal(layer.weight, torch.eye(n_out, n_in))
        assert report.drawn_std == report.asked_std
    conv, _ = hidden(Identity(expand=expand), lambda: nn.Conv2d(6, 6, 3, padding=1))
    x = torch.randn(2, 6, 5, 5, generator=generator())
    assert torch.equal(conv(x), x)


def test_identity_fills_up_with_units_that_are_zero():
    layer, _ = hidden(Identity(), lambda: nn.Linear(3, 5))
    assert torch.equal(layer.weight, torch.eye(5, 3))


@pytest.mark.parametrize(("n_in", "n_out"), [(4, 16), (5, 8), (7, 12), (100, 256), (1, 3)])
def test_zero_is_a_corner_of_a_hadamard_matrix(n_in, n_out):
    """Zhao et al. 2021, algorithm 1: c·H_m, c = 2^(−(m−1)/2)."""
    layer, _ = hidden(Identity(expand="hadamard"), lambda: nn.Linear(n_in, n_out))
    m = math.ceil(math.log2(n_out))
    expected = 2 ** (-(m - 1) / 2) * hadamard(2**m)[:n_out, :n_in]
    torch.testing.assert_close(layer.weight.detach().double(), torch.from_numpy(expected).double())
    columns = layer.weight.detach().double().square().sum(0)
    torch.testing.assert_close(columns, torch.full((n_in,), 2 * n_out / 2**m).double())


def test_zero_and_a_relu_keep_the_norm():
    """‖Wx‖² = 2‖x‖² exactly, of which a ReLU leaves half on average."""
    layer, _ = hidden(Identity(expand="hadamard"), lambda: nn.Linear(100, 256))
    x = torch.randn(500, 100, generator=generator())
    z = layer(x).detach()
    torch.testing.assert_close(z.square().sum(1), 2 * x.square().sum(1))
    kept = F.relu(z).square().sum() / x.square().sum()
    assert kept.item() == pytest.approx(1, abs=0.02)


def test_identity_draws_nothing():
    source = generator(3)
    before = source.get_state()
    first, second = MLP(20, 10), MLP(20, 10)
    Identity(expand="hadamard")(first, source)
    assert torch.equal(source.get_state(), before)
    Identity(expand="hadamard")(second, generator(4))
    assert torch.equal(first.hidden[0].weight, second.hidden[0].weight)


# -------------------------------------------------------------------------------------------- siren


def test_siren_bounds():
    network = MLP(100, 400, widths=(300, 200), activation="sin")
    rows = {row.name: row for row in Siren(omega_0=30.0)(network, generator())}
    expected = {
        "hidden.0.weight": 30 / 100,
        "hidden.0.bias": 30 / math.sqrt(100),
        "hidden.2.weight": math.sqrt(6 / 300),
        "hidden.2.bias": 30 / math.sqrt(300),
        "output.weight": math.sqrt(6 / 200) / 30,
        "output.bias": 1 / math.sqrt(200),
    }
    assert rows.keys() == expected.keys()
    for name, bound in expected.items():
        assert rows[name].asked_std == pytest.approx(bound / math.sqrt(3))
        assert_moments(network.get_parameter(name), bound / math.sqrt(3), "uniform")


def test_siren_is_the_papers_network():
    """With W/ω₀ and b/ω₀ in sin(ω₀(Wx + b)) the function is the same; they are the paper's."""
    omega, network = 30.0, MLP(2, 1, widths=(256, 256), activation="sin")
    Siren(omega_0=omega)(network, generator())
    x = torch.rand(50, 2, generator=generator(1)) * 2 - 1
    h = x
    for layer, bound in ((network.hidden[0], 1 / 2), (network.hidden[2], math.sqrt(6 / 256) / 30)):
        weight, bias = layer.weight / omega, layer.bias / omega
        assert 0.99 * bound < weight.abs().max() <= bound
        assert bias.abs().max() <= 1 / math.sqrt(layer.in_features)
        h = torch.sin(omega * F.linear(h, weight, bias))
    torch.testing.assert_close(network(x), network.output(h), atol=1e-4, rtol=1e-3)


def test_siren_keeps_hidden_sums_at_variance_one():
    """Wx has variance 1 at whatever depth."""
    network = MLP(2, 1, widths=(512,) * 6, activation="sin")
    Siren()(network, generator())
    h = torch.rand(400, 2, generator=generator(1)) * 2 - 1
    for layer in network.hidden:
        if isinstance(layer, nn.Linear) and layer.in_features == 512:
            assert F.linear(h, layer.weight).square().mean().item() == pytest.approx(1, abs=0.1)
        h = layer(h).detach()


# --------------------------------------------------------------------------------------- mean field


def test_mean_field_biases_and_output():
    network = MLP(100, 900, widths=(900, 900))
    scheme = MeanField(weight_variance=1.7, bias_variance=0.09, output_weight_variance=0.5)
    rows = {row.name: row for row in scheme(network, generator())}
    assert rows["output.weight"].asked_std == pytest.approx(math.sqrt(0.5 / 900))
    assert_moments(network.output.weight, math.sqrt(0.5 / 900), "normal")
    assert rows["hidden.2.weight"].asked_std == pytest.approx(math.sqrt(1.7 / 900))
    for name in ("hidden.0.bias", "output.bias"):
        assert rows[name].asked_std == pytest.approx(0.3)
        assert_moments(network.get_parameter(name), 0.3, "normal")


def test_mean_field_reaches_the_fixed_point_of_the_length_map():
    """Poole et al. 2016, eq. 3: q* = σ_w²·E[tanh(√q*·z)²] + σ_b², in a network of width 1000."""
    q = 1.0
    for _ in range(200):
        q = 2.5 * gaussian_mean(lambda z: torch.tanh(z) ** 2, q) + 0.2
    network = MLP(1000, 10, widths=(1000,) * 8, activation="tanh")
    MeanField(weight_variance=2.5, bias_variance=0.2)(network, generator())
    h = 0.1 * torch.randn(100, 1000, generator=generator(1))
    for layer in network.hidden[:-1]:
        h = layer(h).detach()
    assert h.square().mean().item() == pytest.approx(q, rel=0.05)


# ------------------------------------------------------------------------------------ torch's own


@pytest.mark.parametrize("shape", LAYERS)
def test_torch_default_is_what_the_constructor_draws(shape):
    """Bit for bit: the same seed, once in torch's global generator and once in ours."""
    layer = LAYERS[shape]()
    (report, *_) = TorchDefault()(layer, generator(5))
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


# ------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VarianceScaling(fan="fan_in"), "fan='fan_in': allowed are in, out, avg, geo"),
        (lambda: VarianceScaling(distribution="cauchy"), "distribution='cauchy': allowed"),
        (lambda: VarianceScaling(scale=0.0), "scale=0.0: must be a number > 0"),
        (lambda: VarianceScaling(gain="relu"), "gain='relu': allowed"),
        (lambda: VarianceScaling(gain="forward", activation="rleu"), "activation='rleu': "),
        (lambda: VarianceScaling(gain="critical", activation="gelu"), "activation=gelu: no crit"),
        (lambda: VarianceScaling(output_gain=-1.0), "output_gain=-1.0: "),
        (lambda: Orthogonal(bias="ones"), "bias='ones': allowed are zeros, torch, constant, norm"),
        (lambda: Normal(bias_value=0.1), "bias_value=0.1: bias=zeros takes no value"),
        (lambda: TorchDefault(bias_value=0.1), "bias_value=0.1: bias=torch takes no value"),
        (lambda: Zeros(bias="normal", bias_value=-1.0), "bias_value=-1.0: "),
        (lambda: Zeros(bias="constant", bias_value=math.inf), "bias_value=inf: "),
        (lambda: Normal(std=-1.0), "std=-1.0: "),
        (lambda: Uniform(low=1.0, high=0.0), "low=1.0, high=0.0: "),
        (lambda: TruncatedNormal(std=-1.0), "std=-1.0: "),
        (lambda: TruncatedNormal(low=2.0, high=-2.0), "low=2.0, high=-2.0: no part"),
        (lambda: TruncatedNormal(high=math.inf), "low=-2.0, high=inf: no part"),
        (lambda: TruncatedNormal(low=50.0, high=60.0), "low=50.0, high=60.0: no part"),
        (lambda: Sparse(connections=0), "connections=0: "),
        (lambda: Sparse(std=math.nan), "std=nan: "),
        (lambda: Identity(expand="zeros"), "expand='zeros': allowed are hadamard, identity"),
        (lambda: Siren(omega_0=0.0), "omega_0=0.0: "),
        (lambda: MeanField(weight_variance=-1.0), "weight_variance=-1.0: "),
        (lambda: MeanField(bias_variance=math.nan), "bias_variance=nan: "),
    ],
)
def test_errors_are_one_line(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
