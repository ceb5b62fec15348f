import pickle

import pytest
import torch
from torch import nn

from theta0.init import Pretrained
from theta0.models import MLP


class Foreign:
    """A class of one's own inside a file: what weights_only must refuse."""


def net(**arguments):
    return MLP(4, 3, widths=(5,), norm="batch", **arguments)


def same(a, b):
    return all(torch.equal(x, b.state_dict()[k]) for k, x in a.state_dict().items())


def load(path, network):
    return Pretrained(path=str(path))(network, torch.Generator())


@pytest.mark.parametrize("form", ["bare", "lightning", "wrapped"])
def test_round_trip(tmp_path, form):
    source, target = net(), net()
    source.hidden[1].running_mean.fill_(2.0)
    state = source.state_dict()
    content = {
        "bare": state,
        "lightning": {
            "epoch": 3,
            "state_dict": {f"network.{k}": v for k, v in state.items()}
            | {"val_metrics.acc.total": torch.zeros(())},
        },
        "wrapped": {"state_dict": state},
    }[form]
    torch.save(content, tmp_path / "a.ckpt")
    assert not same(source, target)
    reports = load(tmp_path / "a.ckpt", target)
    assert same(source, target)
    assert [r.name for r in reports] == [name for name, _ in target.named_parameters()]
    assert {r.scheme for r in reports} == {"pretrained"}
    first = reports[0]
    assert (first.shape, first.fan_in, first.fan_out) == ((5, 4), 4, 5)
    assert first.drawn_std == pytest.approx(source.hidden[0].weight.std(correction=0).item())


def refusal(path, network, kind=ValueError):
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(kind) as error:
        load(path, network)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


def test_mismatches(tmp_path):
    path = tmp_path / "a.ckpt"
    state = net().state_dict()
    torch.save({k: v for k, v in state.items() if k != "output.bias"}, path)
    assert refusal(path, net()) == "has no value for output.bias"
    torch.save(state | {"extra": torch.zeros(1)}, path)
    assert refusal(path, net()) == "has keys unknown to the network: extra"
    torch.save(MLP(4, 2, widths=(5,), norm="batch").state_dict(), path)
    assert refusal(path, net()) == (
        "has other shapes: output.weight [2, 5] where the network has [3, 5],"
        " output.bias [2] where the network has [3]"
    )
    torch.save({}, path)
    assert refusal(path, net()).endswith(
        "hidden.0.weight, hidden.0.bias, hidden.1.weight and 6 more"
    )


def test_no_such_file(tmp_path):
    assert refusal(tmp_path / "none.ckpt", net(), FileNotFoundError) == "no such file"
    assert refusal(tmp_path, net(), FileNotFoundError) == "no such file"


def test_pickled_classes_are_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    for content in (
        Foreign(),
        {"state_dict": net().state_dict(), "hparams": Foreign()},
        nn.Linear(2, 2),
    ):
        torch.save(content, path)
        assert "UnpicklingError" in refusal(path, net())


@pytest.mark.parametrize(
    "content", [b"", b"weights", pickle.dumps({"a": Foreign()}, protocol=2), b"PK\x03\x04 cut"]
)
def test_damaged_files(tmp_path, content):
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)
    refusal(path, net())


@pytest.mark.parametrize("content", [torch.zeros(3), {"a": 1}, {"state_dict": [1]}, [1, 2]])
def test_not_a_state_dict(tmp_path, content):
    path = tmp_path / "a.ckpt"
    torch.save(content, path)
    assert refusal(path, net()) == "not a state dict, that is a dict of tensors"
