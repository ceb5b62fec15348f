"""What to use, how sure, what next; and the file that does it."""

import copy
import functools
import re
import shlex
from pathlib import Path

import hydra
import numpy as np
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from scipy import stats

from theta0.identity import choices_of, config_hash, register_resolvers, resolve
from theta0.report.recommendation import recommend
from theta0.report.statistics import analyse
from theta0.report.study import read

CONFIGS = str(Path(__file__).parents[2] / "configs")
LUCK = np.random.default_rng(0).normal(scale=0.004, size=(40, 10))


def luck(cell, seed):
    return LUCK[sum(map(ord, f"{cell}")) % 40, seed]


@pytest.fixture(scope="module")
def composed_once(compose):
    """From overrides to a configuration of one's own, of which Hydra composes each only once."""
    known = functools.cache(lambda *words: compose(*words))
    return lambda words: copy.deepcopy(known(*words))


@pytest.fixture
def recommended(tmp_path, composed_once, monkeypatch):
    """`recommended(folder)`: the recommendations for a study, whose files go to tmp_path."""
    monkeypatch.setattr("sys.argv", ["report.py", "trust=[made]"])

    def recommended(folder, **options):
        study = read([folder], **options)
        return recommend(study, analyse(study), tmp_path, composed_once)

    return recommended


def test_a_clear_case(made_up_study, recommended):
    def outcome(cell, seed):
        worse = 0.1 * (cell["init"] != "he") + 0.1 * (cell["optimizer"] != "sgd")
        rate = 0.05 * (cell["optimizer.lr"] != 0.1)
        return 0.9 - worse - rate + luck(cell, seed), 0.8 - worse - rate + luck(cell, seed)

    folder = made_up_study(
        outcome, optimizer=["adam", "sgd"], init=["he", "xavier"], optimizer__lr=[0.01, 0.1, 1.0],
        seeds=range(10),
    )  # fmt: skip
    (found,) = recommended(folder)
    assert (found.choice, found.sure, found.doubts, found.next) == (
        "sgd + he (optimizer.lr=0.1)", "high", [], [],
    )  # fmt: skip
    validation, test, against, ahead = found.evidence
    assert validation.startswith("the best on validation, val/acc ")
    assert test.startswith("test/acc 79.9")
    assert test.endswith("uncorrected, n = 10 seeds)")
    assert re.match(
        r"outperforms \w+ \+ \w+, the next on validation, by .*corrected p < 0", against
    )
    # Wilson's, of 6 pairs and 3 sources of variance: n / (n + z²)
    z = stats.norm.isf(0.025 / 9)
    low = f"{10 / (10 + z**2):.2f}"
    assert ahead == (f"ahead on 10 of 10 seeds (probability 1.00, simultaneous 95 % CI {low}–1.00)")
    assert found.lines[1] == "Confidence: high."
    assert found.result.choices["init"] == "he"
    assert found.result.config["seed"] == 0


def test_validation_chooses_and_the_test_rows_may_doubt(made_up_study, recommended):
    def outcome(cell, seed):
        he = cell["init"] == "he"
        return 0.9 + 0.02 * he, 0.9 - 0.05 * he + luck(cell, seed)

    (found,) = recommended(made_up_study(outcome, init=["he", "xavier"], seeds=range(10)))
    assert found.choice == "adam + he"
    assert found.sure == "low"
    assert found.doubts == ["adam + xavier is significantly better on test/acc"]
    behind, ahead = found.evidence[2:]
    assert behind.startswith("is outperformed by adam + xavier, the next on validation, by 5")
    assert ahead.startswith("ahead on 0 of 10 seeds (probability 0.00, ")


def test_what_to_try_next(made_up_study, recommended):
    """The best rate is the largest; the next is close, cheaper, and needs more seeds."""

    def outcome(cell, seed):
        if cell["init"] == "zeros":
            return "failed"
        he = cell["init"] == "he"
        return 0.8 + 0.1 * (cell["optimizer.lr"] == 0.1) + 0.003 * he + luck(cell, seed)

    def cheaper(content):
        if content["choices"]["init"] == "xavier":
            content["cost"].fit_seconds = 1.5

    folder = made_up_study(
        outcome, init=["he", "xavier", "zeros"], optimizer__lr=[0.001, 0.01, 0.1], change=cheaper
    )
    (found,) = recommended(folder)
    assert found.choice == "adam + he (optimizer.lr=0.1)"
    assert found.sure in ("low", "moderate")
    assert found.doubts == [
        "not significantly better than adam + xavier",
        "the best optimizer.lr lies at the edge of its grid",
    ]
    rate, seeds, time, failed = found.next
    assert rate == "a larger optimizer.lr, such as optimizer.lr=1"
    assert "would detect a difference from adam + xavier of the size observed with 80 %" in seeds
    assert time.startswith("adam + xavier, if time matters: ")
    assert time.endswith("in 0.50 of the time")
    assert failed == "the 15 failed runs once more: the same command with rerun=failed"


def test_what_was_not_tuned_is_no_better_than_moderate(made_up_study, recommended):
    def outcome(cell, seed):
        return 0.9 - 0.5 * (cell["optimizer"] == "sgd") + luck(cell, seed)

    (found,) = recommended(made_up_study(outcome, optimizer=["adam", "sgd"], seeds=range(10)))
    assert found.sure == "moderate"
    assert found.doubts == ["optimizers were compared at one learning rate each"]
    assert found.next == ["several values of optimizer.lr, as many for each optimizer"]


def test_who_was_tuned_less_may_look_worse(made_up_study, recommended):
    def outcome(cell, seed):
        if cell["optimizer"] == "sgd" and cell["optimizer.lr"] != 0.1:
            return None
        return 0.9 - 0.5 * (cell["optimizer"] == "sgd") + luck(cell, seed)

    (found,) = recommended(
        made_up_study(
            outcome, optimizer=["adam", "sgd"], optimizer__lr=[0.01, 0.1, 1.0], seeds=range(10)
        )
    )
    assert found.sure == "moderate"
    assert found.doubts[-1] == (
        "optimizers were compared at different numbers of settings (3 for adam and 1 for sgd)"
    )


def test_few_seeds_are_no_evidence(made_up_study, recommended):
    def outcome(cell, seed):
        return 0.9 - 0.5 * (cell["init"] == "xavier") + luck(cell, seed)

    (found,) = recommended(made_up_study(outcome, init=["he", "xavier"], seeds=range(3)))
    assert found.sure == "low"
    assert found.doubts == ["n = 3 seeds, fewer than 5"]
    assert found.next == ["more seeds, 'seed=range(10)'"]


def test_nothing_beside_it(made_up_study, recommended):
    (found,) = recommended(made_up_study())
    assert (found.sure, found.doubts) == ("low", ["nothing was tried beside it"])
    assert recommended(made_up_study(lambda c, s: "failed", name="none")) == []


def test_each_problem_has_its_own(made_up_study, recommended, tmp_path):
    def outcome(cell, seed):
        return 0.9 if cell["init"] == {"digits": "he", "mnist": "xavier"}[cell["data"]] else 0.5

    found = recommended(made_up_study(outcome, init=["he", "xavier"], data=["digits", "mnist"]))
    assert [(one.problem, one.choice) for one in found] == [
        ("data=digits", "adam + he"), ("data=mnist", "adam + xavier"),
    ]  # fmt: skip
    files = sorted(path.name for path in (tmp_path / "experiment").iterdir())
    assert files == ["recommended-data-digits.yaml", "recommended-data-mnist.yaml"]
    assert " experiment=recommended-data-mnist " in found[1].command
    for one in found:  # that Hydra can read
        words = [word for word in shlex.split(one.command) if word.startswith(("experiment", "~"))]
        assert OverridesParser.create().parse_overrides(words)


def test_the_file_composes_to_the_run(made_up_study, recommended, compose, tmp_path):
    """The same configuration hash, so the same run; with another seed that of the other run."""

    def composed(content):
        content["overrides"].append("trainer.max_epochs=7")
        config = compose(*content["overrides"])
        content["choices"] = choices_of(config.hydra)
        content["config"] = resolve(config)
        content["config_hash"] = config_hash(config)

    def outcome(cell, seed):
        return 0.9 if cell["init"] == "xavier" and cell["optimizer.lr"] == 0.02 else 0.5

    folder = made_up_study(
        outcome, optimizer=["momentum"], init=["he", "xavier"], optimizer__lr=[0.02, 0.3],
        remedy=["dropout"], seeds=[0, 1], change=composed,
    )  # fmt: skip
    (found,) = recommended(folder)
    path = tmp_path / "experiment" / "recommended.yaml"
    assert found.command == (f"python src/train.py --config-dir {tmp_path} experiment=recommended")
    lines = path.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# momentum + xavier (optimizer.lr=0.02): the best on validation")
    content = yaml.safe_load(path.read_text())
    assert {"override /init": "xavier"} in content["defaults"]
    register_resolvers()
    hashes = {}
    with hydra.initialize_config_dir(CONFIGS, version_base="1.3"):
        for seed in (0, 1):
            words = [f"hydra.searchpath=[file://{tmp_path}]", "experiment=recommended"]
            again = hydra.compose("train", [*words, f"seed={seed}"], return_hydra_config=True)
            hashes[seed] = config_hash(again)
    runs = {r.config["seed"]: r.config_hash for r in read([folder]).results
            if r.choices["init"] == "xavier" and r.config["optimizer"]["lr"] == 0.02}  # fmt: skip
    assert hashes == runs


def test_a_configuration_of_someone_elses_has_no_file(made_up_study, recommended):
    (found,) = recommended(made_up_study(init=["their_own", "their_other"]))
    assert found.command == ""
    assert found.doubts[-1].startswith("no file, since its configuration does not compose: ")
