"""What is said of a θ₀ that is not the init's."""

import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from theta0.build import build
from theta0.init import (
    LSUV,
    Normal,
    Pretrained,
    ReZero,
    TorchDefault,
    VarianceScaling,
    require_drawn,
    warnings,
)

HE = VarianceScaling(gain="forward")
CONFIGS = Path(__file__).parents[2] / "configs"


def start(network, scheme=HE):
    return warnings(scheme(network, torch.Generator().manual_seed(0)))


class Bare(nn.Module):
    def __init__(self, kept: int, trained: bool = True) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(kept), requires_grad=trained)
        self.head = nn.Linear(9, 10, bias=False)


@pytest.mark.parametrize(
    ("layer", "share", "named"),
    [
        (nn.GRU(8, 16), 1248 / 1338, "0.weight_ih_l0, 0.weight_hh_l0, 0.bias_ih_l0, 0.bias_hh_l0"),
        (nn.LSTM(8, 16), 1664 / 1754, "0.weight_ih_l0"),
        (nn.RNN(8, 16), 416 / 506, "0.weight_ih_l0"),
        (nn.MultiheadAttention(8, 2), 216 / 378, "0.in_proj_weight, 0.in_proj_bias"),
        (nn.EmbeddingBag(20, 8), 160 / 250, "0.weight"),
        (nn.Bilinear(4, 5, 6), 126 / 216, "0.weight, 0.bias"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_weights_that_no_rule_draws_are_a_warning(layer, share, named):
    (line,) = start(nn.Sequential(layer, nn.Linear(9, 10, bias=False)))
    assert line.startswith(f"init leaves {100 * share:.0f} % of the weights as their constructors")
    assert f"({named}" in line


def test_up_to_two_percent_and_what_is_not_trained_are_none():
    assert start(Bare(kept=1)) == []  # 1 of 91
    (line,) = start(Bare(kept=2))  # 2 of 92
    assert "2 % of the weights" in line and "(token)" in line
    assert start(Bare(kept=100, trained=False)) == []


def test_many_names_are_cut_short():
    (line,) = start(nn.LSTM(8, 16, num_layers=2))
    assert "init leaves 100 % of the weights" in line
    assert "0.weight" not in line and "weight_hh_l1 and 2 more)" in line


def test_a_file_has_all_weights_and_a_partial_one_leaves_the_rest(tmp_path):
    network = nn.ModuleDict({"rnn": nn.RNN(4, 4), "head": nn.Linear(4, 2)})
    torch.save(network.state_dict(), tmp_path / "all.pt")
    torch.save({"head.weight": network.head.weight.data}, tmp_path / "part.pt")
    assert start(network, Pretrained(path=str(tmp_path / "all.pt"))) == []
    (line,) = start(network, Pretrained(path=str(tmp_path / "part.pt"), match="partial"))
    assert "(rnn.weight_ih_l0" in line


@pytest.mark.parametrize(
    "words",
    [[f"model={file.stem}"] for file in sorted((CONFIGS / "model").glob("*.yaml"))]
    + [["model=residual_mlp", f"model.norm={norm}"] for norm in ("batch", "layer", "weight")],
    ids="-".join,
)
def test_no_shipped_model_is_warned_of(compose, words):
    config = OmegaConf.to_container(compose("data=digits", *words).model, resolve=True)
    for scheme in (HE, TorchDefault()):
        assert start(build(config), scheme) == []


class LanguageModel(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, width)
        self.head = nn.Linear(width, 50, bias=False)
        self.head.weight = self.embed.weight


@pytest.mark.parametrize("scheme", [HE, TorchDefault()], ids=["he", "torch_default"])
def test_a_head_tied_to_an_embedding_starts_with_large_outputs(scheme):
    network = LanguageModel(400)
    (line,) = start(network, scheme)
    assert line.startswith("head.weight is embed.weight, an Embedding drawn with std 1, so its")
    size = float(line.partition("start ")[2].partition(" times")[0])
    h = torch.randn(1000, 400)
    assert network.head(h).std().item() == pytest.approx(size, rel=0.05)  # about 20
    assert start(LanguageModel(400), Normal(std=0.02)) == []
    assert start(LanguageModel(3), scheme) == []  # √3 times


OWN = '''
import torch
from theta0.models import Linear


class Shifted(Linear):
    """A learned shift of the inputs, drawn by the constructor: 9 % of the weights."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features, bias=True)
        self.shift = torch.nn.Parameter(torch.randn(in_features))

    def forward(self, x):
        return super().forward(x.flatten(1) + self.shift)
'''


@pytest.fixture
def own_model(tmp_path, monkeypatch):
    (tmp_path / "kept_model.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield ("data=digits", "model=linear", "model._target_=kept_model.Shifted", "~model.bias")
    sys.modules.pop("kept_model", None)


LINE = "init leaves 9 % of the weights as their constructors drew them (shift)"


def test_a_run_says_so_on_the_screen_and_in_its_result(in_process, tmp_path, own_model):
    ran = in_process(tmp_path, "train=false", "test=false", *own_model)
    result = ran.one()
    assert result.warnings[0].startswith(LINE)
    assert f"{result.run}  warning: {LINE}" in ran.out + ran.err
    assert LINE in (ran.folder(result) / "run.log").read_text()


@pytest.mark.slow
def test_a_stack_says_so_once_on_the_screen_and_in_each_result(in_process, tmp_path, own_model):
    words = ("-m", "seed=0,1,2", "hydra/launcher=stacked", "trainer.max_epochs=1", "study=s")
    ran = in_process(tmp_path, *words, *own_model, report=True)
    assert [result.warnings[0].startswith(LINE) for result in ran.results()] == [True] * 3
    assert (ran.out + ran.err).count(LINE) == 1
    for result in ran.results():
        assert LINE in (ran.folder(result) / "run.log").read_text()
    assert f"init: 3 of 3 runs: {LINE}" in (tmp_path / "logs/s/report/finding.md").read_text()


def test_strict_fails_before_the_first_step(in_process, tmp_path, own_model):
    ran = in_process(tmp_path, "+init.strict=true", *own_model)
    assert ran.code == 1
    assert ran.one().error.message.startswith(f"init.strict=true: {LINE}")
    assert ran.one().cost is None


def test_strict_of_an_init_within_another_holds_for_both(tmp_path):
    network = nn.Linear(2, 2)
    torch.save(network.state_dict(), tmp_path / "all.pt")
    strict = VarianceScaling(strict=True)
    assert Pretrained(path=str(tmp_path / "all.pt"), rest=strict).strict
    assert ReZero(base=strict).strict and not ReZero(base=HE).strict
    assert LSUV(strict=True).strict
    require_drawn(strict(network, torch.Generator()))


def test_inspect_init_says_so(in_process, tmp_path, own_model):
    ran = in_process(tmp_path, *own_model, program="inspect_init.py")
    assert ran.code == 0, ran.err
    assert f"warning: {LINE}" in ran.out
