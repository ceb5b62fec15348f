"""What a study is: its runs, curves, factors and settings; and what is none."""

import json
import shutil

import pytest

from theta0.errors import ConfigError
from theta0.report.study import read
from theta0.results import Hashes


def test_what_is_compared_and_what_is_tuned(made_up_study):
    folder = made_up_study(
        optimizer=["adam", "sgd"], init=["he", "xavier"], data=["mnist5k", "digits"],
        optimizer__lr=[0.01, 0.1], model__width=[8, 16], seeds=range(2),
    )  # fmt: skip
    study = read([folder])
    assert study.name == "first"
    assert study.factors == ["optimizer", "init", "data"]
    assert study.settings == ["model.width", "optimizer.lr"]
    assert (study.method, study.problem) == (["optimizer", "init"], ["data"])
    assert (study.objective.metric, study.metric, study.mode) == ("val/acc", "test/acc", "max")
    assert len(study.runs) == study.total == 2**5 * 2
    wider = read([folder], compare=["model.width"])
    assert wider.factors == ["optimizer", "init", "data", "model.width"]
    assert wider.settings == ["optimizer.lr"]
    assert wider.problem == ["data", "model.width"]
    with pytest.raises(ConfigError, match=r"compare=\[lr\]: no key that was swept; allowed: model"):
        read([folder], compare=["lr"])


def test_curves_are_one_row_an_epoch(made_up_study):
    folder = made_up_study(lambda cell, seed: 0.8 if seed else "diverged", seeds=[0, 1], epochs=4)
    study = read([folder])
    (run,) = study.runs.loc[study.runs["status"] == "done", "run"]
    curves = study.curves
    assert curves["run"].tolist() == [run] * 4
    assert curves["epoch"].tolist() == [0, 1, 2, 3]
    assert curves["step"].tolist() == [10, 20, 30, 40]
    assert curves["seconds"].tolist() == [1, 2, 3, 4]
    assert curves["val/acc"].iloc[-1] == 0.8
    assert list(curves.columns) == ["study", "run", "epoch", "step", "seconds", "val/acc"]


def test_studies_are_put_together(made_up_study):
    first = made_up_study(optimizer=["adam"], init=["he"], seeds=range(3))
    more = made_up_study(name="more", optimizer=["sgd"], init=["he"], seeds=range(3))
    study = read([first, more])
    assert study.name == "first-more"
    assert study.runs["study"].tolist() == ["first"] * 3 + ["more"] * 3
    assert study.notes == []
    assert all((path / "result.json").is_file() for path in study.paths)
    assert study.curves.groupby(["study", "run"]).ngroups == 6


def test_a_run_that_two_studies_have_counts_once(made_up_study):
    """And the one that is done is the one."""
    first = made_up_study(lambda c, s: "failed" if s == 1 else 0.9, seeds=range(3))
    more = made_up_study(lambda c, s: 0.8, name="more", seeds=range(1, 4))
    study = read([first, more])
    assert study.runs[["study", "seed"]].to_numpy().tolist() == [
        ["first", 0], ["first", 2], ["more", 1], ["more", 3],
    ]  # fmt: skip
    left_out = "2 runs do what others do with the same seeds: left out"
    assert study.notes == [left_out]

    def changed(content):
        content["hashes"] = Hashes(final="b" * 64 if content["study"] == "more" else "a" * 64)

    for name, seeds in {"first": [0, 1, 2], "more": [1, 2, 3]}.items():
        made_up_study(lambda c, s: 0.9, name=name, seeds=seeds, change=changed)
    assert read([first, more]).notes == [
        left_out, "2 runs ended in other weights than those that were left out",
    ]  # fmt: skip


def test_defaults_that_differ_between_studies_tell_cells_apart(made_up_study):
    def longer(content):
        content["config"]["trainer"] = {"max_epochs": 9}

    first = made_up_study(seeds=range(2))
    more = made_up_study(name="more", change=longer, seeds=range(2))
    study = read([first, more])
    assert study.settings == ["trainer"]
    assert study.runs["cell"].nunique() == 2


def test_the_reported_metric(made_up_study):
    def untested(content):
        content["metrics"].pop("test/acc", None)

    def regression(content):
        content["objective"].metric, content["objective"].mode = "val/loss", "min"
        content["metrics"]["test/loss"] = 0.5

    assert read([made_up_study(change=untested)]).metric == "val/acc"
    study = read([made_up_study(change=regression, name="other")])
    assert (study.metric, study.mode) == ("test/loss", "min")
    folder = made_up_study(name="third")
    assert read([folder], metric="val/acc").metric == "val/acc"
    with pytest.raises(ConfigError, match=r"metric=val/los: allowed: .* did you mean val/loss\?"):
        read([folder], metric="val/los")
    study = read([folder], metric="val/loss")
    assert (study.metric, study.mode) == ("val/loss", "min")

    def own(content):
        content["metrics"]["test/own"] = 0.5

    folder = made_up_study(change=own, name="own")
    with pytest.raises(ConfigError, match=r"metric=test/own: is more of it better, or less\?"):
        read([folder], metric="test/own")
    assert read([folder], metric="test/own", mode="min").mode == "min"


def test_runs_of_several_objectives_are_no_study(made_up_study):
    def regression(content):
        content["objective"].metric, content["objective"].mode = "val/loss", "min"
        content["config"]["objective"] = {"metric": "val/loss", "mode": "min"}

    folder = made_up_study()
    other = made_up_study(name="other", change=regression)
    with pytest.raises(ConfigError, match=r"several objectives \(max val/acc, min val/loss\)"):
        read([folder, other])
    study = read([folder, other], where="objective.metric == 'val/loss'")
    assert study.objective.metric == "val/loss"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 1}', "\xff"])
def test_a_broken_result_is_told_and_the_rest_is_read(made_up_study, content):
    folder = made_up_study(seeds=range(3))
    broken = sorted(folder.glob("*/result.json"))[1]
    broken.write_text(content, encoding="latin-1")
    study = read([folder])
    assert len(study.runs) == 2
    (line,) = study.broken
    assert line.startswith(f"{broken}: cannot be read: ")
    assert "\n" not in line


def test_broken_metrics_are_told_too(made_up_study):
    folder = made_up_study(seeds=range(2))
    first, second = sorted(folder.glob("*/metrics.csv"))
    first.write_bytes(b"\x00\xff\xfe")
    study = read([folder])
    assert study.curves["run"].unique().tolist() == [second.parent.name]
    (line,) = study.broken
    assert line.startswith(f"{first}: cannot be read: ")
    assert "\n" not in line
    for text in ("epoch,step,seconds,val/acc\n0,8,1.0,good\n", "epoch,step,seconds\n0,,1.0\n"):
        first.write_text(text)
        (line,) = read([folder]).broken
        assert line.startswith(f"{first}: cannot be read: ")
    first.write_text("step,train/loss_step\n0,2.3\n")  # it ended before its first epoch
    assert read([folder]).broken == []


def test_a_mode_that_contradicts_the_objective(made_up_study):
    folder = made_up_study(seeds=[0])
    for metric in (None, "test/acc"):
        with pytest.raises(ConfigError, match=r"^mode=min: the runs' objective is max test/acc$"):
            read([folder], metric=metric, mode="min")


def test_a_key_that_is_asked_for_twice_is_compared_once(made_up_study):
    folder = made_up_study(optimizer__lr=[0.1, 1.0], seeds=[0])
    study = read([folder], compare=["optimizer.lr", "optimizer.lr"])
    assert study.factors == ["optimizer", "init", "optimizer.lr"]


def test_what_is_no_study(made_up_study, tmp_path):
    folder = made_up_study(seeds=[0])
    (run,) = (path.parent for path in folder.glob("*/result.json"))
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, line in {
        tmp_path / "none": f"study: {tmp_path / 'none'}: no such folder",
        empty: f"study: {empty} has no runs: there is no result.json below it",
        run: f"study: {run} is a run; its study is {folder}",
    }.items():
        with pytest.raises(ConfigError) as error:
            read([path])
        assert str(error.value) == line
    (run / "result.json").write_text(json.dumps({"schema": 2}))
    with pytest.raises(ConfigError, match=rf"{folder} has no runs: none can be read: .*schema"):
        read([folder])
    shutil.rmtree(run)
    with pytest.raises(ConfigError, match="has no runs"):
        read([folder])
