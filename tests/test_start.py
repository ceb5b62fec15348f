"""A run that is given another's checkpoint continues it or fine-tunes it, and says which."""

import csv

import pytest
import torch
from conftest import changed

from theta0.checkpoints import read_checkpoint
from theta0.results import Result
from theta0.start import start_from

SHORT = "trainer.max_epochs=1", "trainer.limit_train_batches=3", "model.widths=[8]", "test=false"


@pytest.fixture(scope="module")
def first(in_process, tmp_path_factory):
    """(the checkpoint of a finished run, its result, its folder)."""
    ran = in_process(tmp_path_factory.mktemp("first"), *SHORT)
    path = ran.folder(ran.one()) / "checkpoints" / "last.ckpt"
    return path, ran.one(), read_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"trainer.max_epochs": 9, "trainer.devices": 2, "test": True, "threads": 4}, None),
        ({"paths.data_dir": "/elsewhere", "data.source.root": "/elsewhere/x"}, None),
        ({"callbacks.checkpoint.every_n_seconds": 1.0, "callbacks.diagnostics": {}}, None),
        ({"optimizer.lr": 1e-9}, "optimizer.lr was 0.001 and is 1e-09"),
        ({"optimizer.weight_decay": 0.5}, "optimizer.weight_decay was 0.01 and is 0.5"),
        ({"scheduler._target_": "x"}, "scheduler._target_ was theta0.optim.cosine and is x"),
        ({"seeds.order": 1}, "seeds.order was 0 and is 1"),
        ({"data.batch_size": 8}, "data.batch_size was 64 and is 8"),
    ],
)
def test_a_checkpoint_is_continued_only_where_nothing_that_matters_changed(first, changes, why):
    path, result, checkpoint = first
    then = changed(result.config, {"data.source.root": f"{result.config['paths']['data_dir']}/x"})
    now = changed(then, changes)
    start = start_from(str(path), {**checkpoint, "hyper_parameters": then}, now)
    assert (start.how, start.why) == (
        ("fine-tune", why) if why else ("continue", "its settings are the same")
    )


def test_a_checkpoint_of_weights_alone_is_fine_tuned(first):
    path, result, checkpoint = first
    bare = {key: value for key, value in checkpoint.items() if key != "optimizer_states"}
    assert start_from(str(path), bare, result.config).how == "fine-tune"


@pytest.mark.parametrize(
    "words",
    [
        ("optimizer.lr=1e-12", "optimizer.weight_decay=0"),
        ("optimizer=sgd", "optimizer.lr=1e-12"),
        ("optimizer.lr=1e-12", "scheduler=none", "init=xavier"),
    ],
)
def test_fine_tuning_takes_the_weights_and_does_what_is_asked_for(
    in_process, tmp_path, first, words
):
    path, before, checkpoint = first
    ran = in_process(tmp_path, *SHORT, f"ckpt_path={path}", *words)
    result = ran.one()
    assert (ran.code, result.status, result.start.how) == (0, "done", "fine-tune")
    assert f"fine-tunes {path}: its weights alone, since " in ran.out
    assert (result.cost.steps, result.cost.epochs) == (3, 1)
    useless = "the init has no effect: the weights are those of ckpt_path"
    assert (useless in result.warnings) == ("init=xavier" in words)
    assert result.hashes.init == before.hashes.final  # of its own θ₀ there is nothing
    after = read_checkpoint(ran.folder(result) / "checkpoints" / "last.ckpt")["state_dict"]
    for name, weight in checkpoint["state_dict"].items():  # at such a rate
        torch.testing.assert_close(after[name], weight, rtol=0, atol=1e-8)
    rows = list(csv.DictReader((ran.folder(result) / "metrics.csv").open()))
    assert [row["epoch"] for row in rows if row["epoch"]] == ["0"]


def test_a_longer_run_of_the_same_settings_goes_on(in_process, tmp_path, first):
    path = first[0]
    words = *SHORT, "trainer.max_epochs=3", f"ckpt_path={path}"
    ran = in_process(tmp_path, *words)
    result = ran.one()
    assert (result.status, result.start.how, result.cost.steps) == ("done", "continue", 9)
    assert f"continues {path}: optimizer and all, since its settings are the same" in ran.out
    assert result.best.epoch > 0  # the checkpoint of an earlier epoch is not in this folder
    assert Result.read(ran.folder(result)).start == result.start


def test_weights_that_do_not_fit_are_told(in_process, tmp_path, first):
    ran = in_process(tmp_path, *SHORT, "model.widths=[9]", f"ckpt_path={first[0]}")
    assert ran.code == 1
    says = (
        f"ckpt_path={first[0]}: its weights do not fit the network: hidden.0.weight is of another"
    )
    assert ran.one().error.line.startswith(says)


def test_a_checkpoint_that_is_at_its_end_is_no_run(in_process, tmp_path, first):
    ran = in_process(tmp_path, *SHORT, f"ckpt_path={first[0]}")
    assert (ran.code, ran.one().status) == (1, "failed")
    assert ran.one().error.line == (
        f"ckpt_path={first[0]}: 3 steps are done already, and not one step was trained:"
        " trainer.max_epochs=1, trainer.max_steps=-1, trainer.max_time=null"
    )
