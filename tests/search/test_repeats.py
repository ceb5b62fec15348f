"""A swept seed repeats each trial; no search chooses one."""

import math
import re

import pytest
import yaml

from theta0.errors import ConfigError
from theta0.search.database import runs_of
from theta0.search.options import Options
from theta0.search.repeats import product

SPACE = ("optimizer=adam,sgd", "seed=range(3)")


def luck(words):
    """Seed 2 of sgd is the luckiest run of all; adam is better on average."""
    word = dict(word.split("=", 1) for word in words)
    return {"adam": [0.8, 0.8, 0.8], "sgd": [0.5, 0.6, 0.99]}[word["optimizer"]][int(word["seed"])]


@pytest.mark.parametrize(
    ("words", "repeats"),
    [
        (["seed=range(3)"], [["seed=0"], ["seed=1"], ["seed=2"]]),
        (["seed=4,2"], [["seed=4"], ["seed=2"]]),
        (
            ["seeds.init=0,1", "seeds.order=choice(5,6)"],
            [[f"seeds.init={i}", f"seeds.order={o}"] for i in (0, 1) for o in (5, 6)],
        ),
        (["seed=3"], [[]]),
    ],
)
def test_swept_seeds_are_no_axes(space, words, repeats):
    found = space("optimizer=adam,sgd", *words)
    assert [axis.key for axis in found.axes] == ["optimizer"]
    assert product(found.repeats) == repeats
    assert ("seed=3" in found.fixed) == (words == ["seed=3"])


def test_the_value_of_a_trial_is_the_mean_over_its_seeds(search):
    made = search(*SPACE, n_trials=2)
    made.go_on(luck)
    by_optimizer = {trial.params["optimizer"]: trial for trial in made.trials()}
    assert by_optimizer["adam"].values == [pytest.approx(0.8)]
    assert by_optimizer["sgd"].values == [pytest.approx(2.09 / 3)]
    assert set(by_optimizer["adam"].params) == {"optimizer"}
    assert len(runs_of(by_optimizer["adam"])) == 3
    assert made.database.study.best_trial.params == {"optimizer": "adam"}


@pytest.mark.parametrize(
    ("end", "state", "value"),
    [
        ("diverged", "COMPLETE", -math.inf),
        ("failed", "FAIL", None),
        ("interrupted", "RUNNING", None),
        ("running", "RUNNING", None),
    ],
)
def test_one_repeat_decides_how_a_trial_ended(search, end, state, value):
    made = search(*SPACE, n_trials=1)
    made.go_on(lambda words: end if "seed=1" in words else 0.9, batches=1)
    (trial,) = made.trials()
    assert trial.state.name == state
    assert trial.value == value


def test_a_repeat_without_a_result_fails_its_trial(search):
    made = search(*SPACE, n_trials=1)
    database = made.open()
    with database.at_work():
        (asked,) = database.ask()
        made.end(asked, luck)
        (made.folder / runs_of(asked.trial)[1] / "result.json").unlink()
        assert database.tell(asked) is False
    assert [trial.state.name for trial in made.trials()] == ["FAIL"]


def test_other_seeds_are_another_search(search):
    search(*SPACE, n_trials=1).go_on(luck)
    with pytest.raises(ConfigError, match=r"repeats.seed was seed=0 seed=1 seed=2 and is seed=0"):
        search("optimizer=adam,sgd", "seed=0,1", n_trials=1).go_on(luck)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("optimizer=adam,sgd", "seed=interval(0,9)"), "a search chooses no seed; list those"),
        (("optimizer=adam,sgd", "seeds.init=search_space"), "a search chooses no seed; list those"),
        (("seed=range(3)",), "nothing to search"),
    ],
)
def test_a_seed_is_never_searched(space, words, line):
    with pytest.raises(ConfigError, match=re.escape(line)):
        space(*words)


def test_pruning_and_repeats_are_refused_together():
    options, seeds = (
        Options("tpe", 32, 1, 0, True, None, None, None, None),
        {"seed": ["seed=0", "seed=1"]},
    )
    with pytest.raises(ConfigError, match=r"the mean over seed=0 seed=1: pruning=none, or one"):
        options.check_repeats({"pruning": {"min_epochs": 1}}, seeds)
    options.check_repeats({"pruning": None}, seeds)
    options.check_repeats({"pruning": {"min_epochs": 1}}, {})


@pytest.mark.slow
def test_a_whole_search_and_what_it_recommends(in_process, tmp_path):
    short = ["trainer.max_epochs=1", "trainer.limit_train_batches=4", "model.widths=[16]"]
    space = ["hydra/sweeper=optuna", "optimizer.lr=1e-4,1e-2", "seed=5,6", "study=s"]
    ran = in_process(tmp_path, "-m", *space, *short, "hydra.sweeper.n_trials=2")
    assert ran.code == 0, ran.err
    results = {(r.config["optimizer"]["lr"], r.seeds.init): r for r in ran.results("s")}
    assert set(results) == {(lr, seed) for lr in (1e-4, 1e-2) for seed in (5, 6)}
    means = {
        lr: sum(results[lr, seed].objective.value for seed in (5, 6)) / 2 for lr in (1e-4, 1e-2)
    }
    assert "2 trials: 2 done\n" in ran.out
    assert f"val/acc {max(means.values()):.4f}, the mean of 2 runs (seed=5 seed=6)" in ran.out
    text = (tmp_path / "logs/s/report/experiment/best.yaml").read_text()
    content = yaml.safe_load(text)
    assert content["optimizer"]["lr"] == max(means, key=lambda lr: means[lr])
    assert "seed" not in content
    assert "seeds" not in content
    assert "~" not in ran.out.partition("once more: ")[2].partition("\n")[0]
