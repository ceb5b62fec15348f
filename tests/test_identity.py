"""Equal runs have equal names and different runs different ones, whatever way they are said."""

import copy
import functools
import hashlib
import re

import pytest
from omegaconf import OmegaConf, open_dict

from theta0.errors import ConfigError
from theta0.identity import (
    cell_name,
    cell_overrides,
    config_hash,
    default_study,
    resolve,
    run_name,
)


@pytest.fixture(scope="session")
def digest(compose):
    """`digest("seed=1", ...)`: the config_hash of a command line."""
    return functools.cache(lambda *overrides: config_hash(compose(*overrides)))


# -------------------------------------------------------------------------------------- config_hash


def test_the_hash_is_the_sha256_of_sorted_plain_json():
    config = OmegaConf.create(
        {
            "seed": 0,
            "study": "mine",
            "paths": {"data_dir": "/data"},
            "data": {"root": "${paths.data_dir}", "mean": None},
            "trainer": {"max_epochs": "${epochs}", "devices": 2, "accelerator": "cpu"},
            "epochs": 10.0,
            "betas": [0.9, 1.0],
            "name": "θ",
        }
    )
    text = (
        '{"betas":[0.9,1],"data":{"mean":null,"root":null},"epochs":10,"name":"\\u03b8",'
        '"seed":0,"trainer":{"max_epochs":10}}'
    )
    assert config_hash(config) == hashlib.sha256(text.encode()).hexdigest()


def test_the_hash_leaves_the_configuration_as_it_was(compose):
    config = compose("data=mnist", "study=mine")
    before = OmegaConf.to_yaml(config)
    config_hash(config)
    assert OmegaConf.to_yaml(config) == before
    assert config.data.source.root == config.paths.data_dir
    assert OmegaConf.is_struct(config)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["optimizer=adam", "init=xavier", "seed=1"], ["seed=1", "init=xavier", "optimizer=adam"]),
        (["optimizer=sgd", "optimizer.lr=0.2"], ["optimizer.lr=0.2", "optimizer=sgd"]),
        ([], ["optimizer=adamw", "init=he", "seed=0", "optimizer.lr=0.001", "precision=32-true"]),
        ([], ["optimizer.lr=1e-3"]),
        ([], ["seeds.init=0"]),
        (["optimizer.weight_decay=1"], ["optimizer.weight_decay=1.0"]),
        (["optimizer.lr=1e-4"], ["optimizer.lr=0.0001"]),
        (["seed=3"], ["seeds.init=3", "seeds.order=3", "seeds.noise=3", "seed=3"]),
        (["optimizer=adam"], ["optimizer=sgd", "optimizer=adam"]),
    ],
)
def test_said_another_way(digest, one, other):
    assert digest(*one) == digest(*other)


HOW_OR_WHERE = [
    ["study=mine"],
    ["paths.data_dir=/elsewhere"],
    ["paths.log_dir=/elsewhere"],
    ["logger=none"],
    ["logger=tensorboard"],
    ["logger.project=mine"],
    ["threads=2"],
    ["progress=true"],
    ["tags=[a,b]"],
    ["print_config=true"],
    ["rendezvous=host:29500"],
    ["search_space.lr=[0.1,0.2]"],
    ["trainer.devices=2"],
    ["trainer.accelerator=cpu"],
    ["trainer.num_nodes=2"],
    ["trainer.profiler=simple"],
    ["trainer=cpu"],
    ["trainer=ddp"],
    ["hydra.verbose=true"],
]


@pytest.mark.parametrize("overrides", HOW_OR_WHERE)
def test_how_and_where_a_run_is_done_do_not_enter(digest, overrides):
    assert digest(*overrides) == digest()


@pytest.mark.parametrize(
    "overrides", [["paths.data_dir=/elsewhere"], ["study=mine"], ["threads=2"], ["logger=none"]]
)
def test_nor_by_way_of_a_key_that_quotes_them(digest, overrides):
    """data=mnist has `root: ${paths.data_dir}`."""
    assert digest("data=mnist", *overrides) == digest("data=mnist")


def test_nor_does_the_data_folder_of_the_environment(compose, monkeypatch):
    monkeypatch.setenv("THETA0_DATA", "/here")
    here = compose("data=mnist")
    assert resolve(here)["data"]["source"]["root"] == "/here"
    before = config_hash(here)
    monkeypatch.setenv("THETA0_DATA", "/there")
    there = compose("data=mnist")
    assert resolve(there)["data"]["source"]["root"] == "/there"
    assert config_hash(there) == before


def test_what_determines_the_outcome_enters(digest):
    """Each of these differs from the default and from each other."""
    others = [
        ["optimizer.lr=0.002"],
        ["optimizer=adam"],
        ["seed=1"],
        ["seeds.split=1"],
        ["seeds.init=1"],
        ["init=xavier"],
        ["init.gain=torch"],
        ["model.widths=[256]"],
        ["model.widths=[256,255]"],
        ["model.activation=tanh"],
        ["trainer.max_epochs=11"],
        ["trainer.limit_train_batches=11"],
        ["data.batch_size=32"],
        ["data=digits"],
        ["precision=64-true"],
        ["accumulate=2"],
        ["loss=mse"],
        ["scheduler=none"],
        ["callbacks=early_stopping"],
        ["objective.metric=val/loss"],
        ["ckpt_path=a.ckpt"],
        ["train=false"],
        [],
    ]
    digests = {digest(*overrides): overrides for overrides in others}
    assert list(digests.values()) == others


# -------------------------------------------------------------------------------------------- names


def test_the_name_of_a_run(compose):
    config = compose("study=mine")
    name = config.hydra.sweep.subdir
    assert re.fullmatch(r"adamw-he-s0-[0-9a-f]{10}", name)
    assert name.rpartition("-")[2] == config_hash(config)[:10]
    assert config.hydra.run.dir == f"logs/mine/{name}"
    assert config.hydra.sweep.dir == "logs/mine"


def test_the_name_of_a_run_tells_what_was_chosen(compose):
    config = compose("optimizer=sgd", "init=xavier_normal", "seed=12", "seeds.init=5")
    assert config.hydra.sweep.subdir.startswith("sgd-xavier_normal-s12-")
    elsewhere = compose("paths.log_dir=/scratch", "study=mine", "seed=12")
    assert elsewhere.hydra.run.dir == f"/scratch/mine/{elsewhere.hydra.sweep.subdir}"


def test_one_name_for_a_run_alone_and_inside_a_sweep(compose):
    """Whatever launches it, and in whatever order it is told."""
    alone = compose("study=mine", "optimizer=adam", "init=xavier", "seed=1")
    inside = compose("optimizer=adam", "init=xavier", "seed=1", "study=mine", "hydra.mode=MULTIRUN")
    subdir = inside.hydra.sweep.subdir
    assert alone.hydra.run.dir == f"{inside.hydra.sweep.dir}/{subdir}" == f"logs/mine/{subdir}"


# -------------------------------------------------------------------------------------------- study


@pytest.fixture
def alone(monkeypatch):
    """As no launcher of several processes has started us."""
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def test_the_default_study_is_the_time_to_the_microsecond(compose, alone):
    one, other = compose().study, compose().study
    for study in (one, other):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.\d{6}", study)
    assert one < other


def test_a_composition_has_one_study(compose, alone):
    """The folder, what the run writes down and what W&B is told say the same."""
    config = compose()
    folder = config.hydra.run.dir
    study = folder.split("/")[1]
    assert folder == f"logs/{study}/{config.hydra.sweep.subdir}"
    assert config.hydra.sweep.dir == f"logs/{study}"
    assert config.study == config.logger.group == study


def test_the_run_writes_down_the_study_of_its_folder(compose, alone):
    config = compose()
    study = config.hydra.run.dir.split("/")[1]
    task = copy.deepcopy(config)  # as Hydra makes what it hands to the task
    with open_dict(task):
        del task["hydra"]
    plain = resolve(task)
    assert plain["study"] == study
    assert plain["logger"]["group"] == study


@pytest.mark.parametrize(
    ("environment", "study"),
    [
        ({"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "abc"}, "job-abc"),
        ({"SLURM_NTASKS": "4", "SLURM_JOB_ID": "17"}, "job-17"),
        ({"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "abc", "SLURM_JOB_ID": "17"}, "job-abc"),
    ],
)
def test_processes_started_together_share_a_study(alone, monkeypatch, environment, study):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_study("logs") == study


def test_processes_started_together_without_a_name(alone, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # torchrun's own default
    with pytest.raises(ConfigError, match=r"^study: .*study=\.\.\.$"):
        default_study("logs")


def test_one_process_is_no_several(alone, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "abc")
    assert default_study("logs") != "job-abc"


# ------------------------------------------------------------------------------------------ resolve


def test_resolve_leaves_no_interpolation_and_no_hydra(compose):
    plain = resolve(compose("data.samples.test=7", "seed=3"))
    assert "hydra" not in plain
    assert plain["data"]["source"]["test_samples"] == 7
    assert plain["model"]["in_features"] == 784
    assert plain["seeds"] == {"split": 0, "init": 3, "order": 3, "noise": 3}
    assert "${" not in str(plain)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"init": {"path": "???"}}, "init.path: a value is required: init.path=..."),
        ({"a": {"b": "${nowhere}"}}, "a.b: needs nowhere, which is not there"),
    ],
)
def test_resolve_says_in_one_line_what_is_wrong(content, line):
    with pytest.raises(ConfigError) as error:
        resolve(OmegaConf.create(content))
    assert str(error.value) == line


# -------------------------------------------------------------------------------------------- cells


def test_cell_overrides():
    overrides = [
        "optimizer=adam",
        "init=he",
        "optimizer.lr=0.1",
        "+model.extra=1",
        "~scheduler",
        "model._target_=a=b",
        *("seed=3", "seeds.init=4", "study=mine", "tags=[a]", "threads=2", "logger=none"),
        *("logger.project=x", "paths.data_dir=/x", "progress=false", "print_config=true"),
    ]
    assert cell_overrides(overrides) == {
        "optimizer": "adam",
        "init": "he",
        "optimizer.lr": "0.1",
        "model.extra": "1",
        "scheduler": "",
        "model._target_": "a=b",
    }


def test_cell_name():
    choices = {"optimizer": "adamw", "init": "he", "data": "mnist5k"}
    assert cell_name(choices, []) == "adamw|he"
    assert cell_name(choices, ["seed=1", "study=mine"]) == "adamw|he"
    overrides = ["seed=1", "optimizer.lr=0.1", "init=he", "data=mnist5k", "optimizer=adamw"]
    assert cell_name(choices, overrides) == "adamw|he|data=mnist5k|optimizer.lr=0.1"
    assert cell_name(choices, overrides[::-1]) == cell_name(choices, overrides)
    several = choices | {"remedy": "dropout+ema"}  # however the list was typed
    for typed in ("remedy=[dropout,ema]", "remedy=[dropout, ema]"):
        assert cell_name(several, [typed]) == "adamw|he|remedy=dropout+ema"


def test_a_list_of_one_option_is_in_the_run_name(compose):
    """Hydra forgets the choice of a group for which a list was given."""
    name = run_name(compose("optimizer=adam", "init=xavier"))
    assert name.startswith("adam-xavier-s0-")
    assert run_name(compose("optimizer=[adam]", "init=[xavier]")) == name
