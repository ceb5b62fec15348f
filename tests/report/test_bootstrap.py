"""Intervals, against Student's, scipy's bootstrap and closed forms; how often they are right."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from theta0.report.statistics.bootstrap import (
    RESAMPLES,
    STATISTICS,
    intervals,
    iqm,
    mean,
    median,
    resamples,
    tails,
)


def test_interquartile_mean():
    assert iqm(np.array([-50.0, 1, 2, 3, 4, 5, 6, 100])) == np.mean([2, 3, 4, 5])
    assert iqm(np.array([1.0, 2, 9])) == 4  # a quarter of three is no whole value


@pytest.mark.parametrize("n", [1, 2, 3, 4, 16, 17])
def test_statistics_of_ordered_values(n):
    values = np.random.default_rng(0).normal(size=(3, n))
    ordered = np.sort(values, axis=1)
    np.testing.assert_allclose(mean(ordered), values.mean(axis=1))
    np.testing.assert_allclose(median(ordered), np.median(values, axis=1))
    np.testing.assert_allclose(iqm(ordered), stats.trim_mean(values, 0.25, axis=1))


def test_one_seed_gives_one_interval_and_another_another():
    values = np.random.default_rng(1).normal(size=12)
    assert intervals([values]) == intervals([values])
    assert intervals([values], seed=1) != intervals([values])


def test_many_values_have_the_percentile_interval_of_scipy():
    """With n = 400 the correction for few values is gone: 0.025 becomes 0.0245."""
    assert tails([400]) == pytest.approx([0.025, 0.975], abs=6e-4)
    values = np.random.default_rng(2).gamma(2.0, size=400)
    found = intervals([values])
    for name, statistic in STATISTICS.items():
        reference = stats.bootstrap(
            [values],
            lambda x, axis, statistic=statistic: statistic(np.sort(x, axis=axis)),
            n_resamples=RESAMPLES,
            method="percentile",
            rng=3,
            batch=500,
        ).confidence_interval
        width = reference.high - reference.low
        assert found[name] == pytest.approx(tuple(reference), abs=0.05 * width)


@pytest.mark.parametrize("n", [6, 10, 20])
def test_the_interval_of_a_mean_is_as_wide_as_students(n):
    """What the tails are chosen for; of six values the few resamples leave it narrower."""
    values = np.random.default_rng(4).normal(size=(60, n))
    width = np.diff([intervals([row])["mean"] for row in values])[:, 0]
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=1, ddof=1) / np.sqrt(n)
    assert (width / 2 / half).mean() == pytest.approx(1, abs=0.12 if n == 6 else 0.05)


def test_few_values_have_students_interval():
    for n in (2, 3, 4, 5):
        values = np.random.default_rng(n).normal(size=n)
        found = intervals([values])
        reference = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
        assert found["mean"] == pytest.approx(reference)
        assert np.isnan([*found["median"], *found["iqm"]]).all() == (n < 5)
    assert np.isnan(intervals([np.array([1.0])])["mean"]).all()
    assert np.isnan(intervals([np.arange(9.0), np.arange(4.0)])["mean"]).all()


def test_strata_are_resampled_by_themselves():
    """Two problems a thousand apart: the mean's interval knows nothing of that distance."""
    rng = np.random.default_rng(6)
    easy, hard = 1000 + rng.normal(size=30), rng.normal(size=30)
    low, high = intervals([easy, hard])["mean"]
    error = np.sqrt(easy.var(ddof=1) + hard.var(ddof=1)) / np.sqrt(30) / 2
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 58) * error, rel=0.06)
    together = intervals([np.concatenate([easy, hard])])["mean"]
    assert together[1] - together[0] > 200


def test_resamples_are_uniform():
    drawn = resamples(10, 0)
    assert drawn.shape == (RESAMPLES, 10)
    counts = np.bincount(drawn.ravel(), minlength=10)
    assert stats.chisquare(counts).pvalue > 0.001


DRAWS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "accuracies": lambda rng, shape: rng.beta(60, 6, size=shape),  # near 0.91, skewed
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 7, 20])
@pytest.mark.parametrize("kind", DRAWS)
def test_intervals_of_means_hold_the_mean_95_times_of_100(kind, n):
    """Between 92 and 98, of 600 made-up cells."""
    rng = np.random.default_rng(7)
    truth = {"normal": 0.0, "accuracies": 60 / 66}[kind]
    ends = np.array([intervals([row])["mean"] for row in DRAWS[kind](rng, (600, n))])
    assert 0.92 <= np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("statistic", ["median", "iqm"])
def test_intervals_of_the_others_do_too(statistic, n):
    """Of normal values, whose median and interquartile mean are at 0."""
    values = np.random.default_rng(8).normal(size=(1000, n))
    ends = np.array([intervals([row])[statistic] for row in values])
    assert 0.92 <= np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0)) <= 0.98


@pytest.mark.slow
def test_stratified_intervals_do_too():
    """Three problems of five seeds each, a mean apart."""
    rng = np.random.default_rng(9)
    strata = rng.normal(size=(1000, 3, 5)) + np.array([0.0, 10.0, 20.0])[:, None]
    ends = np.array([intervals(list(rows))["mean"] for rows in strata])
    assert 0.92 <= np.mean((ends[:, 0] <= 10) & (ends[:, 1] >= 10)) <= 0.98


@pytest.mark.parametrize("n", [5, 10, 20, 30])
def test_intervals_of_probabilities_hold_them(n):
    """Wilson's, of the number of seeds on which one side wins: exactly, over all probabilities.

    (For a single one it swings between 91 and 99 %, since the number is whole.)
    """
    wins = np.arange(n + 1)
    low, high = proportion_confint(wins, n, method="wilson")
    held = [
        stats.binom.pmf(wins, n, p)[(low <= p) & (p <= high)].sum()
        for p in np.linspace(0.05, 0.95, 181)
    ]
    assert 0.92 <= np.mean(held) <= 0.98
