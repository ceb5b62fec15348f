"""Time to target and performance profiles of curves known by hand."""

import numpy as np
import pytest

from theta0.report.statistics import analyse
from theta0.report.study import read

# Of accuracy a after three epochs the first has 4/7·a, the second 6/7·a: ten steps, a second each.


def statistics(folder, **options):
    return analyse(read([folder]), **options)


def test_the_first_epoch_that_reaches_the_target(made_up_study):
    folder = made_up_study(lambda cell, seed: [0.8, 0.41, 0.2][seed], seeds=range(3))
    table = statistics(folder, target=0.4).targets.sort_values("seeds.init")
    assert table["reached"].tolist() == [True, True, False]
    assert table["epoch"].tolist()[:2] == [0, 2]
    assert table["step"].tolist()[:2] == [10, 30]
    assert table["seconds"].tolist()[:2] == [1, 3]
    assert table[["epoch", "step", "seconds"]].iloc[2].isna().all()
    (row,) = statistics(folder, target=0.4).times.to_dict("records")
    assert (row["n"], row["reached"], row["step"], row["seconds"]) == (3, 2, 30, 3)


def test_by_default_half_of_the_runs_reach_it(made_up_study):
    """Of the runs of chosen cells: what a bad rate does has no part in it."""

    def outcome(cell, seed):
        return 0.1 if cell["optimizer.lr"] == 1.0 else 0.5 + seed / 10

    folder = made_up_study(outcome, optimizer__lr=[0.1, 1.0], seeds=range(3))
    table = statistics(folder).targets
    assert table["target"].tolist() == [pytest.approx(0.6)] * 6
    assert table.loc[table["chosen"], "reached"].sum() == 2


def test_each_problem_has_its_target(made_up_study):
    folder = made_up_study(lambda c, s: {"a": 0.5, "b": 0.9}[c["data"]] + s / 100, data=["a", "b"])
    table = statistics(folder).targets
    assert table.groupby("data")["target"].first().to_dict() == {
        "a": pytest.approx(0.52), "b": pytest.approx(0.92),
    }  # fmt: skip


def test_what_most_runs_do_not_reach_takes_forever(made_up_study):
    folder = made_up_study(lambda c, s: 0.9 if s == 0 else "diverged" if s == 1 else 0.1)
    (row,) = statistics(folder, target=0.5).times.to_dict("records")
    assert (row["n"], row["reached"]) == (5, 1)
    assert np.isinf([row["step"], row["seconds"]]).all()


def test_less_is_better_where_the_objective_says_so(made_up_study):
    """These losses rise: the first epoch is the best."""

    def regression(content):
        content["objective"].metric, content["objective"].mode = "val/acc", "min"

    folder = made_up_study(lambda c, s: 0.6, change=regression, seeds=[0])
    assert statistics(folder, target=0.4).targets["epoch"].tolist() == [0]
    assert statistics(folder, target=0.3).targets["reached"].tolist() == [False]


def test_performance_profiles_known_by_hand(made_up_study):
    """Steps to 0.4 on two problems. Adam: 10, 30. SGD: 30, 20. Lion: never, 10."""
    reach = {10: 0.8, 20: 0.48, 30: 0.42, None: 0.1}
    steps = {
        "adam": {"a": 10, "b": 30}, "sgd": {"a": 30, "b": 20}, "lion": {"a": None, "b": 10},
    }  # fmt: skip

    def outcome(cell, seed):
        return reach[steps[cell["optimizer"]][cell["data"]]]

    folder = made_up_study(outcome, optimizer=list(steps), data=["a", "b"], seeds=[0])
    profiles = statistics(folder, target=0.4).profiles
    assert set(profiles["measure"]) == {"step", "seconds"}
    found = {
        optimizer: part[["tau", "share"]].to_numpy().tolist()
        for optimizer, part in profiles[profiles["measure"] == "step"].groupby("optimizer")
    }
    assert found == {
        "adam": [[1, 0.5], [3, 1]], "sgd": [[1, 0], [2, 0.5], [3, 1]], "lion": [[1, 0.5]],
    }  # fmt: skip


def test_one_instance_has_no_profile(made_up_study):
    folder = made_up_study(optimizer=["adam", "sgd"], seeds=[0])
    assert len(statistics(folder).profiles) == 0


def test_a_study_without_curves(made_up_study):
    folder = made_up_study()
    for path in folder.glob("*/metrics.csv"):
        path.unlink()
    found = statistics(folder)
    assert not found.targets["reached"].any()
    assert len(found.times) == 1
