"""The YAML of each scheme and model names a class of ours and only settings that it has."""

import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import pytest
import torch
import yaml

from theta0.init import Pretrained
from theta0.models import MLP, Linear, ResidualMLP

CONFIGS = Path(__file__).parents[2] / "configs"
# name -> the std of a layer [256 -> 128] that is first, before a ReLU, by hand
SCHEMES = {
    "torch_default": (1 / 768) ** 0.5,
    "xavier": (2 / 384) ** 0.5,
    "xavier_normal": (2 / 384) ** 0.5,
    "he": (2 / 256) ** 0.5,
    "he_uniform": (2 / 256) ** 0.5,
    "lecun": (1 / 256) ** 0.5,
    "lecun_uniform": (1 / 256) ** 0.5,
    "variance_scaling": (1 / 256) ** 0.5,
    "mup": (2 / 256) ** 0.5,
    "normal": 0.01,
    "uniform": 0.1 / 12**0.5,
    "trunc_normal": 0.02 * 0.8796256610342398,
    "zeros": 0.0,
    "orthogonal": (2 / 256) ** 0.5,
    "delta_orthogonal": (2 / 256) ** 0.5,
    "sparse": (15 / 256) ** 0.5,
    "identity": (1 / 256 - 1 / 256**2) ** 0.5,
    "identity_hadamard": (1 / 256 - 1 / 256**2) ** 0.5,
    "siren": 30 / 256 / 3**0.5,
    "mean_field": (2 / 256) ** 0.5,
}
BIASES = {"torch_default": "torch", "siren": "torch", "mean_field": "normal"}
HEADER = r"# paper: .+\n(#   .+\n)*# formula: .+\n(#   .+\n)*# differs: .+\n(#   .+\n)*(?!#)"
RESOLVED = {
    "${oc.select:model.activation,relu}": "relu",
    "${data.num_features}": 4,
    "${data.num_outputs}": 3,
}


def read(path):
    """(class, arguments) of a YAML file, its interpolations resolved."""
    node = yaml.safe_load(path.read_text())
    module, _, name = node.pop("_target_").rpartition(".")
    arguments = {k: RESOLVED.get(v, v) if isinstance(v, str) else v for k, v in node.items()}
    assert "${" not in str(arguments)
    return getattr(importlib.import_module(module), name), arguments


@pytest.mark.parametrize("name", SCHEMES)
def test_init(name):
    path = CONFIGS / "init" / f"{name}.yaml"
    assert re.match(HEADER, path.read_text())
    cls, arguments = read(path)
    unset = {"strict"}  # which changes no number, and would change every run's name
    assert arguments.keys() | unset == {field.name for field in dataclasses.fields(cls)}
    reports = cls(**arguments)(MLP(4, 3), torch.Generator().manual_seed(0))
    assert len(reports) == 6


def test_init_numbers():
    for name, std in SCHEMES.items():
        cls, arguments = read(CONFIGS / "init" / f"{name}.yaml")
        net = MLP(256, 3, widths=(128,))
        first, bias, *_ = cls(**arguments)(net, torch.Generator().manual_seed(0))
        assert first.asked_std == pytest.approx(std)
        assert first.drawn_std == pytest.approx(std, rel=0.02)
        assert bias.scheme == BIASES.get(name, "zeros")


def test_pretrained():
    cls, arguments = read(CONFIGS / "init" / "pretrained.yaml")
    assert cls is Pretrained
    assert arguments.pop("defaults") == [{"/init@rest": "torch_default"}, "_self_"]
    assert arguments == {"path": "???", "match": "strict", "prefix": None}


@pytest.mark.parametrize(
    ("cls", "name"), [(MLP, "mlp"), (Linear, "linear"), (ResidualMLP, "residual_mlp")]
)
def test_model(cls, name):
    found, arguments = read(CONFIGS / "model" / f"{name}.yaml")
    assert found is cls
    parameters = inspect.signature(cls).parameters
    assert arguments.keys() == parameters.keys()
    defaults = {k: p.default for k, p in parameters.items() if p.default is not p.empty}
    written = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    assert defaults == {k: written[k] for k in defaults}
    assert cls(**arguments)(torch.zeros(2, 4)).shape == (2, 3)
