"""What a search tells of itself, on trials whose answer is known."""

import math
import random

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from theta0.search.report import counted, front, importances, tuning

BOTH = CategoricalDistribution(["adam", "sgd"])
RATE = FloatDistribution(1e-3, 1.0, log=True)


def study(*directions):
    return optuna.create_study(directions=directions or ["maximize"])


def trial(optimizer, lr, *values, state=TrialState.COMPLETE, **attributes):
    return optuna.create_trial(
        params={"optimizer": optimizer, f"optimizer.lr[{optimizer}]": lr},
        distributions={"optimizer": BOTH, f"optimizer.lr[{optimizer}]": RATE},
        values=list(values) or None,
        state=state,
        user_attrs=attributes,
    )


def added(study, trials):
    study.add_trials(trials)
    return study.trials


def test_how_the_trials_ended():
    ends = [
        trial("adam", 0.1, 0.5),
        trial("adam", 0.1, -math.inf),
        trial("adam", 0.1, state=TrialState.PRUNED),
        trial("adam", 0.1, state=TrialState.FAIL),
        trial("adam", 0.1, state=TrialState.RUNNING),
    ]
    assert counted(ends) == "5 trials: 1 done, 1 diverged, 1 pruned, 1 failed, 1 not over"
    assert counted(ends[:1]) == "1 trials: 1 done"


RANGES = {
    "adam": FloatDistribution(1e-5, 1e-1, log=True),
    "sgd": FloatDistribution(1e-3, 1.0, log=True),
}


@pytest.mark.parametrize("best", ["optimizer.lr", "optimizer"])
def test_what_decides_has_the_larger_share(best):
    """Whatever range a rate lies in; a tenth diverges, and counts as the worst."""
    made, draw = study(), random.Random(0)
    for _ in range(60):
        optimizer, place = draw.choice(["adam", "sgd"]), draw.random()
        own = RANGES[optimizer]
        lr = own.low * (own.high / own.low) ** place
        value = -abs(place - 0.4) if best == "optimizer.lr" else float(optimizer == "adam")
        value = -math.inf if place > 0.9 else value + draw.gauss(0, 0.02)
        made.add_trial(
            optuna.create_trial(
                params={"optimizer": optimizer, f"optimizer.lr[{optimizer}]": lr},
                distributions={"optimizer": BOTH, f"optimizer.lr[{optimizer}]": own},
                value=value,
            )
        )
    shares = importances(made, made.trials)
    assert shares.keys() == {"optimizer", "optimizer.lr"}
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.get) == best


def test_where_only_one_did_not_diverge():
    made = study()
    trials = [trial("adam", 0.01, 0.5), *(trial("sgd", 0.9, -math.inf) for _ in range(11))]
    assert sum(importances(made, added(made, trials)).values()) == pytest.approx(1)


class Run:
    def __init__(self, optimizer, test):
        self.choices, self.metrics = {"optimizer": optimizer}, {"test/acc": test}


def test_a_row_an_optimizer():
    trials = [
        trial("adam", 0.001, 0.7, run="a", untuned=True),
        trial("sgd", 0.1, -math.inf, run="b", untuned=True),
        trial("adam", 0.01, 0.8, run="c"),
        trial("adam", 0.9, -math.inf, run="d"),
        trial("sgd", 0.01, 0.9, run="e"),
        trial("sgd", 0.02, run="f", state=TrialState.PRUNED),
    ]
    runs = {
        t.user_attrs["run"]: Run(t.params["optimizer"], ord(t.user_attrs["run"])) for t in trials
    }
    good = [trials[4], trials[2], trials[0]]
    assert tuning(trials, good, runs, "val/acc", "max") == [
        {
            "optimizer": "sgd", "trials": 3,
            "untuned val/acc": -math.inf, "untuned test/acc": ord("b"), "untuned optimizer.lr": 0.1,
            "tuned val/acc": 0.9, "tuned test/acc": ord("e"), "tuned optimizer.lr": 0.01,
        },
        {
            "optimizer": "adam", "trials": 3,
            "untuned val/acc": 0.7, "untuned test/acc": ord("a"), "untuned optimizer.lr": 0.001,
            "tuned val/acc": 0.8, "tuned test/acc": ord("c"), "tuned optimizer.lr": 0.01,
            "gain": pytest.approx(0.1),
        },
    ]  # fmt: skip
    (row,) = tuning(trials[:1], trials[:1], runs, "val/acc", "min")
    assert row["gain"] == 0


def test_the_pareto_front_by_the_first_objective():
    made = study("maximize", "minimize")
    added(
        made,
        [
            trial("adam", 0.1, 0.8, 10.0, run="cheap"),
            trial("adam", 0.1, 0.7, 20.0, run="beaten"),
            trial("sgd", 0.1, 0.9, 30.0, run="best"),
        ],
    )
    table = front(made.best_trials, {"val/acc": "max", "cost.steps": "min"})
    assert table.title == "2 trials on the Pareto front"
    assert [list(column.cells) for column in table.columns] == [
        ["best", "cheap"],
        ["0.9", "0.8"],
        ["30", "10"],
    ]
