"""Eight common errors of initialisation code, each shown and each with a test that catches it."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from theta0.init import (
    Normal,
    Orthogonal,
    TorchDefault,
    TruncatedNormal,
    VarianceScaling,
    fans,
    gain,
)
from theta0.models import MLP

HE = VarianceScaling(gain="forward")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=generator(seed))


def rms(values):
    return values.detach().double().square().mean().sqrt().item()


def signal(network, x):
    """E[z²] of every layer's output before its activation, and E[δ²] of the gradient there."""
    sums = []
    hooks = [
        m.register_forward_hook(lambda m, args, z: (z.retain_grad(), sums.append(z))[0])
        for m in network.modules()
        if isinstance(m, nn.Linear)
    ]
    out = network(x)
    out.backward(noise(*out.shape, seed=2))
    for hook in hooks:
        hook.remove()
    return [rms(z) ** 2 for z in sums], [rms(z.grad) ** 2 for z in sums]


def test_trap_1_a_truncated_normal_that_truncates_nothing_or_is_too_narrow():
    torchs = nn.init.trunc_normal_(torch.empty(500, 500), std=0.02, generator=generator())
    assert torchs.abs().max() > 0.08  # its bounds are ±2, that is 100 standard deviations
    layer = nn.Linear(500, 500)
    row, _ = TruncatedNormal(std=0.02)(layer, generator())
    assert 0.0399 < layer.weight.abs().max().item() <= 0.04
    assert rms(layer.weight) == pytest.approx(0.8796 * 0.02, rel=0.01)
    assert row.asked_std == pytest.approx(0.8796 * 0.02, rel=1e-4)  # not 0.02
    # Asked for a variance, the cut has been made up for.
    row, _ = VarianceScaling(distribution="truncated_normal")(layer, generator())
    assert row.asked_std == pytest.approx(1 / math.sqrt(500))
    assert rms(layer.weight) == pytest.approx(1 / math.sqrt(500), rel=0.01)


def test_trap_2_torchs_kaiming_uniform_with_a_root_of_5_is_not_he():
    """Its variance is 1/(3n), so a ReLU layer multiplies E[z²] by 1/6; He's by 1."""
    default, he = nn.Linear(500, 500), nn.Linear(500, 500)
    TorchDefault()(default, generator())
    VarianceScaling(gain="forward", distribution="uniform", output_gain=math.sqrt(2))(
        he, generator()
    )
    torch.testing.assert_close(he.weight, default.weight * math.sqrt(6))

    network = MLP(512, 10, widths=(512,) * 8)
    x = noise(256, 512)
    HE(network, generator())
    moments, _ = signal(network, x)
    assert moments[7] == pytest.approx(moments[0], rel=0.25)
    TorchDefault(bias="zeros")(network, generator())
    moments, _ = signal(network, x)
    assert moments[7] == pytest.approx(moments[0] / 6**7, rel=0.25)


def test_trap_3_fans_of_a_stacked_tensor():
    """[K, out, in] looks like a convolution to torch.nn.init; our fans are the layer's."""
    K, n_out, n_in = 32, 392, 784
    stacked = nn.init.kaiming_normal_(torch.empty(K, n_out, n_in), generator=generator())
    assert rms(stacked) == pytest.approx(math.sqrt(2 / (n_out * n_in)), rel=0.01)
    with pytest.raises(TypeError, match="Tensor has no fans"):
        fans(stacked)
    networks = [MLP(n_in, 10, widths=(n_out,)) for _ in range(3)]
    for k, network in enumerate(networks):
        HE(network, generator(k))
    stacked = torch.stack([network.hidden[0].weight for network in networks])
    assert rms(stacked) == pytest.approx(math.sqrt(2 / n_in), rel=0.01)


def test_trap_4_a_gain_belongs_to_the_activation_that_follows():
    """None follows the output layer; none precedes the first, which sees the data as they are."""
    network = MLP(500, 500, widths=(500, 500))
    rows = [row for row in HE(network, generator()) if row.parameter == "weight"]
    assert [row.gain for row in rows] == pytest.approx([math.sqrt(2), math.sqrt(2), 1])
    x = noise(256, 500)
    moments, _ = signal(network, x)
    # Standardised data have E[x²] = 1 where a ReLU's output would have half of its input's.
    assert moments == pytest.approx([2, 2, 1], rel=0.15)
    # Pixels in [0, 1] have E[x²] of about 0.1, and all that follows is as much smaller.
    small, _ = signal(network, math.sqrt(0.1) * x)
    assert small == pytest.approx([0.1 * m for m in moments])


@pytest.mark.parametrize("fan", ["in", "out"])
def test_trap_5_fan_in_or_fan_out_but_one_of_them_throughout(fan):
    """With either, the other direction changes with the ends' sizes only; mixed, with every layer.

    A linear network, 200 and 800 units by turns: the factors are 4 and 1/4, gains aside.
    """
    network = MLP(200, 200, widths=(800, 200) * 4, activation="identity")
    VarianceScaling(fan=fan)(network, generator())
    forward, backward = signal(network, noise(200, 200))
    kept, other = (forward, backward) if fan == "in" else (backward, forward)
    assert max(kept) / min(kept) < 1.5
    assert {round(math.log(b / a, 4)) for a, b in pairwise(other[:8])} == {-1, 1}
    assert other[7] / other[1] == pytest.approx(1, rel=0.3)

    layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
    for k, layer in enumerate(layers):
        VarianceScaling(fan="out" if k % 2 else "in")(layer, generator(k))
    drifted, _ = signal(network, noise(200, 200))
    assert drifted[7] / drifted[1] == pytest.approx(4.0**3, rel=0.3)


@pytest.mark.parametrize(
    ("scheme", "policy", "std"),
    [
        (TorchDefault(), "torch", 1 / math.sqrt(3 * 50)),
        (HE, "zeros", 0.0),
        (Normal(bias="constant", bias_value=0.1), "constant", 0.0),
        (Orthogonal(bias="normal", bias_value=0.1), "normal", 0.1),
    ],
)
def test_trap_6_the_bias_policy_is_a_treatment_and_is_reported(scheme, policy, std):
    """Comparing schemes by their weights alone would compare biases too, unseen."""
    rows = {row.name: row for row in scheme(MLP(50, 10, widths=(50,)), generator())}
    for name in ("hidden.0.bias", "output.bias"):
        assert rows[name].scheme == policy
        assert rows[name].asked_std == pytest.approx(std)


def test_trap_7_draws_are_made_on_the_cpu_and_then_moved():
    """CPU and GPU draw other numbers from one seed, so a generator elsewhere is refused."""
    network, there = MLP(20, 10), MLP(20, 10)
    HE(network, generator())
    with torch.device("meta"):  # another default device
        HE(there, generator())
    assert torch.equal(network.hidden[0].weight, there.hidden[0].weight)
    if torch.cuda.is_available():
        Orthogonal()(network, generator())
        Orthogonal()(there.cuda(), generator())
        assert torch.equal(network.hidden[0].weight, there.hidden[0].weight.cpu())
        with pytest.raises(ValueError, match="init draws on the CPU"):
            HE(there, torch.Generator("cuda"))


@pytest.mark.parametrize("rule", ["torch", "forward", "backward", "critical", 100.0])
def test_trap_8_no_gain_makes_up_for_the_mean_of_a_sigmoid(rule):
    """Its outputs have mean 1/2, so even orthogonal inputs leave a layer correlated by 1/2 or more.

    E[φφ']/E[φ²] ≥ E[φ]²/E[φ²] ≥ (1/4)/(1/2), φ lying between 0 and 1. tanh keeps them at 0.
    """

    def correlation(phi):
        layer = nn.Linear(1000, 4000, bias=False)
        VarianceScaling(output_gain=gain(rule, phi))(layer, generator())
        a, b = phi(layer(math.sqrt(1000) * torch.eye(1000)[:2])).detach().double()
        return (a @ b / (a.norm() * b.norm())).item(), a.mean().item()

    similarity, mean = correlation(nn.Sigmoid())
    assert mean == pytest.approx(0.5, abs=0.03)
    assert similarity >= 0.5
    assert abs(correlation(nn.Tanh())[0]) < 4 / math.sqrt(4000)
