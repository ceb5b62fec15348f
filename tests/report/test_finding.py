"""Sentences, from numbers that are known."""

import re

import numpy as np
import pytest

from theta0.report.finding import findings
from theta0.report.statistics import analyse
from theta0.report.study import read
from theta0.report.words import Unit, fixed, listed, name, probability, short


def sentences(folder, **options) -> list[str]:
    study = read([folder], **options)
    return findings(study, analyse(study))


def noise(seed, size):
    """Of mean 0, and the same whatever is asked before."""
    values = np.sin(12.9898 * (1 + np.arange(10)) * (size + 1)) * 0.009
    return values[seed] - values.mean()


def test_the_sentence_of_the_finding(made_up_study):
    """He is 1.2 points better under SGD and 0.0 under Adam."""

    def outcome(cell, seed):
        he = cell["init"] == "he"
        better = 0.012 if cell["optimizer"] == "sgd" and he else 0.0
        return 0.9 + better + noise(seed, 2 * he + (cell["optimizer"] == "sgd"))

    folder = made_up_study(
        outcome, optimizer=["adam", "sgd"], init=["he", "xavier"], seeds=range(10)
    )
    study = read([folder])
    statistics = analyse(study)
    inits = statistics.comparisons.query("factor == 'init'").set_index("optimizer")
    ends = "–".join(f"{100 * inits.loc['sgd', end]:.1f}" for end in ("low", "high"))
    p = f"{inits.loc['sgd', 'p_corrected']:.3f}"
    best, init, optimizer, shares = findings(study, statistics)
    assert best.startswith("Highest mean test/acc: sgd + he, 91.2 % (95 % CI 9")
    assert best.endswith(", uncorrected, n = 10 seeds).")
    assert init.startswith(
        f"He outperforms xavier under sgd by 1.2 points (simultaneous 95 % CI {ends}, n = 10 seeds,"
        f" corrected p = {p}); under adam, "
    )
    assert " does not differ significantly from " in init.partition("; ")[2]
    assert "from he by 1.2 points (simultaneous 95 % CI " in optimizer
    assert shares.startswith(
        "Of the variance of test/acc, no factor accounts for a significant share (the init 13 %,"
        " corrected p = 0.070; the optimizer "
    )


def test_several_levels(made_up_study):
    shift = {"he": 0.0, "lecun": -0.001, "xavier": -0.1, "zeros": -0.8}
    folder = made_up_study(
        lambda c, s: 0.9 + shift[c["init"]] + noise(s, len(c["init"])),
        init=list(shift),
        seeds=range(10),
    )
    init = sentences(folder)[1]
    assert init.startswith("He outperforms xavier under adam by 10.0 points (simultaneous 95 % CI ")
    assert (
        "corrected p < 0.001) and also outperforms zeros, while he does not differ significantly"
        " from lecun (mean difference 0.1 points in favour of he, simultaneous 95 % CI −" in init
    )


def test_divergence_decides(made_up_study):
    def outcome(cell, seed):
        return "diverged" if cell["init"] == "xavier" and seed != 3 else 0.9 + noise(seed, 1)

    init = sentences(made_up_study(outcome, init=["he", "xavier"], seeds=range(10)))[1]
    # On seed 3 they are equal.
    assert init == (
        "He outperforms xavier under adam on 9.5 of 10 seeds (at least one of the two runs diverged"
        " on 9, corrected p = 0.004)."
    )


def test_a_level_that_wins_on_the_seeds_that_are_shared(made_up_study):
    """He has the best mean, over seeds that Xavier has not; where both are, Xavier is better."""

    def outcome(cell, seed):
        if cell["init"] != "he" and seed >= 5:
            return None
        by = {"he": 0.0, "xavier": 0.02, "zeros": -0.1}[cell["init"]]
        return (0.8 if seed < 5 else 0.95) + by + noise(seed, len(cell["init"])) / 100

    folder = made_up_study(outcome, init=["he", "xavier", "zeros"], seeds=range(10))
    init = sentences(folder)[1]
    assert re.match(r"He outperforms zeros under adam by 10\.\d", init)
    assert re.search(r", while xavier outperforms he under adam by [12]\.\d", init)
    assert "also" not in init


def test_contexts_without_a_value_are_told(made_up_study):
    """Adam has no momentum: its context is told as SGD's are."""

    def without(content):
        if content["choices"]["optimizer"] == "adam":
            del content["config"]["optimizer"]["momentum"]

    def outcome(cell, seed):
        if cell["optimizer"] == "adam" and cell["optimizer.momentum"] == 0.9:
            return None
        return 0.9 + 0.02 * (cell["init"] == "he") + noise(seed, len(cell["init"]))

    folder = made_up_study(
        outcome, change=without, optimizer=["adam", "sgd"], init=["he", "xavier"],
        optimizer__momentum=[0.0, 0.9],
    )  # fmt: skip
    init = sentences(folder, compare=["optimizer.momentum"])[1]
    assert "under adam with optimizer.momentum=none" in init.lower()
    assert "under sgd with optimizer.momentum=0.9" in init


def test_inits_that_share_no_seed(made_up_study):
    """What they differ by may be the seeds': nothing of the variance is told."""

    def outcome(cell, seed):
        return None if (cell["init"] == "he") == (seed > 4) else 0.9 + noise(seed, 1)

    folder = made_up_study(
        outcome, init=["he", "xavier"], optimizer=["adam", "sgd"], seeds=range(10)
    )
    told = sentences(folder)
    assert not any("variance" in sentence for sentence in told)
    assert "too few seeds are shared to compare" in told[1]


def test_the_variance_is_that_of_runs_that_are_done(made_up_study):
    def outcome(cell, seed):
        lost = cell["optimizer"] == "sgd" and seed == 0
        return "diverged" if lost else 0.9 + noise(seed, len(cell["init"] + cell["optimizer"]))

    folder = made_up_study(outcome, init=["he", "xavier"], optimizer=["adam", "sgd"])
    assert sentences(folder)[-1].startswith(
        "Of the variance of test/acc among the runs that are done, "
    )


def test_losses_are_told_as_they_are(made_up_study):
    def outcome(cell, seed):
        return 0.9 + 0.05 * (cell["init"] == "he") + noise(seed, 1 + (cell["init"] == "he"))

    folder = made_up_study(outcome, init=["he", "xavier"], seeds=range(10))
    best, init = sentences(folder, metric="val/loss", mode="min")
    assert best.startswith("Lowest mean val/loss: adam + he, 0.05")
    assert init.startswith("He outperforms xavier under adam by 0.05")
    assert "points" not in init


def test_what_cannot_be_told(made_up_study):
    one = sentences(made_up_study(init=["he", "xavier"], seeds=[0]))
    assert one == [
        "Highest mean test/acc: adam + he, 91.8 % (n = 1 seed).",
        "No two combinations share enough seeds to be compared.",
    ]
    none = sentences(made_up_study(lambda c, s: "failed", name="none", init=["he", "xavier"]))
    assert none == ["No run is done.", "No two combinations share enough seeds to be compared."]
    alone = sentences(made_up_study(name="alone"))
    assert len(alone) == 1


def test_problems_and_contexts_are_named(made_up_study):
    folder = made_up_study(init=["he", "xavier"], data=["a", "b"], remedy=["none", "ema"])
    told = sentences(folder)
    assert told[0].startswith("Highest mean test/acc on data=a: adam + he (remedy=ema), ")
    assert told[1].startswith("Highest mean test/acc on data=b: ")
    assert "under adam with data=b, remedy=ema" in told[2]


def test_many_contexts_are_not_all_told(made_up_study):
    folder = made_up_study(init=["he", "xavier"], optimizer=[f"o{n}" for n in range(8)])
    assert sentences(folder)[1].endswith("; 2 more in the tables.")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((5, 0.954, 0.950, 0.958), "95.4 % (95 % CI 95.0–95.8, uncorrected, n = 5 seeds)"),
        ((5, 0.9541, 0.9527, 0.9555), "95.41 % (95 % CI 95.27–95.55, uncorrected, n = 5 seeds)"),
        ((3, 0.9, 0.5, 1.0), "90.0 % (95 % CI 50.0–100.0, uncorrected, n = 3 seeds)"),
        ((2, 0.315, 0.0, 1.0), "31.5 % (31.0 and 32.0 on 2 seeds)"),
        ((1, 0.9, float("nan"), float("nan")), "90.0 % (n = 1 seed)"),
    ],
)
def test_a_mean_has_as_many_digits_as_its_interval_allows(values, told):
    row = dict(zip(("n", "mean", "mean_low", "mean_high"), values, strict=True))
    assert Unit.of("test/acc").mean(row | {"std": 0.005 * 2**0.5}) == told


def test_of_two_seeds_the_values_are_told(made_up_study):
    """Of an accuracy of 31.5 % on two seeds Student's interval goes from −37 to 100 %."""
    values = {("he", 0): 0.261, ("he", 1): 0.369, ("xavier", 0): 0.1, ("xavier", 1): 0.2}
    folder = made_up_study(
        lambda cell, seed: values[cell["init"], seed], init=["he", "xavier"], seeds=[0, 1]
    )
    best, init = sentences(folder)
    assert best == "Highest mean test/acc: adam + he, 31.5 % (26.1 and 36.9 on 2 seeds)."
    assert init == (
        "He outperforms xavier under adam by 16.5 points (16.1 and 16.9 on the 2 seeds, corrected"
        " p = 0.015)."
    )


def test_numbers_and_names():
    assert Unit.of("test/loss").interval(0.01, 0.0146, 4) == "95 % CI 0.0100–0.0146"
    assert Unit.of("val/acc_robust").interval(-0.008, 0.017, 1) == "95 % CI −0.8 to 1.7"
    assert (fixed(-0.04, 1), fixed(-1.25, 2), fixed(float("nan"), 1)) == ("0.0", "−1.25", "–")
    assert (short(1234.5), short(float("inf")), short(0.012345)) == ("1.23e+03", "∞", "0.0123")
    assert (probability(0.0004), probability(0.0312)) == ("< 0.001", "0.031")
    row = {"optimizer": "adam", "init": "he", "data": "a", "optimizer.lr": 0.1}
    assert name(row, ["optimizer", "init", "data", "optimizer.lr"]) == (
        "adam + he (data=a, optimizer.lr=0.1)"
    )
    assert (name(row, ["data"]), name(row, ["init"])) == ("data=a", "he")
    assert listed(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert (listed(["a", "b", "c"]), listed(["a"])) == ("a, b and c", "a")
