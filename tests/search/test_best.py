"""The file of a run's configuration composes to the same run."""

from pathlib import Path

import hydra
import pytest
import yaml

from theta0.errors import ConfigError
from theta0.identity import choices_of, config_hash, register_resolvers, resolve, run_name
from theta0.results import Result
from theta0.search.best import write_experiment
from theta0.trust import own_targets

CONFIGS = Path(__file__).parents[2] / "configs"
RUNS = {
    "defaults": [],
    "values and groups": [
        *("optimizer=sgd", "optimizer.lr=0.0123", "model.widths=[8,8]", "seed=3", "seeds.init=4"),
        *("data=digits", "trainer=cpu", "logger=none", "remedy=[dropout,label_smoothing,ema]"),
    ],
    "an option that brings others": ["optimizer=schedule_free_sgd", "init=fixup"],
    "and is told otherwise": ["optimizer=schedule_free_sgd", "scheduler=cosine"],
    "a part of an option": ["init=rezero", "init@init.base=xavier", "init.base.gain=torch"],
    "an experiment": ["experiment=monotonic", "optimizer.lr=0.1", "debug=limit", "tags=[a]"],
    "what is added": ["+model.extra={a: [1, null], b: x}", "+callbacks.own={_target_: a.B}"],
    "a search": [
        *("search=optimizer_lr", "optimizer=lion", "pruning=asha", "study=x"),
        *("data=mnist", "paths.data_dir=/elsewhere", "threads=2"),
    ],
}


@pytest.fixture(autouse=True)
def own_classes_are_named(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", "+callbacks.own={_target_: a.B}"])


@pytest.fixture
def compose_with(tmp_path):
    def compose(words):
        register_resolvers()
        path = f"hydra.searchpath=[file://{tmp_path}]"
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return hydra.compose("train", [path, *words], return_hydra_config=True)

    return compose


def as_result(config):
    plain = resolve(config)
    return Result(
        run=run_name(config),
        study=plain["study"],
        overrides=list(config.hydra.overrides.task),
        choices=choices_of(config.hydra),
        config=plain,
        config_hash=config_hash(config),
        seeds=plain["seeds"],
        objective=plain["objective"],
    )


FAST = ("values and groups", "and is told otherwise", "a search")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=name, marks=() if name in FAST else pytest.mark.slow)
        for name, words in RUNS.items()
    ],
)
def test_the_file_is_the_run(compose_with, tmp_path, words):
    config = compose_with(words)
    result = as_result(config)
    path = tmp_path / "experiment" / "best.yaml"
    assert write_experiment(result, path, "words", compose_with) == []
    again = compose_with(["experiment=best"])
    assert config_hash(again) == result.config_hash
    assert again.threads == config.threads
    assert again.pruning is None
    assert path.read_text().startswith("# @package _global_\n# words\n")


def test_what_follows_from_other_values_still_does(compose_with, tmp_path):
    path = tmp_path / "experiment" / "best.yaml"
    result = as_result(compose_with(["seed=3", "optimizer=sgd", "study=x"]))
    write_experiment(result, path, "words", compose_with)
    content = yaml.safe_load(path.read_text())
    assert content == {"defaults": [{"override /optimizer": "sgd"}], "seed": 3}
    assert compose_with(["experiment=best", "seed=5"]).seeds.init == 5


def test_what_a_file_cannot_say_is_returned(compose_with, tmp_path):
    path = tmp_path / "experiment" / "best.yaml"
    result = as_result(compose_with(["~callbacks.checkpoint"]))
    assert write_experiment(result, path, "words", compose_with) == ["callbacks.checkpoint"]
    again = compose_with(["experiment=best", "~callbacks.checkpoint"])
    assert config_hash(again) == result.config_hash


@pytest.mark.parametrize(
    "edit",
    [
        {"choices": {"optimizer": "../../x"}},
        {"choices": {"optimizer": "/x"}},
        {"choices": {"hydra/launcher": "ray"}},
        {"choices": {"+hydra.callbacks": "x"}},
        {"choices": {"optimizer@hydra.callbacks.x": "adam"}},
        {"config": {"callbacks": {"x": {"_target_": "os.system"}}}},
        {"config": {"callbacks": {"x": {"_target_": "theta0.tracking.wandb_logger"}}}},
        {"config": {"tags": ["${oc.env:HOME}"]}},
        {"config": {"paths": {}}},
    ],
)
def test_no_file_is_made_of_what_trust_would_refuse(compose_with, tmp_path, edit):
    result = as_result(compose_with(["optimizer=sgd"]))
    for part, changes in edit.items():
        setattr(result, part, {**getattr(result, part), **changes})

    def compose(words):
        raise AssertionError(f"{words} were composed")

    with pytest.raises(ConfigError):
        write_experiment(result, tmp_path / "experiment" / "best.yaml", "x", compose)
    assert list(tmp_path.iterdir()) == []


def test_a_command_trusts_what_it_names(tmp_path):
    (tmp_path / "a.yaml").write_text("_target_: mine.Loss\n")
    words = ["model._target_=mine.Net", "+x={_target_: 'a.B'}", "trust=[own,other.C]"]
    assert own_targets([*words, "--config-dir", str(tmp_path)]) == [
        "mine.Net", "a.B", "mine.Loss", "own", "other.C",
    ]  # fmt: skip
    assert own_targets(["optimizer=adam", "study=s"]) == []
