"""Methods over several problems."""

import numpy as np
import pytest
from scipy import stats

from theta0.report.statistics import analyse
from theta0.report.statistics.bootstrap import resamples, tails
from theta0.report.study import read


def test_the_interquartile_mean_over_problems_resamples_each_by_itself(made_up_study):
    rng = np.random.default_rng(0)

    def outcome(cell, seed):
        return {"a": 0.5, "b": 0.9}[cell["data"]] + rng.normal(scale=0.01)

    folder = made_up_study(outcome, optimizer=["adam", "sgd"], data=["a", "b"], seeds=range(6))
    study = read([folder])
    overall = analyse(study).overall
    assert overall["iqm"].is_monotonic_decreasing
    for row in overall.to_dict("records"):
        runs = study.runs[study.runs["optimizer"] == row["optimizer"]]
        strata = [part["test/acc"].to_numpy() for _, part in runs.groupby("data")]
        values = np.concatenate(strata)
        assert (row["problems"], row["n"]) == (2, 12)
        assert row["iqm"] == pytest.approx(stats.trim_mean(values, 0.25))
        drawn = [stratum[resamples(6, number)] for number, stratum in enumerate(strata)]
        middle = stats.trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
        ends = np.quantile(middle, tails([6, 6]))
        assert (row["iqm_low"], row["iqm_high"]) == pytest.approx(tuple(ends))


def test_who_has_solved_fewer_problems_comes_after(made_up_study):
    """SGD diverges on all of the hard one: the easy one alone would put it first."""

    def outcome(cell, seed):
        hard = cell["data"] == "hard"
        if hard and cell["optimizer"] == "sgd":
            return "diverged"
        return (0.5 if hard else 0.9) + seed / 1000

    folder = made_up_study(outcome, optimizer=["adam", "sgd"], data=["easy", "hard"])
    overall = analyse(read([folder])).overall
    assert overall[["optimizer", "problems", "n", "diverged"]].to_numpy().tolist() == [
        ["adam", 2, 10, 0], ["sgd", 1, 5, 5],
    ]  # fmt: skip


def test_one_problem_has_none(made_up_study):
    overall = analyse(read([made_up_study()])).overall
    assert len(overall) == 0
    assert list(overall.columns) == [
        "optimizer",
        "init",
        "problems",
        "n",
        "diverged",
        "iqm",
        "iqm_low",
        "iqm_high",
    ]
