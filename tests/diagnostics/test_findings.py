"""What is said of which numbers."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from theta0.diagnostics import Finding, Statistics, find, he_activation_stds, sentences
from theta0.init import Normal, VarianceScaling
from theta0.models import MLP

FINE = {"activation_std": 0.8, "grad_std": 0.1, "dead": 0.1, "saturated": 0.1, "update_ratio": 1e-3}


def rows(**wrong):
    """Three hidden layers and an output, the second hidden one with something wrong."""
    layers = [Statistics(layer=name, **FINE) for name in ("one", "two", "three", "output")]
    for name, value in wrong.items():
        setattr(layers[1], name, value)
    return layers


def said(layers, **settings):
    return sentences(find(layers, **settings))


def test_nothing_is_wrong():
    assert said(rows()) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"activation_std": 0.003}, "layer two: activations vanish, std 0.003"),
        ({"activation_std": 225.4}, "layer two: activations explode, std 2.3e+02"),
        ({"activation_std": math.nan}, "layer two: activations explode, std nan"),
        ({"saturated": 0.94}, "layer two: 94% of the activations are saturated"),
        ({"dead": 0.6}, "layer two: 60% of the units are dead"),
        (
            {"identical": 1.0, "activation_std": 0.0, "dead": 1.0},
            "layer two: all units are identical, and nothing tells them apart",
        ),
        (
            {"update_ratio": 0.3},
            "layer two: a step changes the weight by 0.3 of its size, where 0.001 is usual",
        ),
        (
            {"update_ratio": 2e-8},
            "layer two: a step changes the weight by 2e-08 of its size, where 0.001 is usual",
        ),
    ],
)
def test_one_thing_is_wrong(wrong, sentence):
    assert said(rows(**wrong)) == [sentence]


@pytest.mark.parametrize(
    "fine",
    [
        {"activation_std": 0.011},
        {"activation_std": 99.0},
        {"saturated": 0.5},
        {"dead": 0.5},
        {"update_ratio": 0.09},
        {"update_ratio": 2e-6},
        {"update_ratio": 0.0},  # a weight behind an output of zeros
        {"grad_std": 0.0},
        {"saturated": None, "dead": None, "update_ratio": None, "grad_std": None},
    ],
)
def test_what_is_not_wrong_yet(fine):
    assert said(rows(**fine)) == []


def test_a_schedule_may_make_updates_small():
    assert said(rows(update_ratio=2e-8), rate=0.09) == []


def test_gradients_are_compared_from_the_first_hidden_layer_to_the_last():
    layers = rows()
    layers[0].grad_std = 0.9e-5
    vanish = "gradients vanish towards the first layer, std 9e-06 at one, 0.1 at three"
    assert said(layers) == [vanish]
    layers[0].grad_std = 2e-5
    layers[3].grad_std = 1.0  # the output's does not count
    assert said(layers) == []
    layers[0].grad_std = 1.1e3
    explode = "gradients explode towards the first layer, std 1.1e+03 at one, 0.1 at three"
    assert said(layers) == [explode]


def test_outputs_may_be_small():
    layers = rows()
    layers[3].activation_std, layers[3].dead, layers[3].identical = 0.0, 1.0, 1.0
    assert said(layers) == []


def test_an_unsettled_sharpness():
    whole = Statistics(layer="", sharpness=12.0, sharpness_error=0.2)
    line = "the sharpness 12 is not settled: an eigenvalue lies within 20% of it"
    assert said([whole, *rows()]) == [line]
    whole.sharpness_error = 0.05
    assert said([whole, *rows()]) == []


def test_one_sentence_a_kind():
    layers = rows(activation_std=0.003, saturated=0.7)
    layers[2].activation_std = 0.0004
    assert said(layers) == [
        "layer two (and 1 more): activations vanish, std 0.003",
        "layer two: 70% of the activations are saturated",
    ]


def test_he_is_asked_only_for_sizes():
    def he():
        asked.append(1)
        return {"two": 0.81}

    asked = []
    assert sentences([Finding("two", "dead", "dead")], he) == ["layer two: dead"]
    assert asked == []
    assert sentences([Finding("two", "vanish", "small")], he) == [
        "layer two: small; He would give 0.81"
    ]
    assert sentences([Finding("three", "explode", "large")], he) == ["layer three: large"]


# ----------------------------------------------------------------------------------------------- he


def inputs(features):
    return torch.randn(256, features, generator=torch.Generator().manual_seed(0))


def test_he_keeps_the_second_moment_of_rectified_layers():
    """E[a²] = 1 in every layer, and E[a]² = 1/π: std √(1 − 1/π) = 0.826 (He et al. 2015)."""
    network = MLP(512, 10, widths=[512] * 4)
    Normal(std=1e-3)(network, torch.Generator().manual_seed(0))
    found = he_activation_stds(network, inputs(512))
    for name in ("hidden.0", "hidden.2", "hidden.4", "hidden.6"):
        assert found[name] == pytest.approx(math.sqrt(1 - 1 / math.pi), rel=0.15)
    assert found["output"] == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_it_is_what_the_init_of_that_name_gives(activation):
    network = MLP(64, 10, widths=[256] * 3, activation=activation, norm="layer", residual=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    found = he_activation_stds(network, inputs(64))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    VarianceScaling(gain="forward", activation=activation)(
        network, torch.Generator().manual_seed(1)
    )
    hidden = network.hidden(inputs(64))
    last = [name for name in found if name.startswith("hidden")][-1]
    assert found[last] == pytest.approx(hidden.std(correction=0).item(), rel=0.05)


def test_a_network_that_is_one_layer():
    found = he_activation_stds(nn.Linear(400, 400), inputs(400))
    assert found == {"": pytest.approx(1, rel=0.05)}


def test_nothing_is_known_of_weights_that_are_computed():
    network = nn.Sequential(nn.Linear(4, 4), parametrizations.weight_norm(nn.Linear(4, 4)))
    assert he_activation_stds(network, inputs(4)) == {}
