import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from theta0.finetune import Biases, Head, LoRA
from theta0.init import MuP
from theta0.models import MLP
from theta0.optim import build_optimizer


def net(norm="batch", **arguments):
    """4 -> 8 -> 8 -> 3; in order 40, 16 of batch normalisation, 72, 16 and 27 parameters."""
    torch.manual_seed(0)
    return MLP(4, 3, widths=(8, 8), norm=norm, **arguments)


def x():
    return torch.randn(16, 4, generator=torch.Generator().manual_seed(1))


def trained(network):
    return [name for name, p in network.named_parameters() if p.requires_grad]


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def lora(network, seed=0, **settings):
    torch.manual_seed(seed)
    LoRA(**settings)(network)
    return network


# ------------------------------------------------------------------------------- head and biases


def test_head():
    network = net()
    Head()(network)
    assert trained(network) == ["output.weight", "output.bias"]
    assert count(network) == 8 * 3 + 3


def test_head_by_name():
    network = net()
    network.output.requires_grad_(False)
    Head(layers=["hidden.3", "output"])(network)
    assert trained(network) == [
        *("hidden.3.weight", "hidden.3.bias"),
        *("output.weight", "output.bias"),
    ]
    assert count(network) == (8 * 8 + 8) + (8 * 3 + 3)


def test_head_of_a_conv_net_and_of_a_layer_alone():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 5, 1), nn.BatchNorm2d(5))
    Head()(network)
    assert trained(network) == ["1.weight", "1.bias"]
    layer = nn.Linear(2, 3)
    Head()(layer)
    assert trained(layer) == ["weight", "bias"]


def test_biases():
    network = net()
    Biases()(network)
    assert count(network) == 4 * 8 + (8 * 3 + 3)
    assert [name for name in trained(network) if "bias" not in name] == ["output.weight"]
    Biases(head=False)(network)
    assert count(network) == 4 * 8 + 3
    assert all(name.endswith(".bias") for name in trained(network))


def test_nothing_to_train():
    with pytest.raises(ValueError, match=r"^nothing of the network would be trained$"):
        Biases(head=False)(net(norm="none", bias=False))
    with pytest.raises(ValueError, match=r"^nothing of the network would be trained$"):
        Head(layers=["hidden.1"])(net(norm="none"))
    for scheme in (Head(), Biases()):
        with pytest.raises(ValueError, match=r"^the network has no head: no Linear and no Conv$"):
            scheme(nn.Sequential(nn.Embedding(3, 2), nn.ReLU()))


def test_no_such_layer():
    with pytest.raises(ValueError, match=r"^layers: there is no 'head', only hidden, hidden\.0, "):
        Head(layers=["head"])(net())


@pytest.mark.parametrize("scheme", [Head(), Biases(), pytest.param(LoRA(), marks=pytest.mark.lora)])
def test_only_what_is_trained_moves(scheme):
    """And running statistics: no gradient reaches them, they follow the batches."""
    network = net()
    scheme(network)
    optimizer = build_optimizer(torch.optim.AdamW, network, lr=0.1, weight_decay=0.1)
    held = {p for group in optimizer.param_groups for p in group["params"]}
    assert held == {p for p in network.parameters() if p.requires_grad}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for _ in range(2):  # A has a gradient once B is not 0
        optimizer.zero_grad()
        cross_entropy(network(x()), torch.arange(16) % 3).backward()
        optimizer.step()
    moved = {name for name, v in network.state_dict().items() if not torch.equal(v, before[name])}
    running = {name for name, _ in network.named_buffers()}
    assert moved == set(trained(network)) | running


# ------------------------------------------------------------------------------------------- LoRA


@pytest.mark.lora
@pytest.mark.parametrize("norm", ["none", "batch", "weight"])
def test_lora_leaves_the_function_as_it_is(norm):
    network = net(norm)
    for mode in (True, False):
        plain = copy.deepcopy(network).train(mode)
        adapted = lora(copy.deepcopy(network).train(mode))
        assert torch.equal(adapted(x()), plain(x()))


@pytest.mark.lora
def test_lora_adds_rank_times_inputs_and_outputs():
    network = lora(net(), rank=2)
    assert count(network) == 2 * (4 + 8) + 2 * (8 + 8) + (8 * 3 + 3)
    assert count(lora(net(), rank=2, head=False)) == 2 * (4 + 8) + 2 * (8 + 8)
    assert sum(p.numel() for p in network.parameters()) == 171 + 2 * (4 + 8) + 2 * (8 + 8)
    assert count(lora(net(), rank=5, layers=["hidden.3"])) == 5 * (8 + 8) + (8 * 3 + 3)
    assert count(lora(net(), rank=5, layers=["output"], head=False)) == 5 * (8 + 3)


@pytest.mark.lora
def test_lora_is_the_paper_s_formula():
    network = lora(net(norm="none"), rank=2, alpha=6)
    layer = network.hidden[0]
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert not b.any()
    assert 0 < a.abs().max() <= 1 / 4**0.5
    with torch.no_grad():
        b.normal_()
        w, bias = layer.base_layer.weight, layer.base_layer.bias
        expected = x() @ (w + 6 / 2 * b @ a).T + bias
        torch.testing.assert_close(layer(x()), expected)


@pytest.mark.lora
def test_lora_is_drawn_from_the_global_generator():
    one, same, other = lora(net(), seed=1), lora(net(), seed=1), lora(net(), seed=2)
    name = "hidden.0.lora_A.default.weight"
    assert torch.equal(one.get_parameter(name), same.get_parameter(name))
    assert not torch.equal(one.get_parameter(name), other.get_parameter(name))


@pytest.mark.lora
def test_lora_of_a_conv_and_an_embedding():
    network = nn.Sequential(
        nn.Embedding(9, 6), nn.Conv1d(5, 7, 2), nn.Flatten(), nn.Linear(35, 4), nn.Linear(4, 2)
    )
    tokens = torch.arange(9).repeat(10).reshape(-1, 5)
    before = network(tokens)
    lora(network, rank=3, layers=["0", "1"])
    assert torch.equal(network(tokens), before)
    # The factor A of a Conv has its kernel, B one of size 1.
    assert count(network) == 3 * (9 + 6) + 3 * (5 * 2 + 7) + (4 * 2 + 2)


@pytest.mark.lora
def test_lora_takes_names_whole():
    """peft matches the names of a list as suffixes: "0" would be "hidden.0" too."""
    network = nn.Sequential(
        nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), nn.Linear(4, 2)
    )
    lora(network, layers=["0"], head=False)
    assert trained(network) == ["0.lora_A.default.weight", "0.lora_B.default.weight"]


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        self.feature, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.feature(self.encoder(x)))


@pytest.mark.lora
def test_lora_is_nowhere_that_its_layer_is_not_called():
    """torch's encoder layer reads its layers' weights in evaluation, its attention always."""
    network = lora(Transformer(), head=False)
    assert trained(network) == [f"feature.lora_{factor}.default.weight" for factor in ("A", "B")]
    with pytest.raises(
        ValueError, match=r"^layers: LoRA can be put beside feature, head, not encoder\.linear1$"
    ):
        lora(Transformer(), layers=["encoder.linear1"])


@pytest.mark.lora
def test_lora_refuses_in_one_line():
    untouched = net()
    with pytest.raises(
        ValueError,
        match=r"^layers: LoRA can be put beside hidden\.0, hidden\.3, output, not hidden$",
    ):
        lora(untouched, layers=["hidden.0", "hidden"])
    assert len(trained(untouched)) == 10
    with pytest.raises(ValueError, match=r"^LoRA: the network has no Linear below its head"):
        lora(nn.Linear(3, 2))
    with pytest.raises(ValueError, match=r"^rank=0: must be at least 1$"):
        LoRA(rank=0)
    with pytest.raises(ValueError, match=r"^dropout=1\.0: must lie in \[0, 1\)$"):
        LoRA(dropout=1.0)


def test_lora_without_peft_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"^LoRA needs the peft .*: pip install 'theta0\[lora\]'$"):
        LoRA()(net())


@pytest.mark.lora
def test_lora_checkpoint(tmp_path):
    network = lora(net(), seed=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    torch.save(network.state_dict(), tmp_path / "a.ckpt")
    fresh = lora(net(), seed=2)
    fresh.load_state_dict(torch.load(tmp_path / "a.ckpt", weights_only=True))
    assert torch.equal(fresh.eval()(x()), network.eval()(x()))
    assert "hidden.0.base_layer.weight" in fresh.state_dict()


@pytest.mark.lora
def test_lora_copy():
    network = lora(net())
    twin = copy.deepcopy(network)
    assert trained(twin) == trained(network)
    with torch.no_grad():
        twin.get_parameter("hidden.0.lora_B.default.weight").fill_(1.0)
    assert torch.equal(network(x()), net()(x()))
    assert not torch.equal(twin(x()), network(x()))


@pytest.mark.lora
def test_mup_has_no_rates_for_lora():
    with pytest.raises(ValueError, match=r"adapters \(LoRA\)$"):
        MuP().lr_scales(lora(net()), torch.optim.Adam)


@pytest.mark.lora
def test_peft_is_imported_late_quietly_and_draws_nothing():
    code = """
import sys, torch
from torch import nn
from theta0.finetune import LoRA
assert "peft" not in sys.modules
drawn = []
for _ in range(2):
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    torch.manual_seed(0)
    LoRA()(network)
    drawn.append(network[0].lora_A["default"].weight)
assert torch.equal(*drawn)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
