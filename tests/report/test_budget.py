"""Expected best validation, against all draws counted one by one."""

import itertools
import tracemalloc

import numpy as np
import pytest

from theta0.report.statistics import analyse
from theta0.report.statistics.budget import best_of
from theta0.report.study import read


def test_the_best_of_n_draws_by_counting_them():
    values = np.array([0.3, 0.9, 0.1, 0.9])
    mean, std = best_of(values)
    for n in (1, 2, 3, 4):
        best = [max(draw) for draw in itertools.product(values, repeat=n)]
        assert mean[n - 1] == pytest.approx(np.mean(best))
        assert std[n - 1] == pytest.approx(np.std(best))


def test_many_trials_take_memory_by_their_number_and_not_its_square():
    values = np.random.default_rng(0).normal(size=2000)
    tracemalloc.start()
    mean, std = best_of(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * values.nbytes
    ordered, number = np.sort(values), np.arange(len(values) + 1)
    for n in (1, 10, 2000):
        weights = np.diff((number / len(values)) ** n)
        assert mean[n - 1] == pytest.approx(weights @ ordered, rel=1e-9)
        variance = weights @ ordered**2 - (weights @ ordered) ** 2
        assert std[n - 1] == pytest.approx(np.sqrt(variance), rel=1e-6)


def test_a_row_for_each_number_of_trials(made_up_study):
    def outcome(cell, seed):
        if cell["optimizer.lr"] == 1.0 and seed == 0:
            return "diverged"
        return {0.01: 0.2, 0.1: 0.9, 1.0: 0.5}[cell["optimizer.lr"]] + seed / 100

    folder = made_up_study(outcome, optimizer__lr=[0.01, 0.1, 1.0], seeds=range(2))
    budget = analyse(read([folder])).budget
    assert budget["budget"].tolist() == [1, 2, 3, 4, 5, 6]
    # The diverged run counts as the worst of all runs.
    mean, std = best_of(np.array([0.2, 0.21, 0.9, 0.91, 0.51, 0.2]))
    np.testing.assert_allclose(budget["expected"].astype(float), mean)
    np.testing.assert_allclose(budget["std"].astype(float), std)


def test_less_is_better_where_the_objective_says_so(made_up_study):
    def regression(content):
        content["objective"].metric, content["objective"].mode = "val/loss", "min"

    def outcome(cell, seed):
        return {0.01: 0.2, 0.1: 0.9}[cell["optimizer.lr"]]

    folder = made_up_study(outcome, change=regression, optimizer__lr=[0.01, 0.1], seeds=[0])
    assert analyse(read([folder])).budget["expected"].tolist() == pytest.approx([0.55, 0.375])


def test_without_settings_to_tune_there_is_no_budget(made_up_study):
    budget = analyse(read([made_up_study(init=["he", "xavier"])])).budget
    assert len(budget) == 0
    assert list(budget.columns) == ["optimizer", "init", "budget", "expected", "std"]
