"""What may be said to classes of torch, and of one's own, that no file sets."""

import inspect
import sys
from pkgutil import resolve_name

import pytest
import torch
from torch import nn
from torch.nn import functional

from theta0.build import build
from theta0.cli import one_line
from theta0.config import COMPONENTS, check
from theta0.errors import ConfigError
from theta0.losses import WeightedSum
from theta0.stacked.network import Network

CROSS_ENTROPY = "torch.nn.CrossEntropyLoss"
WEIGHT = [1.0, 2.0, 0.0, 4.0]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["+loss.cross_entropy.weight=[1,2]"],
         "loss.cross_entropy.weight=[1,2]: has 2 numbers, but data.num_classes=10"),
        (["+loss.cross_entropy.weight=[0,0,0,0,0,0,0,0,0,0]"],
         "loss.cross_entropy.weight=[0,0,0,0,0,0,0,0,0,0]: must have a number greater than 0"),
        (["+loss.cross_entropy.weight=[1,1,1,1,1,1,1,1,1,-1]"],
         "loss.cross_entropy.weight.9=-1: must be greater than or equal to 0"),
        (["+loss.cross_entropy.reduction=sum"],
         "loss.cross_entropy.reduction=sum: allowed: mean"),
    ],
)  # fmt: skip
def test_wrong_ones_are_refused(compose, words, line):
    with pytest.raises(ConfigError) as error:
        check(compose("data=digits", *words))
    assert str(error.value) == line


@pytest.mark.parametrize(
    "words",
    [
        ["+loss.cross_entropy.weight=[1,1,1,1,1,1,1,1,1,5]"],
        ["+optimizer.maximize=true"],
        ["optimizer=rprop", "+optimizer.foreach=true"],
        ["scheduler=plateau", "+scheduler.cooldown=2", "+scheduler.threshold_mode=abs"],
    ],
    ids=lambda words: words[-1],
)
def test_right_ones_are_taken(compose, words):
    check(compose("data=digits", *words))


def test_whatever_is_optional_is_an_argument_of_its_class():
    beside = {"scale"}  # of a loss's term: the sum's
    for parts in COMPONENTS.values():
        for target, component in parts.items():
            if target.startswith("torch."):
                known = inspect.signature(resolve_name(target)).parameters
                optional = {k for k, field in component.fields.items() if isinstance(field, tuple)}
                assert optional - beside <= set(known), target


def test_class_weights_are_torchs_and_not_in_a_checkpoint():
    term = build({"_target_": CROSS_ENTROPY, "label_smoothing": 0.1, "weight": WEIGHT})
    output, target = torch.randn(7, 4), torch.tensor([0, 1, 2, 3, 3, 1, 0])
    loss = WeightedSum({"fit": term}, {"fit": 1.0})
    expected = functional.cross_entropy(output, target, torch.tensor(WEIGHT), label_smoothing=0.1)
    torch.testing.assert_close(loss(output, target, output, nn.Identity())[0], expected)
    assert loss.state_dict() == {}
    assert loss.double()(output.double(), target, output, nn.Identity())[0].dtype == torch.float64


def test_class_weights_in_a_stack_of_different_smoothings():
    """Where members' label smoothing differs, the stack has a cross-entropy of its own."""
    smoothing = [0.0, 0.3]
    template = nn.Linear(3, 4)
    states = [nn.Linear(3, 4).state_dict() for _ in smoothing]
    term = build({"_target_": CROSS_ENTROPY, "label_smoothing": 0.0, "weight": WEIGHT})
    stack = Network(
        template,
        WeightedSum({"fit": term}, {"fit": 1.0}),
        states,
        [{"fit": 1.0}] * 2,
        [{"fit": value} for value in smoothing],
        [[]] * 2,
        [torch.Generator()] * 2,
        torch.device("cpu"),
        torch.float64,
    )
    x, y = torch.randn(9, 3, dtype=torch.float64), torch.arange(9) % 4
    losses, _, output = stack.fit(x, y, shared=True)
    weight = torch.tensor(WEIGHT, dtype=torch.float64)
    for i, value in enumerate(smoothing):
        expected = functional.cross_entropy(output[i], y, weight, label_smoothing=value)
        torch.testing.assert_close(losses[i], expected, rtol=1e-12, atol=0)


class Own(nn.Module):
    def __init__(self, in_features: int, slope: float = 1.0, shift: torch.Tensor | None = None):
        super().__init__()
        self.shift = shift


def test_a_list_is_a_tensor_where_ones_own_class_has_one():
    node = {"_target_": f"{__name__}.Own", "in_features": 3, "shift": [1, 2]}
    assert torch.equal(build(node).shift, torch.tensor([1.0, 2.0]))
    assert build(node | {"slope": [1, 2]}).shift is not None


def test_an_argument_that_no_file_sets_is_added_by_a_plus(compose):
    with pytest.raises(Exception) as error:
        compose("model._target_=own.Net", "model.raise_at=3")
    line = one_line(error.value)
    assert line.startswith("model.raise_at=3: unknown key; allowed: ")
    assert line.endswith("; another argument of own.Net is added by a plus sign: +model.raise_at=3")
    with pytest.raises(Exception) as error:
        compose("model.raise_at=3")
    assert "plus sign" not in one_line(error.value)
    assert "own" not in sys.modules
