"""Pairs, against scipy, closed forms and answers known by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from theta0.report.statistics import analyse
from theta0.report.statistics.comparisons import compare, select
from theta0.report.statistics.family import correct, holm
from theta0.report.statistics.limits import limits
from theta0.report.statistics.power import detectable, needed
from theta0.report.study import SEEDS, read

DIFFERENCES = [0.010, 0.020, 0.015, 0.005, 0.025, 0.012]


def rows(folder, **options) -> pd.DataFrame:
    return analyse(read([folder], **options)).comparisons


def two_inits(cell, seed):
    """He is better than Xavier by DIFFERENCES, on seeds that differ much more from each other."""
    return 0.5 + seed / 20 + (cell["init"] == "he") * DIFFERENCES[seed]


def test_pairs_of_seeds(made_up_study):
    (row,) = rows(made_up_study(two_inits, init=["he", "xavier"], seeds=range(6))).to_dict(
        "records"
    )
    assert (row["factor"], row["a"], row["b"], row["optimizer"], row["init"]) == (
        "init", "he", "xavier", "adam", None,
    )  # fmt: skip
    assert (row["n"], row["both_done"], row["test"]) == (6, 6, "t")
    assert row["difference"] == pytest.approx(np.mean(DIFFERENCES))
    assert row["effect"] == pytest.approx(np.mean(DIFFERENCES) / np.std(DIFFERENCES, ddof=1))
    he = [two_inits({"init": "he"}, seed) for seed in range(6)]
    xavier = [two_inits({"init": "xavier"}, seed) for seed in range(6)]
    assert row["p"] == pytest.approx(stats.ttest_rel(he, xavier).pvalue)
    assert row["p_corrected"] == row["p"]  # the only test
    assert row["differs"]
    student = stats.ttest_rel(he, xavier).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((student.low, student.high))
    # Wilson: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n) with p = 1
    z = stats.norm.ppf(0.975)
    assert row["probability"] == 1
    assert row["probability_low"] == pytest.approx(6 / (6 + z**2))
    assert row["probability_high"] == pytest.approx(1)


def test_less_is_better_where_the_metric_says_so(made_up_study):
    folder = made_up_study(two_inits, init=["he", "xavier"], seeds=range(6))
    (row,) = rows(folder, metric="val/loss", mode="min").to_dict("records")
    assert row["difference"] == pytest.approx(np.mean(DIFFERENCES))  # its loss is 1 − accuracy


def test_only_shared_seeds_are_pairs(made_up_study):
    def outcome(cell, seed):
        ends = {("he", 0): None, ("xavier", 5): None, ("he", 1): "failed"}
        return ends.get((cell["init"], seed), two_inits(cell, seed))

    (row,) = rows(made_up_study(outcome, init=["he", "xavier"], seeds=range(6))).to_dict("records")
    assert (row["n"], row["both_done"]) == (3, 3)
    assert row["difference"] == pytest.approx(np.mean(DIFFERENCES[2:5]))


def test_a_diverged_run_is_the_worst(made_up_study):
    """He wins seeds 0 to 3, of which Xavier diverges on two; both diverge on seed 4: a tie."""

    def outcome(cell, seed):
        if seed == 4 or (cell["init"] == "xavier" and seed < 2):
            return "diverged"
        return 0.8 if cell["init"] == "he" else 0.7 + seed / 100

    (row,) = rows(made_up_study(outcome, init=["he", "xavier"])).to_dict("records")
    assert (row["n"], row["both_done"], row["test"]) == (5, 2, "t")
    assert row["probability"] == 4.5 / 5
    assert row["difference"] == pytest.approx(0.8 - 0.725)
    assert row["p"] == pytest.approx(2 * stats.ttest_1samp([0.08, 0.07], 0).pvalue)
    assert row["p"] < 2 * stats.binomtest(4, 4).pvalue


def test_who_diverges_wins_by_no_t_test(made_up_study):
    """Xavier is better wherever it does not diverge, but that is on two seeds of seven."""

    def outcome(cell, seed):
        if cell["init"] == "xavier":
            return "diverged" if seed < 5 else 0.9
        return 0.7 + seed / 1000

    (row,) = rows(made_up_study(outcome, init=["he", "xavier"], seeds=range(7))).to_dict("records")
    assert row["difference"] == pytest.approx(0.7055 - 0.9)
    assert (row["n"], row["both_done"], row["test"]) == (7, 2, "sign")
    assert row["p"] == pytest.approx(2 * stats.binomtest(5, 7).pvalue)
    assert not row["differs"]


def test_where_hardly_a_run_is_done_the_sign_test_stands_alone(made_up_study):
    def outcome(cell, seed):
        return "diverged" if cell["init"] == "xavier" and seed else 0.7 + seed / 1000

    (row,) = rows(made_up_study(outcome, init=["he", "xavier"], seeds=range(7))).to_dict("records")
    assert (row["both_done"], row["test"]) == (1, "sign")
    assert row["p"] == pytest.approx(stats.binomtest(6, 6).pvalue)


def test_equal_differences_have_no_t(made_up_study):
    def outcome(cell, seed):
        return 0.1 * seed + (0.3 if cell["init"] == "he" else 0)  # equal but for rounding

    (row,) = rows(made_up_study(outcome, init=["he", "xavier"])).to_dict("records")
    assert (row["test"], row["p"]) == ("sign", 2 * 0.5**5)
    (row,) = rows(made_up_study(lambda c, s: 0.5, name="b", init=["he", "xavier"])).to_dict(
        "records"
    )
    assert (row["test"], row["p"], row["probability"], row["differs"]) == ("sign", 1.0, 0.5, False)


def test_one_seed_compares_nothing(made_up_study):
    (row,) = rows(made_up_study(two_inits, init=["he", "xavier"], seeds=[1])).to_dict("records")
    assert row["n"] == 1
    assert np.isnan([row["p"], row["p_corrected"], row["low"], row["effect"]]).all()
    assert not row["differs"]


def test_all_that_the_report_tests_is_one_family(made_up_study):
    """15 pairs of 6 arms, of which 9 are in the table, and three sources of variance."""
    rng = np.random.default_rng(0)
    folder = made_up_study(
        lambda cell, seed: rng.normal(), init=["he", "xavier", "zeros"], optimizer=["adam", "sgd"]
    )
    statistics = analyse(read([folder]))
    table = statistics.comparisons
    assert table["factor"].value_counts().to_dict() == {"init": 6, "optimizer": 3}
    shares = statistics.effects.set_index("source")
    sources = ["optimizer", "init", "optimizer × init"]
    assert shares[["p", "p_corrected"]].drop(sources).isna().all(axis=None)
    p = [*statistics.pairs["p"], *shares.loc[sources, "p"]]
    assert len(p) == statistics.tests == 15 + 3
    expected = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(statistics.pairs["p_corrected"], expected[:15])
    np.testing.assert_allclose(shares.loc[sources, "p_corrected"], expected[15:])
    assert set(table["p_corrected"].round(12)) <= set(statistics.pairs["p_corrected"].round(12))
    row = table.iloc[0]
    half = stats.t.ppf(1 - 0.05 / 18 / 2, 4) * row["error"]
    assert (row["low"], row["high"]) == pytest.approx(
        (row["difference"] - half, row["difference"] + half)
    )
    wilson = proportion_confint(row["wins"], 5, alpha=0.05 / 18, method="wilson")
    assert (row["probability_low"], row["probability_high"]) == pytest.approx(wilson)


def test_a_pair_is_seen_from_either_side(made_up_study):
    """The table's order of levels is not that of the pairs, whose better side stands first."""
    folder = made_up_study(two_inits, init=["he", "xavier"], seeds=range(6))
    pairs = analyse(read([folder])).pairs
    (there,), (back,) = (select(pairs, [pair]).to_dict("records") for pair in ((0, 1), (1, 0)))
    assert (back["first"], back["second"]) == (there["second"], there["first"])
    assert (back["low"], back["high"]) == (-there["high"], -there["low"])
    assert (back["wins"], there["wins"], back["probability_high"]) == (
        0, 6, pytest.approx(1 - there["probability_low"]),
    )  # fmt: skip
    assert back["p"] == there["p"]


@pytest.mark.parametrize(
    ("metric", "values", "found"),
    [
        ("test/acc", [0.2, 0.9], (0, 1)),
        ("test/acc_robust", [0.2], (0, 1)),
        ("val/f1.cat", [0.2], (0, 1)),
        ("test/acc", [20.0, 90.0], (-np.inf, np.inf)),  # in percent
        ("test/loss_mse", [0.0, 3.0, np.nan], (0, np.inf)),
        ("test/loss", [-0.1, 3.0], (-np.inf, np.inf)),
        ("test/cor", [0.1], (-np.inf, np.inf)),
    ],
)
def test_limits_of_a_metric(metric, values, found):
    assert limits(metric, values) == found


def test_intervals_end_where_the_metric_does(made_up_study):
    """Of two seeds Student's interval of an accuracy would go from −37 to 100 %."""
    values = {("he", 0): 0.37, ("he", 1): 0.26, ("xavier", 0): 0.99, ("xavier", 1): 0.4}
    folder = made_up_study(
        lambda cell, seed: values[cell["init"], seed], init=["he", "xavier"], seeds=[0, 1]
    )
    statistics = analyse(read([folder]))
    assert statistics.arms["mean_low"].min() == 0
    assert statistics.arms["mean_high"].max() == 1
    assert statistics.pairs[["low", "high"]].to_numpy().tolist() == [[-1, 1]]
    losses = analyse(read([folder], metric="val/loss", mode="min"))
    assert losses.arms["mean_low"].min() == 0
    assert losses.arms["mean_high"].max() > 1


def test_levels_are_compared_where_all_else_is_equal(made_up_study):
    folder = made_up_study(init=["he", "xavier"], optimizer=["adam", "sgd"], data=["a", "b"])
    table = rows(folder)
    assert set(table["factor"]) == {
        "init",
        "optimizer",
    }  # data is no better or worse than other data
    inits = table[table["factor"] == "init"]
    assert inits[["optimizer", "data"]].to_numpy().tolist() == [
        ["adam", "a"], ["adam", "b"], ["sgd", "a"], ["sgd", "b"],
    ]  # fmt: skip
    assert (inits["a"] == "he").all()
    assert (inits["b"] == "xavier").all()


def test_of_many_levels_each_is_compared_with_the_best(made_up_study):
    inits = [f"init{i:02}" for i in range(14)]
    folder = made_up_study(
        lambda c, s: int(c["init"][-2:]) / 20 + s / 1000, init=inits, seeds=[0, 1]
    )
    table = rows(folder)
    assert len(table) == 13
    assert (table["b"] == "init13").all()
    assert len(rows(folder, where="init < 'init12'")) == 12 * 11 / 2


def test_the_leading_are_the_best_and_those_not_significantly_worse(made_up_study):
    rng = np.random.default_rng(1)
    shift = {"he": 0.0, "lecun": -0.001, "xavier": -0.2, "zeros": None}

    def outcome(cell, seed):
        by = shift[cell["init"]]
        return "diverged" if by is None else 0.9 + by + rng.normal(scale=0.01)

    folder = made_up_study(outcome, init=list(shift), seeds=range(10))
    arms = analyse(read([folder])).arms
    assert arms["init"].tolist()[-2:] == ["xavier", "zeros"]
    assert arms.set_index("init")["leading"].to_dict() == {
        "he": True, "lecun": True, "xavier": False, "zeros": False,
    }  # fmt: skip
    # Of two seeds no signs are significant, and yet where all diverged there is nothing to choose.
    few = analyse(read([folder], where="seed < 2")).arms.set_index("init")["leading"]
    assert few[["he", "zeros"]].tolist() == [True, False]


def test_who_does_worse_and_diverges_does_not_lead(made_up_study):
    """Five signs are never significant; what the other seeds came to is."""

    def outcome(cell, seed):
        if cell["init"] == "normal":
            return "diverged" if seed == 0 else 0.7 + 0.01 * (seed % 2)
        return 0.93 + 0.002 * seed

    arms = analyse(read([made_up_study(outcome, init=["he", "normal"])])).arms
    assert arms.set_index("init")["leading"].to_dict() == {"he": True, "normal": False}


def test_who_is_better_on_the_seeds_that_are_shared_leads_too(made_up_study):
    """The best mean is that of runs whose seeds the other has not."""

    def outcome(cell, seed):
        if cell["init"] == "xavier":
            return 0.82 + seed / 1000 if seed < 6 else None
        return 0.8 + (seed % 3) / 1000 if seed < 6 else 0.95

    arms = analyse(read([made_up_study(outcome, init=["he", "xavier"], seeds=range(20))])).arms
    assert arms[["init", "leading"]].to_numpy().tolist() == [["he", True], ["xavier", True]]


def test_each_problem_has_its_leading(made_up_study):
    def outcome(cell, seed):
        better = {"a": "he", "b": "xavier"}[cell["data"]]
        return 0.9 * (cell["init"] == better) + 0.01 * ((seed * 7) % 5) * (cell["init"] == "he")

    arms = analyse(read([made_up_study(outcome, init=["he", "xavier"], data=["a", "b"])])).arms
    assert arms[["data", "init", "leading"]].to_numpy().tolist() == [
        ["a", "he", True], ["a", "xavier", False], ["b", "xavier", True], ["b", "he", False],
    ]  # fmt: skip


@pytest.mark.parametrize("n", [5, 10, 20])
def test_intervals_of_differences_hold_them_95_times_of_100(made_up_study, n):
    """300 pairs of arms, one really 0.1 better; what seeds bring is far more, and shared."""
    rng = np.random.default_rng(2)
    pairs = 300
    scores = 0.05 * rng.normal(size=(pairs, 2, n)) + rng.normal(size=(pairs, 1, n))
    scores[:, 0] += 0.1
    cell, seed = np.divmod(np.arange(2 * pairs * n), n)
    runs = pd.DataFrame({"cell": cell.astype(str), "status": "done", "test/acc": scores.ravel()})
    study = replace(
        read([made_up_study(seeds=[0])]), runs=runs.assign(**dict.fromkeys(SEEDS, seed))
    )
    arms = pd.DataFrame({"cell": np.arange(2 * pairs).astype(str)})
    compared = compare(study, arms, [(2 * pair, 2 * pair + 1) for pair in range(pairs)])
    nothing = pd.DataFrame({"source": [], "p": []})
    # Each by itself, as in a report of one test.
    parts = [correct(compared.iloc[[i]].copy(), nothing, (-1, 1))[0] for i in range(pairs)]
    table = pd.concat(parts)
    assert 0.92 <= table["low"].le(0.1).mul(table["high"].ge(0.1)).mean() <= 0.98
    together, _ = correct(compared, nothing, (-1, 1))
    assert (together["low"].le(0.1) & together["high"].ge(0.1)).mean() > 0.999
    if n == 20:  # wins are shared out as 0.1 over √2 · 0.05 says
        truth = stats.norm.cdf(0.1 / (np.sqrt(2) * 0.05))
        held = table["probability_low"].le(truth) & table["probability_high"].ge(truth)
        assert 0.92 <= held.mean() <= 0.98


def test_holms_correction_is_that_of_statsmodels():
    p = np.random.default_rng(3).uniform(size=9) ** 3
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])
    assert holm(np.array([])).shape == (0,)


@pytest.mark.parametrize(("pairs", "tests"), [(5, 1), (10, 9), (30, 303)])
def test_power_is_that_of_statsmodels(pairs, tests):
    size = detectable(pairs, 0.05 / tests)
    assert TTestPower().power(size, pairs, 0.05 / tests) == pytest.approx(0.8, abs=1e-6)
    assert needed(size + 1e-6, 0.05 / tests, 100) == pairs
    assert needed(0.01, 0.05 / tests, 100) is None
