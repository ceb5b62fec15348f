"""What the walk over a network does, whatever the scheme: order, roles, biases, norms, ties."""

import math

import pytest
import torch
import torchvision
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
    table,
)
from theta0.models import MLP

HE = VarianceScaling(gain="forward")
SCHEMES = {
    "he": HE,
    "xavier": VarianceScaling(fan="avg", distribution="uniform"),
    "orthogonal": Orthogonal(),
    "torch_default": TorchDefault(),
    "normal": Normal(bias="torch"),
    "uniform": Uniform(),
    "zeros": Zeros(),
    "truncated": TruncatedNormal(bias="normal", bias_value=0.1),
    "delta orthogonal": DeltaOrthogonal(),
    "sparse": Sparse(bias="constant", bias_value=0.5),
    "hadamard": Identity(expand="hadamard"),
    "siren": Siren(),
    "mean field": MeanField(bias_variance=0.1),
}
DETERMINISTIC = ("zeros", "hadamard")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def by_name(reports):
    return {report.name: report for report in reports}


def values(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_output_layer_has_its_own_gain():
    rows = by_name(HE(MLP(20, 10, widths=(30, 40)), generator()))
    gains = [rows[f"{name}.weight"].gain for name in ("hidden.0", "hidden.2", "output")]
    assert gains == pytest.approx([math.sqrt(2), math.sqrt(2), 1.0])
    asked = [rows[f"{name}.weight"].asked_std for name in ("hidden.0", "hidden.2", "output")]
    assert asked == pytest.approx([math.sqrt(2 / 20), math.sqrt(2 / 30), math.sqrt(1 / 40)])


def test_output_gain_zero_starts_at_the_zero_function():
    net = MLP(20, 10)
    VarianceScaling(gain="forward", output_gain=0.0)(net, generator())
    assert not net(torch.randn(5, 20)).any()
    assert net.hidden[0].weight.any()


def test_named_output_layer():
    net = MLP(20, 10, widths=(30, 40))
    rows = by_name(VarianceScaling(gain=3.0, output_layer="hidden.0")(net, generator()))
    gains = [rows[f"{name}.weight"].gain for name in ("hidden.0", "hidden.2", "output")]
    assert gains == [1.0, 3.0, 3.0]
    for scheme in (VarianceScaling, Siren, MeanField):
        with pytest.raises(ValueError) as error:
            scheme(output_layer="head")(net, generator())
        assert str(error.value) == "output_layer='head': the layers are hidden.0, hidden.2, output"


def test_bias_policies():
    net = MLP(100, 10, widths=(4000,))
    HE(net, generator())
    assert not net.hidden[0].bias.any()
    assert not net.output.bias.any()
    rows = by_name(VarianceScaling(gain="forward", bias="torch")(net, generator()))
    bias = net.hidden[0].bias
    assert 0.099 < bias.abs().max().item() <= 0.1
    assert abs(bias.mean().item()) < 4 * 0.1 / math.sqrt(3 * 4000)
    assert rows["hidden.0.bias"].scheme == "torch"
    assert rows["hidden.0.bias"].asked_std == pytest.approx(0.1 / math.sqrt(3))
    assert net.output.bias.abs().max().item() <= 1 / math.sqrt(4000)
    rows = by_name(Normal(bias="constant", bias_value=-0.5)(net, generator()))
    assert torch.equal(net.hidden[0].bias, torch.full((4000,), -0.5))
    assert (rows["hidden.0.bias"].scheme, rows["hidden.0.bias"].asked_std) == ("constant", 0.0)
    rows = by_name(Normal(bias="normal", bias_value=0.2)(net, generator()))
    assert (rows["output.bias"].scheme, rows["output.bias"].asked_std) == ("normal", 0.2)
    bias = net.hidden[0].bias.detach()
    assert abs(bias.mean().item()) < 4 * 0.2 / math.sqrt(4000)
    assert bias.square().mean().item() == pytest.approx(0.04, rel=4 * math.sqrt(2 / 4000))


def test_torch_default_is_an_untouched_network():
    net = MLP(20, 10, norm="batch")
    TorchDefault()(net, generator(7))
    with torch.random.fork_rng():
        torch.manual_seed(7)
        untouched = MLP(20, 10, norm="batch")
    assert torch.equal(values(net), values(untouched))


@pytest.mark.parametrize("name", SCHEMES)
def test_one_seed_one_start(name):
    """Bit-identical whatever the network held; the global generator neither read nor moved."""
    scheme = SCHEMES[name]
    first, second = MLP(20, 10, norm="layer"), MLP(20, 10, norm="layer")
    assert not torch.equal(values(first), values(second))
    scheme(first, generator(3))
    torch.randn(17)
    state = torch.get_rng_state()
    scheme(second, generator(3))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(values(first), values(second))
    scheme(second, generator(4))
    assert torch.equal(values(first), values(second)) is (name in DETERMINISTIC)


def test_draws_are_made_on_the_cpu_whatever_the_default_device():
    """Under another default device, the draws and the quadrature stay on the CPU."""
    net = MLP(20, 10)
    HE(net, generator())
    expected = values(net)
    with torch.device("meta"):
        HE(net, generator())
    assert torch.equal(values(net), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", SCHEMES)
def test_cpu_and_gpu_start_alike(name):
    cpu, gpu = MLP(20, 10), MLP(20, 10).cuda()
    SCHEMES[name](cpu, generator())
    SCHEMES[name](gpu, generator())
    assert torch.equal(values(cpu), values(gpu).cpu())


def test_dtypes():
    for dtype in (torch.float64, torch.bfloat16):
        net = MLP(64, 10).to(dtype)
        for scheme in SCHEMES.values():
            for row in scheme(net, generator()):
                assert net.get_parameter(row.name).dtype == dtype
                error = 8 / math.sqrt(math.prod(row.shape))  # several standard errors
                assert row.drawn_std == pytest.approx(row.asked_std, rel=error)


def test_gradients_are_not_recorded():
    net = MLP(4, 2)
    HE(net, generator())
    assert all(p.requires_grad and p.is_leaf and p.grad_fn is None for p in net.parameters())


def test_normalisation_layers_are_reset():
    net = nn.Sequential(
        nn.Conv2d(4, 8, 3),
        nn.BatchNorm2d(8),
        nn.GroupNorm(2, 8),
        nn.InstanceNorm2d(8, affine=True, track_running_stats=True),
        nn.LayerNorm(8),
        nn.RMSNorm(8),
        nn.BatchNorm2d(8, affine=False),
    )
    for p in [*net.parameters(), *net.buffers()]:
        p.data.fill_(3)
    rows = by_name(HE(net, generator()))
    for norm in net[1:6]:
        assert torch.equal(norm.weight, torch.ones(8))
        assert getattr(norm, "bias", None) is None or not norm.bias.any()
    for norm in (net[1], net[3], net[6]):
        assert not norm.running_mean.any()
        assert torch.equal(norm.running_var, torch.ones(8))
        assert norm.num_batches_tracked == 0
    assert [rows[f"1.{key}"].scheme for key in ("weight", "bias")] == ["ones", "zeros"]


def test_what_no_rule_covers_is_kept_and_listed():
    net = nn.MultiheadAttention(8, 2)
    before = net.in_proj_weight.detach().clone()
    rows = by_name(HE(net, generator()))
    assert torch.equal(net.in_proj_weight, before)
    assert rows.keys() == dict(net.named_parameters()).keys()
    kept = {name for name, row in rows.items() if row.scheme == "kept"}
    assert kept == {"in_proj_weight", "in_proj_bias"}
    assert rows["in_proj_weight"].drawn_std == pytest.approx(before.std(correction=0).item())
    assert rows["out_proj.weight"].gain == 1.0  # a subclass of Linear, and the last one


def test_tied_weights_are_filled_once():
    class Tied(nn.Module):
        def __init__(self, tie):
            super().__init__()
            self.embed = nn.Embedding(50, 16)
            self.inner = nn.Linear(16, 16)
            self.head = nn.Linear(16, 50)
            if tie:
                self.head.weight = self.embed.weight

    tied, free = Tied(True), Tied(False)
    rows = by_name(HE(tied, generator()))
    HE(free, generator())
    assert tied.head.weight is tied.embed.weight
    assert torch.equal(tied.embed.weight, free.embed.weight)  # the first use's draw stands
    assert rows["head.weight"].scheme == "tied to embed.weight"
    assert not tied.head.bias.any()


@pytest.mark.parametrize("name", SCHEMES)
def test_padding_row_stays_zero(name):
    net = nn.Embedding(50, 16, padding_idx=2)
    nn.init.ones_(net.weight)
    SCHEMES[name](net, generator())
    assert not net.weight[2].any()
    assert net.weight[3].any() or name in ("zeros", "sparse")


def test_lazy_layers_are_refused():
    with pytest.raises(ValueError, match=r"^0\.weight has no shape yet"):
        HE(nn.Sequential(nn.LazyLinear(3)), generator())


@pytest.mark.parametrize("name", ["he", "xavier", "orthogonal", "torch_default"])
def test_resnet18(name):
    net = torchvision.models.resnet18(weights=None)
    net.layer4, net.fc = nn.Identity(), nn.Linear(256, 1000)  # orthogonal 512x4608 take 15 s
    rows = by_name(SCHEMES[name](net, generator()))
    assert rows.keys() == dict(net.named_parameters()).keys()
    assert {row.scheme for row in rows.values()} <= {SCHEMES[name].name, SCHEMES[name].bias} | {
        "ones",
        "zeros",
    }
    for layer_name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            row = rows[f"{layer_name}.weight"]
            fan_in, fan_out = fans(layer)
            gain = 1.0 if layer_name == "fc" else math.sqrt(2)
            flat = layer.weight.flatten(1)
            expected = {
                "he": gain / math.sqrt(fan_in),
                "xavier": math.sqrt(2 / (fan_in + fan_out)),
                "orthogonal": gain / math.sqrt(max(flat.shape)),
                "torch_default": 1 / math.sqrt(3 * fan_in),
            }[name]
            assert row.asked_std == pytest.approx(expected)
            # a relative standard error is at most 1/√(2n)
            assert row.drawn_std == pytest.approx(expected, rel=4 / math.sqrt(2 * flat.numel()))
        elif isinstance(layer, nn.BatchNorm2d):
            assert torch.equal(layer.weight, torch.ones_like(layer.weight))
            assert not layer.bias.any()


def test_table():
    text = table(HE(nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3)), generator()))
    lines = [line.split() for line in text.splitlines()]
    assert " ".join(lines[0]) == "layer shape fan in/out scheme gain asked std drawn std"
    assert lines[1][:7] == ["0.weight", "3x8", "8/3", "normal", "fan-in", "1", "0.3536"]
    assert lines[2] == ["0.bias", "3", "-", "zeros", "-", "0", "0"]
    assert lines[3] == ["1.weight", "3", "-", "ones", "-", "0", "0"]
    starts = {line.index("fan") for line in text.splitlines()[:1]}
    assert starts == {text.splitlines()[1].index("8/3")}


def test_complex_weights_are_refused_and_a_complex_parameter_of_ones_own_is_kept():
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4, dtype=torch.complex64))
    with pytest.raises(
        ValueError, match=r"^1\.weight: is complex, and a scheme draws real numbers"
    ):
        HE(network, generator())
    network = nn.Sequential(nn.Linear(3, 2))
    network.phase = nn.Parameter(torch.tensor([1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j]))
    report = by_name(HE(network, generator()))["phase"]
    assert report.scheme == "kept"
    assert report.drawn_std == pytest.approx(2**0.5)
