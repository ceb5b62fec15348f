"""What a reader is warned of."""

import numpy as np
import pytest
from scipy import stats

from theta0.report.caveats import caveats, edges, missing
from theta0.report.statistics import analyse
from theta0.report.study import read


def told(folder, *more, **options) -> dict[str, str]:
    study = read([folder, *more], **options)
    return {caveat.kind: caveat.text for caveat in caveats(study, analyse(study))}


def test_a_sound_study_has_none(made_up_study):
    folder = made_up_study(init=["he", "xavier"], seeds=range(10))
    assert told(folder) == {}


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        ("failed", "failed",
         "2 of 6 runs failed (adam + xavier: 2). The first: it went wrong. They count nowhere; "
         "rerun=failed tries them again."),
        ("diverged", "diverged",
         "2 of 6 runs diverged (adam + xavier: 2). They count as the worst where runs are compared "
         "and settings chosen, and in no mean."),
        ("pruned", "pruned",
         "2 of 6 runs were pruned (adam + xavier: 2). They count as the worst where settings are "
         "chosen, and in no mean."),
        ("running", "unfinished",
         "2 of 6 runs are unfinished (adam + xavier: 2). They count nowhere; the same command "
         "continues them."),
    ],
)  # fmt: skip
def test_runs_that_are_not_done(made_up_study, status, kind, text):
    def outcome(cell, seed):
        return status if cell["init"] == "xavier" and seed < 2 else 0.9 + seed / 100

    folder = made_up_study(outcome, init=["he", "xavier"], seeds=range(3))
    assert told(folder)[kind] == text


def test_what_runs_warn_of_themselves(made_up_study):
    def change(content):
        content["warnings"] = ["init leaves much"] if content["choices"]["init"] == "xavier" else []

    folder = made_up_study(init=["he", "xavier"], seeds=range(10), change=change)
    assert told(folder) == {"init": "10 of 20 runs: init leaves much."}


def test_missing_cells_and_missing_seeds(made_up_study):
    def outcome(cell, seed):
        if cell["init"] == "he" and cell["optimizer"] == "sgd" and cell["optimizer.lr"] == 0.1:
            return None
        return None if cell["init"] == "xavier" and seed == 4 else 0.5 + seed / 10

    folder = made_up_study(
        outcome, init=["he", "xavier"], optimizer=["adam", "sgd"], optimizer__lr=[0.01, 0.1, 1.0]
    )
    found = told(folder)
    assert found["missing"] == "1 of 12 cells have no run: sgd + he (optimizer.lr=0.1)."
    assert found["unbalanced"].startswith(
        "6 of 11 cells have fewer than 5 seeds (adam + xavier (optimizer.lr=0.01): 4, "
    )


def test_each_optimizer_has_its_own_grid_of_settings(made_up_study):
    def outcome(cell, seed):
        fits = (cell["optimizer"] == "adam") == (cell["optimizer.lr"] < 0.05)
        return 0.9 if fits else None

    folder = made_up_study(
        outcome, optimizer=["adam", "sgd"], init=["he", "xavier"],
        optimizer__lr=[0.001, 0.01, 0.1, 1.0], seeds=[0],
    )  # fmt: skip
    study = read([folder])
    assert missing(study, analyse(study).cells) == []


def test_a_random_search_is_no_grid(made_up_study):
    rates = [0.001 * 1.3**n for n in range(8)]

    def outcome(cell, seed):
        mine = rates.index(cell["optimizer.lr"]) % 2 == (cell["init"] == "he")
        return 0.9 if mine else None

    folder = made_up_study(outcome, init=["he", "xavier"], optimizer__lr=rates, seeds=[0])
    study = read([folder])
    assert missing(study, analyse(study).cells) == []


def test_a_best_rate_at_the_edge_of_its_grid(made_up_study):
    best = {"he": 1.0, "xavier": 0.1, "zeros": 0.01}

    def outcome(cell, seed):
        return 0.9 if cell["optimizer.lr"] == best[cell["init"]] else 0.5

    folder = made_up_study(outcome, init=list(best), optimizer__lr=[0.01, 0.1, 1.0])
    study = read([folder])
    found = edges(study, analyse(study).cells)
    assert [(edge.arm, edge.value, edge.largest) for edge in found] == [
        ("adam + he", 1.0, True), ("adam + zeros", 0.01, False),
    ]  # fmt: skip
    assert [edge.beyond for edge in found] == pytest.approx([10.0, 0.001])
    texts = [c.text for c in caveats(study, analyse(study)) if c.kind == "edge"]
    assert texts == [
        "The best optimizer.lr is the largest that was tried (1 for adam + he): a larger one may be"
        " better.",
        "The best optimizer.lr is the smallest that was tried (0.01 for adam + zeros): a smaller"
        " one may be better.",
    ]


def test_an_edge_that_diverges_is_none(made_up_study):
    """A larger rate was tried: that it diverged bounds the grid."""

    def outcome(cell, seed):
        return {0.01: 0.5, 0.1: 0.9, 1.0: "diverged"}[cell["optimizer.lr"]]

    study = read([made_up_study(outcome, optimizer__lr=[0.01, 0.1, 1.0])])
    assert edges(study, analyse(study).cells) == []


def test_a_setting_that_is_no_number_has_no_edge(made_up_study):
    folder = made_up_study(model__widths=["[8,8]", "[16]"], seeds=range(2))
    study = read([folder])
    assert edges(study, analyse(study).cells) == []


def test_optimizers_that_were_not_tuned(made_up_study):
    folder = made_up_study(optimizer=["adam", "sgd"], optimizer__lr=[0.1, 0.2], seeds=range(6))
    assert "untuned" not in told(folder)
    found = told(folder, where="lr == 0.1")
    assert found["untuned"].startswith("Optimizers are compared at one learning rate each: ")


def test_few_seeds(made_up_study):
    """The power of a paired t test of n = 5 by the noncentral t: 80 % at 1.68 deviations."""
    luck = {"he": [0.5, 0.1, 0.4, 0.2, 0.3], "xavier": [0.3, 0.6, 0.2, 0.4, 0.1]}
    folder = made_up_study(lambda c, s: luck[c["init"]][s], init=list(luck))

    def few(where=None):
        study = read([folder], where=where)
        return [c.text for c in caveats(study, analyse(study)) if c.kind == "few"]

    assert few() == [
        "1 of 1 comparisons are not significant. With n = 5 pairs and p corrected for 1 test, a"
        " difference of 1.7 standard deviations would be detected with 80 % power, and smaller ones"
        " need more seeds."
    ]
    effect, t = 1.68 * np.sqrt(5), stats.t.ppf(0.975, 4)
    power = stats.nct.sf(t, 4, effect) + stats.nct.cdf(-t, 4, effect)
    assert power == pytest.approx(0.8, abs=0.005)

    fewer, says = few("seed < 3")
    assert fewer.startswith("2 of 2 combinations have fewer than 5 runs that are done")
    assert says == (
        "1 of 1 comparisons are not significant. With n = 3 pairs and p corrected for 1 test,"
        " hardly any difference would be detected."
    )


def test_validation_reported_for_want_of_test_rows(made_up_study):
    def untested(content):
        del content["metrics"]["test/acc"]

    assert told(made_up_study(change=untested))["metric"].startswith(
        "val/acc is reported, which also"
    )


def test_what_another_choice_brings_along(made_up_study):
    def brings(cell):
        return {"model": "fixup_mlp"} if cell["init"] == "fixup" else {}

    found = told(made_up_study(init=["he", "fixup"], brings=brings))
    assert found["brought"] == (
        "model is not the same everywhere (fixup_mlp and mlp): a choice brings it."
    )


def test_runs_that_nobody_should_compare(made_up_study):
    def elsewhere(content):
        content["environment"] = {"git": {"sha": "f" * 40}, "packages": {"torch": "2.14.0"}}
        content["hashes"] = {"data": "b"}

    def here(content):
        content["hashes"] = {"data": "a"}
        content["environment"]["packages"] = {"torch": "2.15.0"}

    found = told(
        made_up_study(change=here),
        made_up_study(name="more", init=["xavier"], change=elsewhere),
    )
    assert found["data"] == "Runs that are compared had different data: hashes.data differs."
    assert "versions of torch (2.15.0 and 2.14.0)" in found["environment"]


def test_what_cannot_be_read_comes_first(made_up_study):
    folder = made_up_study(seeds=range(7))
    broken = sorted(folder.glob("*/result.json"))[0]
    broken.write_text("{")
    study = read([folder])
    first = caveats(study, analyse(study))[0]
    assert first.kind == "broken"
    assert first.text.startswith(str(broken))


def test_tuned_more_and_less(made_up_study):
    def outcome(cell, seed):
        fits = cell["optimizer"] == "adam" or cell["optimizer.lr"] == 0.1
        return 0.9 if fits else None

    folder = made_up_study(outcome, optimizer=["adam", "sgd"], optimizer__lr=[0.01, 0.1])
    assert told(folder)["untuned"] == (
        "Optimizers are compared at different numbers of settings (2 for adam and 1 for sgd):"
        " what was tuned less may look worse than it is."
    )


def test_an_edge_of_what_is_no_rate(made_up_study):
    """A larger momentum may be worth a word; a value of it is not, nor is anything of a switch."""

    def outcome(cell, seed):
        return 0.5 + cell["optimizer.momentum"] / 10 + 0.1 * cell["optimizer.nesterov"]

    study = read([
        made_up_study(outcome, optimizer__momentum=[0.5, 0.9], optimizer__nesterov=[False, True])
    ])  # fmt: skip
    (edge,) = edges(study, analyse(study).cells)
    assert (edge.setting, edge.value, edge.largest, edge.beyond) == (
        "optimizer.momentum", 0.9, True, None,
    )  # fmt: skip


def test_a_rate_beyond_the_edge_is_a_decade_away_at_most(made_up_study):
    study = read(
        [made_up_study(lambda cell, seed: cell["optimizer.lr"], optimizer__lr=[1e-4, 0.1])]
    )
    (edge,) = edges(study, analyse(study).cells)
    assert edge.beyond == pytest.approx(1.0)


def test_seeds_that_are_crossed(made_up_study):
    """Nine runs a cell, but three θ₀ and three orders: fewer independent ones."""

    def crossed(content):
        seed = content["config"]["seed"]
        content["seeds"].init, content["seeds"].order = seed // 3, seed % 3

    assert "crossed" not in told(made_up_study(init=["he", "xavier"], seeds=range(9)))
    folder = made_up_study(name="b", init=["he", "xavier"], seeds=range(9), change=crossed)
    assert told(folder)["crossed"].startswith(
        "Runs of a cell share some values of seeds.init and seeds.order: "
    )


def test_runs_without_the_metric_are_told(made_up_study):
    def change(content):
        if content["config"]["seed"] == 1:
            content["metrics"]["test/acc"] = None

    folder = made_up_study(init=["he", "xavier"], change=change)
    study = read([folder])
    assert study.metric == "test/acc"
    assert told(folder)["metric"] == (
        "2 of 10 runs that are done lack test/acc: they count nowhere."
    )
