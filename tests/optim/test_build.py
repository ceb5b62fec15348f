"""Learning rates of each layer, and factories that make their own groups."""

import pytest
import torch
from torch import nn

from theta0.optim import SAM, AdamWLH, AMSGrad, Lion, Muon, build_optimizer, parameter_groups

SCALES = {"0.weight": 1.0, "1.weight": 0.25, "2.weight": 0.5, "2.bias": 0.5}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2))


def rates(optimizer, net) -> dict[str, tuple[float, float | None]]:
    """By a parameter's name (rate, decay)."""
    names = {id(p): name for name, p in net.named_parameters()}
    return {
        names[id(p)]: (group["lr"], group.get("weight_decay"))
        for group in optimizer.param_groups
        for p in group["params"]
    }


# ---------------------------------------------------------------------------------------- lr_scales


def test_groups_by_decay_and_scale():
    net = network()
    groups = parameter_groups(net, 0.1, lr_scales=SCALES)
    names = {id(p): name for name, p in net.named_parameters()}
    assert [
        (g["weight_decay"], g["lr_scale"], [names[id(p)] for p in g["params"]]) for g in groups
    ] == [
        (0.1, 1.0, ["0.weight"]),
        (0.0, 1.0, ["0.bias", "1.bias"]),
        (0.1, 0.25, ["1.weight"]),
        (0.1, 0.5, ["2.weight"]),
        (0.0, 0.5, ["2.bias"]),
    ]


@pytest.mark.parametrize(
    ("factory", "changes"),
    [
        (torch.optim.AdamW, {}),
        (torch.optim.SGD, {}),
        (torch.optim.Adafactor, {}),
        (torch.optim.NAdam, {"decoupled_weight_decay": True}),
        (Lion, {}),
    ],
)
def test_a_scaled_rate_leaves_the_shrink_per_step_alone(factory, changes):
    """Decay that is multiplied by the rate is divided by its scale."""
    net = network()
    optimizer = build_optimizer(factory, net, lr=0.1, weight_decay=0.2, lr_scales=SCALES, **changes)
    assert rates(optimizer, net) == {
        "0.weight": (0.1, 0.2),
        "0.bias": (0.1, 0.0),
        "1.weight": (0.025, 0.8),
        "1.bias": (0.1, 0.0),
        "2.weight": (0.05, 0.4),
        "2.bias": (0.05, 0.0),
    }
    for group in optimizer.param_groups:
        if group["weight_decay"]:
            assert group["lr"] * group["weight_decay"] == pytest.approx(0.1 * 0.2)


@pytest.mark.parametrize("factory", [torch.optim.Adam, torch.optim.NAdam, AMSGrad, AdamWLH])
def test_decay_that_the_rate_does_not_multiply_stays(factory):
    net = network()
    optimizer = build_optimizer(factory, net, lr=0.1, weight_decay=0.2, lr_scales=SCALES)
    assert rates(optimizer, net)["1.weight"] == (0.025, 0.2)


def test_adamw_lh_shrinks_by_its_decay_at_any_scale():
    net = network()
    optimizer = build_optimizer(AdamWLH, net, lr=0.1, weight_decay=0.2, lr_scales=SCALES)
    before = [p.detach().clone() for p in net.parameters()]
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for p, was in zip(net.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), was if p.ndim == 1 else 0.8 * was)


def test_scales_without_a_decay():
    net = network()
    optimizer = build_optimizer(torch.optim.Rprop, net, lr=0.1, lr_scales=SCALES)
    assert rates(optimizer, net)["1.weight"] == (0.025, None)


def test_scales_reach_the_base_of_sam():
    net = network()
    base = {"_target_": "torch.optim.AdamW", "lr": 0.1, "weight_decay": 0.2}
    optimizer = build_optimizer(SAM, net, base=base, lr=0.1, lr_scales=SCALES)
    assert rates(optimizer, net)["1.weight"] == (0.025, 0.8)


def test_no_scales_no_rate_of_their_own():
    net = network()
    plain = build_optimizer(torch.optim.SGD, net, lr=0.1, weight_decay=0.0)
    assert len(plain.param_groups) == 1
    assert "lr_scale" not in plain.param_groups[0]


@pytest.mark.parametrize("factory", [torch.optim.LBFGS, Muon])
def test_who_takes_no_groups_takes_no_scales(factory):
    with pytest.raises(ValueError, match="takes no parameter groups") as error:
        build_optimizer(factory, network(), lr=0.1, lr_scales=SCALES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        ({"3.weight": 1.0}, "no parameter 3.weight"),
        ({"1.weight": 0.0}, r"lr_scales\[1.weight\]=0.0: must be greater than 0"),
    ],
)
def test_wrong_scales_are_one_line(scales, words):
    with pytest.raises(ValueError, match=words):
        build_optimizer(torch.optim.SGD, network(), lr=0.1, lr_scales=scales)


# ---------------------------------------------------------------------------------------- factories


def test_a_factory_that_asks_for_the_network_gets_it_alone():
    given = {}

    def factory(network, lr):
        given.update(network=network, lr=lr)
        return torch.optim.SGD(network.parameters(), lr=lr)

    net = network()
    build_optimizer(factory, net, lr=0.1, decay_bias_and_norm=True)
    assert given == {"network": net, "lr": 0.1}


@pytest.mark.parametrize("factory", [AdamWLH, AMSGrad, Lion])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr": 0.0}, "lr=0.0: must be greater than 0"),
        ({"lr": float("nan")}, "lr=nan: must be greater than 0"),
        ({"betas": (0.9, 1.0)}, r"betas=\(0.9, 1.0\): must be two numbers in \[0, 1\)"),
        ({"betas": (0.9,)}, "two numbers"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1: must be 0 or greater"),
    ],
)
def test_wrong_settings_are_one_line(factory, changes, words):
    with pytest.raises(ValueError, match=words) as error:
        factory(network().parameters(), **changes)
    assert "\n" not in str(error.value)
