"""What each sampler draws: inside the space, the same after any interruption."""

import collections
import itertools
import json
import math
import pickle
import random
import sqlite3

import optuna
import pytest

from theta0.errors import ConfigError

CONDITIONAL = ("optimizer=adam,sgd", "optimizer.lr=search_space", "init=he,xavier")
NUMBERS = ("optimizer.lr=tag(log,interval(1e-4,1e-1))", "data.batch_size=int(interval(16,64))")
LISTED = ("optimizer=adam,sgd", "init=he,lecun,xavier", "data.batch_size=range(16,18)")
RANGES = {"adam": (1e-5, 1e-1), "sgd": (1e-3, 1.0), "adamw": (1e-4, 1e-1)}
SPACES = {
    "tpe": CONDITIONAL, "random": CONDITIONAL, "qmc": CONDITIONAL, "nsga2": CONDITIONAL,
    "cmaes": NUMBERS, "grid": LISTED,
}  # fmt: skip
SETTINGS = {"tpe": {"n_startup_trials": 4}, "nsga2": {"population_size": 4}}


def value(words):
    """The best near lr = 0.01; some runs diverge."""
    said = dict(word.split("=", 1) for word in words)
    lr = float(said.get("optimizer.lr", 0.01))
    if lr > 0.05:
        return "diverged"
    return -abs(math.log10(lr) + 2) - 0.001 * int(said.get("data.batch_size", 0))


def drawn(planner, n, objectives=1):
    """n trials, one after the other, without a database."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize"] * objectives)
    for place in range(n):
        if plan := planner.plan(place):
            study.enqueue_trial(plan)
        study.sampler = planner.sampler(place)
        trial = study.ask()
        found = value(planner.space.suggest(trial))
        study.tell(trial, [-math.inf if found == "diverged" else found] * objectives)
    return study.trials


@pytest.mark.parametrize(
    "sampler",
    ["tpe", *(pytest.param(s, marks=pytest.mark.slow) for s in SPACES if s != "tpe")],
)
def test_an_interrupted_search_draws_what_another_does(search, sampler):
    """Killed again and again, in batches: the same parameters, all inside the space."""
    options = {
        "sampler": sampler, "n_trials": 10, "batch_size": 4, "settings": SETTINGS.get(sampler),
    }  # fmt: skip
    whole = search(*SPACES[sampler], **options)
    whole.go_on(value)
    cut = search(*SPACES[sampler], folder="cut", **options)
    draw = random.Random(0)
    batch = [None]
    while batch:
        database = cut.open()
        with database.at_work():
            batch = database.ask()
            for asked in batch[: draw.randrange(len(batch) + 1)]:
                cut.end(asked, value(asked.words))
                database.tell(asked)
    trials = whole.trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 10
    assert [(t.params, t.values) for t in cut.trials()] == [(t.params, t.values) for t in trials]
    for trial in trials:
        optimizer = trial.params.get("optimizer", "adamw")
        low, high = RANGES[optimizer]
        lr = trial.params.get(f"optimizer.lr[{optimizer}]", trial.params.get("optimizer.lr", low))
        assert low <= lr <= high
        assert trial.params.get("init", "he") in ("he", "lecun", "xavier")
        assert trial.params.get("data.batch_size", 16) in range(16, 65)


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "nsga2"])
def test_another_seed_draws_otherwise(planner, sampler):
    options = {"sampler": sampler, "defaults_first": False}
    first, other, again = (
        [trial.params for trial in drawn(planner(*CONDITIONAL, seed=seed, **options), 4)]
        for seed in (0, 1, 0)
    )
    assert first != other
    assert first == again


@pytest.mark.parametrize(
    ("sampler", "objectives"),
    [
        ("tpe", 1),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in (("cmaes", 1), ("nsga2", 1), ("tpe", 2), ("nsga2", 2))
        ),
    ],
)
def test_it_comes_nearer_to_the_best_than_chance(planner, sampler, objectives):
    """What diverged, of infinite value by each objective, does not keep it from that."""
    late = {}
    for name in (sampler, "random"):
        settings = SETTINGS.get(name)
        plans = planner(*NUMBERS, sampler=name, settings=settings, defaults_first=False)
        trials = drawn(plans, 60, objectives)
        assert any(math.isinf(trial.values[0]) for trial in trials)
        late[name] = sum(max(trial.values[0], -9) for trial in trials[30:]) / 30
    assert late[sampler] > late["random"] + 0.1


def test_the_first_are_as_without_tuning(planner):
    plans = planner(*CONDITIONAL)
    assert [plans.plan(place) for place in range(3)] == [
        {"optimizer": "adam", "optimizer.lr[adam]": 0.001, "init": "he"},
        {"optimizer": "sgd", "optimizer.lr[sgd]": 0.1, "init": "he"},
        {},
    ]
    assert planner(*CONDITIONAL, defaults_first=False).plan(0) == {}


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random"])
def test_shares_are_equal(planner, sampler):
    trials = drawn(planner(*CONDITIONAL, sampler=sampler, balance="optimizer"), 14)
    counts = collections.Counter(trial.params["optimizer"] for trial in trials)
    assert counts == {"adam": 7, "sgd": 7}


def test_quasi_random_points_are_the_same_for_each_optimizer(planner):
    """And of eight one falls into each eighth of the range."""
    plans = planner(*CONDITIONAL, sampler="qmc", balance="optimizer", defaults_first=False)
    places = {"adam": [], "sgd": []}
    for trial in drawn(plans, 16):
        optimizer = trial.params["optimizer"]
        low, high = RANGES[optimizer]
        lr = trial.params[f"optimizer.lr[{optimizer}]"]
        places[optimizer].append(math.log(lr / low) / math.log(high / low))
    assert places["adam"] == pytest.approx(places["sgd"], abs=1e-12)
    assert sorted(int(8 * place) for place in places["adam"]) == list(range(8))


def test_a_grid_has_each_cell_once(planner):
    plans = planner(*LISTED, sampler="grid", n_trials=100)
    assert plans.total == 12
    cells = itertools.product(("adam", "sgd"), ("he", "lecun", "xavier"), (16, 17))
    keys = ("optimizer", "init", "data.batch_size")
    found = [tuple(plans.plan(k)[key] for key in keys) for k in range(12)]
    assert sorted(found) == sorted(cells)


def test_settings_that_the_sampler_does_not_take(planner):
    with pytest.raises(ConfigError, match=r"^hydra.sweeper.settings=.*popsize"):
        planner(*CONDITIONAL, settings={"popsize": 3})


@pytest.mark.parametrize("settings", [{}, {"with_margin": True}, {"use_separable_cma": True}])
def test_cma_es_draws_what_optuna_s_own_does(planner, settings):
    """Its state follows from the finished trials; Optuna keeps a pickle of it with a trial."""
    plans = planner(*NUMBERS, sampler="cmaes", settings=settings, defaults_first=False)
    trials = drawn(plans, 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("theta0.search.samplers.ReplayedCmaEs", optuna.samplers.CmaEsSampler)
        own = drawn(plans, 40)
    assert [trial.params for trial in trials] == [trial.params for trial in own]
    assert max(trial.system_attrs.get(GENERATION[str(settings)], 0) for trial in trials) >= 4
    assert any("optimizer" in name for trial in own for name in trial.system_attrs)
    assert not any("optimizer" in name for trial in trials for name in trial.system_attrs)


GENERATION = {
    "{}": "cma:generation",
    "{'with_margin': True}": "cmawm:generation",
    "{'use_separable_cma': True}": "sepcma:generation",
}


class Touch:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("prefix", ["cma:", "cmawm:", "sepcma:"])
def test_nothing_in_a_database_is_unpickled(search, tmp_path, prefix):
    touched = tmp_path / "touched"
    settings = {"cmawm:": {"with_margin": True}, "sepcma:": {"use_separable_cma": True}}.get(prefix)
    made = search(*NUMBERS, sampler="cmaes", settings=settings, n_trials=4, defaults_first=False)
    made.go_on(value, batches=3)
    pickled = pickle.dumps(Touch(touched)).hex()
    with sqlite3.connect(made.folder / "optuna.db") as database:
        database.execute(
            "INSERT INTO trial_system_attributes (trial_id, key, value_json)"
            " SELECT trial_id, ?, ? FROM trials",
            (f"{prefix}optimizer:0", json.dumps(pickled)),
        )
    made.go_on(value)
    assert len(made.trials()) == 4
    assert not touched.exists()
    pickle.loads(bytes.fromhex(pickled))
    assert touched.exists()
