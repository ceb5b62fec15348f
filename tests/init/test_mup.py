import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from theta0.init import MuP, VarianceScaling
from theta0.init.mup import LR_RULES
from theta0.models import MLP
from theta0.optim import build_optimizer


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scales(network, factory=torch.optim.Adam, **settings):
    return MuP(**settings).lr_scales(network, factory)


# ---------------------------------------------------------------------------------------- variances


@pytest.mark.parametrize("width", [64, 256, 1024, 4096])
def test_variances(width):
    """Table 3, with base width 256: gain²/n_in, and 256/n_in² for the output layer."""
    net = MLP(50, 20, widths=(width, width))
    reports = {r.name: r for r in MuP(base_width=256, output_gain=1.0)(net, generator())}
    for name, variance in {
        "hidden.0.weight": 2 / 50,
        "hidden.2.weight": 2 / width,
        "output.weight": 256 / width**2,
    }.items():
        values = net.get_parameter(name).double()
        error = variance * math.sqrt(2 / values.numel())  # of a Gaussian's sample variance
        assert abs(values.square().mean().item() - variance) < 4 * error
        assert abs(values.mean().item()) < 4 * math.sqrt(variance / values.numel())
        assert reports[name].asked_std == pytest.approx(math.sqrt(variance))
        assert reports[name].scheme == "mup"
    for name in ("hidden.0.bias", "hidden.2.bias", "output.bias"):
        assert not net.get_parameter(name).any()


def test_the_output_layer_starts_at_zero():
    net = MLP(5, 3, widths=(64, 64))
    MuP(base_width=16)(net, generator())
    assert not net.output.weight.any()
    assert net.hidden[2].weight.std() > 0


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_at_the_base_width_it_is_the_standard_parametrisation(optimizer):
    mup, standard = (MLP(50, 20, widths=(64, 64), norm="layer") for _ in range(2))
    MuP(base_width=64, output_gain=1.0)(mup, generator())
    VarianceScaling(gain="forward")(standard, generator())
    for one, other in zip(mup.parameters(), standard.parameters(), strict=True):
        assert torch.equal(one, other)
    assert set(scales(mup, optimizer, base_width=64).values()) == {1.0}


def test_one_layer_has_no_width():
    net, standard = nn.Linear(50, 20), nn.Linear(50, 20)
    MuP(base_width=4, output_gain=1.0)(net, generator())
    VarianceScaling(gain="forward")(standard, generator())
    assert torch.equal(net.weight, standard.weight)
    for optimizer in (torch.optim.Adam, torch.optim.SGD):
        assert scales(net, optimizer, base_width=4) == {"weight": 1.0, "bias": 1.0}


# ----------------------------------------------------------------------------------- learning rates


def test_rates_of_adam_like_optimizers():
    net = MLP(50, 20, widths=(256, 256), norm="batch")
    expected = {
        "hidden.0.weight": 1.0,
        "hidden.0.bias": 1.0,
        "hidden.1.weight": 1.0,
        "hidden.1.bias": 1.0,
        "hidden.3.weight": 0.25,
        "hidden.3.bias": 1.0,
        "hidden.4.weight": 1.0,
        "hidden.4.bias": 1.0,
        "output.weight": 0.25,
        "output.bias": 1.0,
    }
    assert scales(net, torch.optim.AdamW, base_width=64) == expected
    assert list(expected) == [name for name, _ in net.named_parameters()]


def test_rates_of_sgd_like_optimizers():
    net = MLP(50, 20, widths=(256, 256), norm="batch")
    assert scales(net, torch.optim.SGD, base_width=64) == {
        "hidden.0.weight": 4.0,
        "hidden.0.bias": 4.0,
        "hidden.1.weight": 4.0,
        "hidden.1.bias": 4.0,
        "hidden.3.weight": 1.0,
        "hidden.3.bias": 4.0,
        "hidden.4.weight": 4.0,
        "hidden.4.bias": 4.0,
        "output.weight": 0.25,
        "output.bias": 1.0,
    }


def test_rates_of_layers_that_are_not_square():
    """microsoft/mup: n_out/n_in for SGD, each by its own base."""
    net = MLP(50, 20, widths=(128, 512))
    sgd = scales(net, torch.optim.SGD, base_width=64)
    assert sgd["hidden.0.weight"] == sgd["hidden.0.bias"] == 2.0
    assert (sgd["hidden.2.weight"], sgd["hidden.2.bias"]) == (4.0, 8.0)
    assert sgd["output.weight"] == 1 / 8
    adam = scales(net, torch.optim.Adam, base_width=64)
    assert (adam["hidden.2.weight"], adam["output.weight"]) == (1 / 2, 1 / 8)


def test_rates_of_other_layers():
    """Channels are a Conv's width, an Embedding is an input, a depthwise Conv sums over none."""
    net = nn.Sequential(
        nn.Embedding(10, 128),
        nn.Conv1d(128, 256, 3),
        nn.PReLU(),
        nn.Conv1d(256, 256, 3, groups=256),
        nn.Conv1d(256, 256, 3, groups=4, bias=False),
        nn.GroupNorm(8, 256),
        nn.Conv1d(256, 5, 1),
    )
    names = ["0", "1", "3", "4", "6"]
    adam, sgd = (scales(net, f, base_width=64) for f in (torch.optim.Adam, torch.optim.SGD))
    # The Embedding comes first; the Conv after it has a width that grows on both sides.
    assert [adam[f"{n}.weight"] for n in names] == [1.0, 1 / 2, 1.0, 1 / 4, 1 / 4]
    assert [sgd[f"{n}.weight"] for n in names] == [2.0, 2.0, 4.0, 1.0, 1 / 4]
    assert (adam["2.weight"], sgd["2.weight"]) == (1.0, 1.0)  # one slope for all
    assert (adam["5.weight"], sgd["5.bias"], sgd["6.bias"]) == (1.0, 4.0, 1.0)


def test_output_layer_by_name():
    class HeadFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.body = nn.Linear(256, 3), nn.Linear(7, 256)

    settings = {"base_width": 64, "output_layer": "head"}
    found = scales(HeadFirst(), torch.optim.SGD, **settings)
    assert found == {"head.weight": 0.25, "head.bias": 1, "body.weight": 4, "body.bias": 4}
    reports = MuP(**settings, output_gain=1.0)(HeadFirst(), generator())
    assert [r.asked_std for r in reports if r.parameter == "weight"] == pytest.approx(
        [math.sqrt(64) / 256, math.sqrt(2 / 7)]
    )


def test_a_size_of_the_data_that_is_also_a_width():
    """784 inputs and a width of 784: a normalisation of that length is the hidden layer's."""
    net = nn.Sequential(nn.Linear(784, 784), nn.LayerNorm(784), nn.Linear(784, 784))
    assert scales(net, torch.optim.SGD, base_width=392)["1.weight"] == 2.0


def test_the_optimizer_gets_the_rates():
    net = MLP(50, 20, widths=(256, 256))
    optimizer = build_optimizer(
        torch.optim.SGD,
        net,
        lr=0.1,
        lr_scales=scales(net, torch.optim.SGD, base_width=64),
    )
    names = {parameter: name for name, parameter in net.named_parameters()}
    rates = {names[p]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates["hidden.0.weight"] == pytest.approx(0.4)
    assert rates["hidden.2.weight"] == pytest.approx(0.1)
    assert rates["output.weight"] == pytest.approx(0.025)
    assert rates.keys() == set(names.values())


# ----------------------------------------------------------------------------------------- refusals


def refusal(network, factory=torch.optim.Adam):
    with pytest.raises(ValueError, match="MuP") as error:
        scales(network, factory)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_name_is_an_optimizer():
    import schedulefree

    import theta0.optim

    for name in LR_RULES:
        assert any(hasattr(m, name) for m in (torch.optim, theta0.optim, schedulefree)), name


@pytest.mark.parametrize("name", ["LBFGS", "Rprop", "Muon", "Adafactor"])
def test_optimizers_without_a_rule(name):
    message = refusal(MLP(4, 3), getattr(torch.optim, name))
    assert message.startswith(f"MuP has no rule for the learning rates of {name}, only for AMSGrad")
    assert "partial" in refusal(MLP(4, 3), partial(torch.optim.Adam))


def test_networks_without_a_rule():
    assert refusal(nn.ReLU()) == "MuP needs a network with layers: Linear, Conv or Embedding"
    with pytest.raises(ValueError, match=r"^MuP needs a network with layers"):
        MuP()(nn.ReLU(), generator())
    attention = nn.Sequential(nn.Linear(7, 8), nn.MultiheadAttention(8, 2), nn.Linear(8, 3))
    assert refusal(attention) == "MuP has no rule for 1.in_proj_weight [24, 8]"
    odd = nn.Sequential(nn.Linear(7, 8), nn.PReLU(4), nn.Linear(8, 3))
    assert refusal(odd) == "MuP has no rule for 1.weight [4]"
    tied = nn.Sequential(nn.Embedding(5, 512), nn.Linear(512, 5))
    tied[1].weight = tied[0].weight
    assert refusal(tied) == "MuP has no one rule for 0.weight, which is also 1.weight"


def test_settings():
    with pytest.raises(ValueError, match=r"^base_width=0: must be at least 1$"):
        MuP(base_width=0)


# --------------------------------------------------------------------------------- coordinate check


WIDTHS = (64, 128, 256, 512, 1024, 2048)


@pytest.fixture
def one_thread():
    """Threads gain nothing at this size, and lose much where other processes want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def slopes(scheme, factory, lr, steps=4, seeds=3):
    """d log |h| / d log width and d log |Δh| / d log width of each layer's outputs h, [3] each.

    |h| is the mean size over units and examples after some steps on one batch, Δh the change since
    θ₀, with one learning rate at all widths.
    """
    sizes = torch.zeros(2, len(WIDTHS), 3)
    for i, width in enumerate(WIDTHS):
        for seed in range(seeds):
            net = MLP(64, 10, widths=(width, width))
            x = torch.randn(32, 64, generator=generator(100 + seed))
            y = torch.randint(10, (32,), generator=generator(200 + seed))
            scheme(net, generator(seed))
            rates = scheme.lr_scales(net, factory) if isinstance(scheme, MuP) else {}
            groups = [
                {"params": [p], "lr": lr * rates.get(name, 1.0)}
                for name, p in net.named_parameters()
            ]
            optimizer = factory(groups, lr=lr)

            @torch.no_grad()
            def outputs(net=net, x=x):
                first = net.hidden[0](x)
                second = net.hidden[2](net.hidden[1](first))
                return [first, second, net.output(net.hidden[3](second))]

            before = outputs()
            for _ in range(steps):
                optimizer.zero_grad()
                cross_entropy(net(x), y).backward()
                optimizer.step()
            for layer, (old, new) in enumerate(zip(before, outputs(), strict=True)):
                sizes[0, i, layer] += new.abs().mean().log() / seeds
                sizes[1, i, layer] += (new - old).abs().mean().log() / seeds
    return [np.polyfit(np.log(WIDTHS), size.numpy(), 1)[0] for size in sizes]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("factory", "lr"), [(torch.optim.Adam, 0.01), (torch.optim.SGD, 0.1)])
def test_coordinates_keep_their_size_at_every_width(factory, lr):
    """|h| and |Δh| are flat in width under μP; under the standard parametrisation they are not."""
    size, change = slopes(MuP(base_width=64), factory, lr)
    assert np.abs(size).max() < 0.1
    assert np.abs(change).max() < 0.1
    size, change = slopes(VarianceScaling(gain="forward"), factory, lr)
    assert size[2] > 0.3
    assert change[1] > 0.3


def test_drawn_outputs_vanish_at_the_start_as_one_over_the_root_of_the_width():
    size, _ = slopes(MuP(base_width=64, output_gain=1.0), torch.optim.Adam, 0.01, steps=0)
    assert size[:2] == pytest.approx([0, 0], abs=0.05)
    assert size[2] == pytest.approx(-0.5, abs=0.1)
