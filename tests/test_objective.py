"""Which way a metric is better, and that what is not a number never is the best."""

import inspect
import math
import re
import sys

import pytest
import torch
import torchmetrics
import torchmetrics.classification
import torchmetrics.regression

from theta0.callbacks import Checkpoint, EarlyStopping, SuccessiveHalving
from theta0.config import check
from theta0.errors import ConfigError
from theta0.objective import HIGHER, LOWER, counted, direction
from theta0.results import Objective
from theta0.search.database import values_of

NOT_FINITE = [math.nan, math.inf, -math.inf]


def test_direction_of_a_torchmetrics_class_is_its_own():
    own = {}
    for module in (torchmetrics.classification, torchmetrics.regression):
        for name in module.__all__:
            if inspect.isclass(cls := getattr(module, name)):
                own[re.sub("^(Binary|Multiclass|Multilabel)", "", name)] = cls.higher_is_better
    assert len({name for name in own if own[name] is False} & LOWER) >= 15
    assert not {name for name in LOWER if own.get(name)}
    assert not {name for name in HIGHER if own.get(name) is False}
    unknown = {name for name, better in own.items() if better is not None} - LOWER - HIGHER
    assert unknown <= {"Fairness", "GroupStatRates"}


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ((), "max"),
        (("objective.metric=val/loss",), "min"),
        (("objective.metric=val/loss", "objective.mode=max"), "max"),
        (("metrics=regression",), "min"),
        (("metrics=regression", "objective.metric=val/r2"), "max"),
        (("metrics=regression", "objective.metric=val/mae"), "min"),
        (("remedy=pgd", "objective.metric=val/loss_robust"), "min"),
        (("remedy=pgd", "objective.metric=val/acc_robust"), "max"),
    ],
)
def test_mode_follows_the_metric_unless_it_is_said(compose, words, mode):
    config = compose(
        "data=digits", "study=s", "scheduler=plateau", "callbacks=early_stopping", *words
    )
    assert config.objective.mode == mode
    assert config.callbacks.checkpoint.mode == config.callbacks.early_stopping.mode == mode
    assert config.scheduler.mode == mode


def test_mode_of_a_metric_of_ones_own_has_to_be_said(compose):
    words = "data=digits", "study=s", "+metrics.own={_target_: mine.Own}"
    with pytest.raises(ConfigError) as refused:
        check(compose(*words, "objective.metric=val/own"))
    assert str(refused.value) == (
        "objective.mode=null: whether less or more of val/own is better is not known:"
        " objective.mode=min or objective.mode=max"
    )
    plain = check(compose(*words, "objective.metric=val/own", "objective.mode=min"))
    assert plain["callbacks"]["checkpoint"]["mode"] == "min"
    assert direction("val/own", plain["metrics"]) is None


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_value_that_is_not_finite_is_never_the_best(tmp_path, mode, value):
    worst = counted(None, mode)
    objective = Objective(metric="val/x", mode=mode)
    objective.note({"val/x": value})
    assert (objective.value, objective.counted) == (None, worst)
    assert values_of(Reached({"val/x": value}), {"val/x": mode}) == [worst]

    checkpoint = Checkpoint("val/x", mode, tmp_path)
    good, better = (1.0, 0.5) if mode == "min" else (0.5, 1.0)
    judged = [checkpoint.improves(v) for v in (value, good, value, good, better)]
    assert judged == [False, True, False, False, True]

    stopping = EarlyStopping("val/x", mode=mode, patience=2)
    ends = [
        stopping._evaluate_stopping_criteria(torch.tensor(v))[0]
        for v in (value, good, value, better, value, good)
    ]
    assert ends == [False] * 5 + [True]
    assert stopping.best_score == better

    pruning = SuccessiveHalving(1, 2, tmp_path, Reached({}, objective))
    pruning.judge = Reports()
    pruning.ends(3, value)
    assert pruning.judge.told == (4, worst)


class Reached:
    """A result, as far as a search and its pruning look at one."""

    status, cost = "done", None

    def __init__(self, metrics, objective=None):
        self.metrics, self.objective = metrics, objective


class Reports:
    def report(self, epoch, value):
        self.told = epoch, value
        return False


SCRIPTED = '''
import torch, torchmetrics

class Scripted(torchmetrics.Metric):
    """1, 1/2, nan, 1/4 by epoch; or nan always."""
    full_state_update = False
    def __init__(self, script):
        super().__init__()
        self.add_state("seen", torch.tensor(0.0), dist_reduce_fx="sum")
        self.script, self.epochs = script, 0
    def update(self, output, target):
        self.seen += len(target)
    def compute(self):
        self.epochs += 1
        return torch.tensor(self.script[min(self.epochs, len(self.script)) - 1]) + 0 * self.seen
'''


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "scripted.py").write_text(SCRIPTED)
    sys.path.insert(0, str(folder))
    yield lambda script: (
        f"+metrics.own={{_target_: scripted.Scripted, script: {script}}}",
        "objective.metric=val/own",
        "objective.mode=max",
        "trainer.max_epochs=4",
        "trainer.limit_train_batches=1",
        "scheduler=plateau",
        "model.widths=[8]",
    )
    sys.path.remove(str(folder))


def test_an_epoch_without_a_number_is_not_chosen(in_process, scripted, tmp_path):
    ran = in_process(tmp_path, *scripted("[0.5,nan,1.0,nan]"), "remedy=early_stopping")
    result = ran.one()
    assert (ran.code, result.status) == (0, "done")
    assert (result.best.epoch, result.objective.value) == (2, 1.0)


def test_a_run_without_any_number_has_no_best_and_counts_as_the_worst(
    in_process, scripted, tmp_path
):
    ran = in_process(tmp_path, *scripted("[nan]"))
    result = ran.one()
    assert (ran.code, result.status, result.best) == (0, "done", None)
    assert (result.objective.value, ran.returned) == (None, [-math.inf])
    assert "no best: val/own was never a finite number, which counts as the worst" in ran.out


def test_a_mode_against_the_metric_is_told(in_process, tmp_path):
    words = "objective.metric=val/loss", "objective.mode=max", "trainer.fast_dev_run=true"
    ran = in_process(tmp_path, *words)
    assert "objective.mode=max: chooses the highest val/loss" in ran.out
