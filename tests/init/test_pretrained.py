import logging
import pickle

import pytest
import torch
from torch import nn

from theta0.init import MuP, Pretrained, TorchDefault, VarianceScaling
from theta0.init.pretrained import compare
from theta0.models import MLP


class Foreign:
    """A class of one's own inside a file: what weights_only must refuse."""


def net(**arguments):
    return MLP(4, 3, widths=(5,), norm="batch", **arguments)


def same(a, b):
    return all(torch.equal(x, b.state_dict()[k]) for k, x in a.state_dict().items())


def load(path, network, seed=0, **settings):
    scheme = Pretrained(path=str(path), **settings)
    return scheme(network, torch.Generator().manual_seed(seed))


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


def refusal(path, network, kind=ValueError, **settings):
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(kind) as error:
        load(path, network, **settings)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


def test_mismatches(tmp_path):
    path = tmp_path / "a.ckpt"
    why = "does not fit the network (match=partial takes what does): "
    state = net().state_dict()
    torch.save({k: v for k, v in state.items() if k != "output.bias"}, path)
    assert refusal(path, net()) == why + "output.bias is missing"
    torch.save(state | {"extra": torch.zeros(1)}, path)
    assert refusal(path, net()) == why + "extra is unknown"
    torch.save(MLP(4, 2, widths=(5,), norm="batch").state_dict(), path)
    assert refusal(path, net()) == why + (
        "output.weight is of another shape: [2, 5], the network has [3, 5];"
        " output.bias is of another shape: [2], the network has [3]"
    )
    torch.save({}, path)
    assert refusal(path, net()) == why + (
        "hidden.0.weight is missing; hidden.0.bias is missing; hidden.1.weight is missing"
        " and 6 more"
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


# ------------------------------------------------------------------------------------------ partial


def other_task(tmp_path):
    """A file for two classes, not three, with a key too many and one too few."""
    source = MLP(4, 2, widths=(5,), norm="batch")
    source.hidden[1].running_mean.fill_(2.0)
    state = source.state_dict() | {"extra": torch.zeros(1)}
    del state["hidden.1.bias"]
    torch.save(state, tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt", state


def test_partial_takes_what_fits_and_rest_draws_the_others(tmp_path):
    path, state = other_task(tmp_path)
    he = VarianceScaling(gain="forward")
    network, alone = net(), net()
    drawn = he(alone, torch.Generator().manual_seed(3))
    reports = load(path, network, seed=3, match="partial", rest=he)
    taken = {"hidden.0.weight", "hidden.0.bias", "hidden.1.weight", "hidden.1.running_mean"}
    for key, value in network.state_dict().items():
        expected = state if key in taken else alone.state_dict()
        if key != "hidden.1.running_var" and key != "hidden.1.num_batches_tracked":  # equal in both
            assert torch.equal(value, expected[key]), key
    assert [r.name for r in reports] == [name for name, _ in network.named_parameters()]
    assert [r.scheme for r in reports] == [*["pretrained"] * 3, "zeros", "normal fan-in", "zeros"]
    assert reports[3:] == drawn[3:]
    assert reports[0].drawn_std == pytest.approx(state["hidden.0.weight"].std(correction=0).item())


def test_partial_says_what_became_of_each_key(tmp_path, caplog):
    path, state = other_task(tmp_path)
    outcomes = {
        "hidden.0.weight": "taken",
        "hidden.0.bias": "taken",
        "hidden.1.weight": "taken",
        "hidden.1.bias": "missing",
        "hidden.1.running_mean": "taken",
        "hidden.1.running_var": "taken",
        "hidden.1.num_batches_tracked": "taken",
        "output.weight": "of another shape: [2, 5], the network has [3, 5]",
        "output.bias": "of another shape: [2], the network has [3]",
        "extra": "unknown",
    }
    assert compare(state, net().state_dict()) == outcomes
    assert list(compare(state, net().state_dict())) == list(outcomes)
    with caplog.at_level(logging.DEBUG, logger="theta0"):
        load(path, net(), match="partial")
    summary, table = caplog.records
    assert summary.levelno == logging.INFO
    assert summary.getMessage() == f"{path}: 6 taken, 1 missing, 2 of another shape, 1 unknown"
    assert table.levelno == logging.DEBUG
    first, *rows = table.getMessage().splitlines()
    assert first == f"{path}:"
    assert dict(row.split(maxsplit=1) for row in rows) == outcomes


def test_partial_of_the_whole_is_strict(tmp_path):
    source, strict, partial = net(), net(), net()
    torch.save(source.state_dict(), tmp_path / "a.ckpt")
    assert load(tmp_path / "a.ckpt", strict) == load(tmp_path / "a.ckpt", partial, match="partial")
    assert same(source, strict) and same(source, partial)


def test_partial_with_nothing_to_take(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"layer.weight": torch.zeros(5, 4), "output.bias": torch.zeros(7)}, path)
    assert refusal(path, net(), match="partial") == (
        "has nothing that fits the network, only layer.weight; output.bias"
    )
    torch.save({}, path)
    assert refusal(path, net(), match="partial") == (
        "has nothing that fits the network, only no keys"
    )


def test_prefix(tmp_path):
    path, source, target = tmp_path / "a.ckpt", net(), net()
    state = {f"module.{k}": v for k, v in source.state_dict().items()}
    torch.save(state | {"head.weight": torch.zeros(1)}, path)
    load(path, target, prefix="module.")
    assert same(source, target)
    assert refusal(path, net(), prefix="model.") == (
        "has no key that begins with 'model.', only"
        " module.hidden.0.weight; module.hidden.0.bias; module.hidden.1.weight and 7 more"
    )
    # In a checkpoint it stands for "network.", which is not taken off then.
    torch.save({"state_dict": {f"network.{k}": v for k, v in state.items()}}, path)
    target = net()
    load(path, target, prefix="network.module.")
    assert same(source, target)


def test_settings_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match=r"^match='loose': allowed are strict, partial$"):
        Pretrained(path="a.ckpt", match="loose")

    class NeedsData(TorchDefault):
        def __call__(self, network, generator, inputs):
            raise AssertionError

    for rest in (NeedsData(), MuP()):
        with pytest.raises(ValueError, match=f"^rest={type(rest).__name__}: must not ask"):
            Pretrained(path="a.ckpt", rest=rest)
