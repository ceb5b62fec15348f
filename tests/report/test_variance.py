"""The analysis of variance, against statsmodels and a table known by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from theta0.report.statistics import analyse
from theta0.report.statistics.variance import two_way
from theta0.report.study import read

OPTIMIZERS, INITS = ["adam", "sgd"], ["he", "xavier", "zeros"]


def made(missing=(), seeds=4):
    rng = np.random.default_rng(0)
    grid = [(o, i, s) for o in OPTIMIZERS for i in INITS for s in range(seeds)]
    frame = pd.DataFrame(
        [row for n, row in enumerate(grid) if n not in missing], columns=["a", "b", "s"]
    )
    effect = frame["a"].eq("adam") + 0.5 * frame["b"].eq("he") * frame["a"].eq("sgd")
    frame["y"] = effect + 0.1 * frame["s"] + rng.normal(scale=0.3, size=len(frame))
    return frame


@pytest.mark.parametrize("missing", [(), (3, 11), (0, 1, 2, 20)])
def test_sums_of_squares_are_those_of_statsmodels(missing):
    """Type II with seeds as blocks, with runs missing too."""
    frame = made(missing)
    reference = anova_lm(smf.ols("y ~ C(a) * C(b) + C(s)", frame).fit(), typ=2)
    found = two_way(frame["y"].to_numpy(), frame["a"], frame["b"], frame["s"]).set_index("source")
    names = {"C(a)": "optimizer", "C(b)": "init", "C(a):C(b)": "optimizer × init", "C(s)": "seed"}
    for theirs, ours in names.items():
        expected = reference.loc[theirs, ["sum_sq", "df", "F", "PR(>F)"]].to_numpy(float)
        np.testing.assert_allclose(
            found.loc[ours, ["sum_sq", "df", "F", "p"]].astype(float), expected
        )
    assert found.loc["residual", "sum_sq"] == pytest.approx(reference.loc["Residual", "sum_sq"])
    assert found.loc["residual", "df"] == reference.loc["Residual", "df"]


def test_shares_add_up_where_no_run_is_missing():
    frame = made()
    found = two_way(frame["y"].to_numpy(), frame["a"], frame["b"], frame["s"])
    assert found["share"].sum() == pytest.approx(1)
    total = ((frame["y"] - frame["y"].mean()) ** 2).sum()
    assert found["sum_sq"].sum() == pytest.approx(total)


def test_shares_known_by_hand(made_up_study):
    """y = ±3 for the optimizer, ±1 for the init, ±1 for both together: 9/11, 1/11, 1/11."""

    def outcome(cell, seed):
        a = 1 if cell["optimizer"] == "adam" else -1
        b = 1 if cell["init"] == "he" else -1
        return 3.0 * a + b + a * b

    folder = made_up_study(
        outcome, optimizer=["adam", "sgd"], init=["he", "xavier"], seeds=range(3)
    )
    effects = analyse(read([folder])).effects.set_index("source")
    assert effects["share"].round(12).to_dict() == {
        "optimizer": round(9 / 11, 12), "init": round(1 / 11, 12),
        "optimizer × init": round(1 / 11, 12), "seed": 0, "residual": 0,
    }  # fmt: skip
    assert effects["df"].to_dict() == {
        "optimizer": 1, "init": 1, "optimizer × init": 1, "seed": 2, "residual": 6,
    }  # fmt: skip


def test_one_factor_alone(made_up_study):
    effects = analyse(read([made_up_study(init=["he", "xavier", "zeros"])])).effects
    assert effects["source"].tolist() == ["init", "seed", "residual"]


def test_a_combination_without_runs_takes_its_degrees_of_freedom_along():
    frame = made()
    frame = frame[~((frame["a"] == "sgd") & (frame["b"] == "zeros"))]
    found = two_way(frame["y"].to_numpy(), frame["a"], frame["b"], frame["s"]).set_index("source")
    assert found["df"].to_dict() == {
        "optimizer": 1, "init": 2, "optimizer × init": 1, "seed": 3, "residual": 12,
    }  # fmt: skip


def test_one_seed_leaves_nothing_to_test_against(made_up_study):
    folder = made_up_study(optimizer=["adam", "sgd"], init=["he", "xavier"], seeds=[0])
    effects = analyse(read([folder])).effects
    assert effects["source"].tolist() == ["optimizer", "init", "optimizer × init"]
    assert effects["p"].isna().all()


def test_contexts_are_analysed_by_themselves(made_up_study):
    folder = made_up_study(init=["he", "xavier"], optimizer=["adam", "sgd"], data=["a", "b"])
    effects = analyse(read([folder])).effects
    assert effects["data"].tolist() == ["a"] * 5 + ["b"] * 5


@pytest.mark.parametrize("data", [["a"], ["a", "b"]])
def test_nothing_is_done(made_up_study, data):
    study = read([made_up_study(lambda cell, seed: "failed", init=["he", "xavier"], data=data)])
    assert len(analyse(study).effects) == 0


def test_rounding_explains_nothing(made_up_study):
    """Where all values are equal there is no variance, and no p."""
    folder = made_up_study(
        lambda cell, seed: 0.1 + 0.2, optimizer=["adam", "sgd"], init=["he", "x"]
    )
    effects = analyse(read([folder])).effects
    assert (effects["sum_sq"] == 0).all()
    assert effects[["p", "share"]].isna().all(axis=None)
