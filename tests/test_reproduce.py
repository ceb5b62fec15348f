"""A run done again: the same, nearly the same, another; and what a stranger's folder may not do."""

import json
import re
import shutil
from pathlib import Path

import pytest

from theta0.continuation import differing
from theta0.reproduce import first_difference

SHORT = ("trainer.max_epochs=2", "study=s", "model.widths=[16]")


@pytest.fixture(scope="module")
def finished(in_process, tmp_path_factory):
    return in_process(tmp_path_factory.mktemp("finished"), *SHORT, "model.dropout=0.1")


@pytest.fixture
def changed(finished, tmp_path):
    """`changed(edit)`: a copy of the run's folder whose result.json `edit` has changed."""

    def changed(edit):
        folder = tmp_path / "copy"
        shutil.copytree(finished.folder(finished.one()), folder)
        told = json.loads((folder / "result.json").read_text())
        edit(told)
        (folder / "result.json").write_text(json.dumps(told))
        return folder

    return changed


@pytest.fixture
def reproduce(in_process, tmp_path):
    return lambda folder, *words: in_process(
        tmp_path, f"run={folder}", "folder=again", *words, program="reproduce.py"
    )


def test_a_run_is_identical(finished, reproduce, tmp_path):
    ran = reproduce(finished.folder(finished.one()))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("IDENTICAL: ")
    again = json.loads((tmp_path / "again" / "result.json").read_text())
    assert again["hashes"] == finished.one().hashes.model_dump()
    assert again["config_hash"] == finished.one().config_hash


def test_the_first_run_is_left_as_it_is(finished, reproduce):
    folder = finished.folder(finished.one())
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    reproduce(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_metrics_within_epsilon_are_the_same(changed, reproduce):
    def edit(told):
        told["hashes"]["final"] = "0" * 64
        told["metrics"]["val/loss"] += 5e-4

    ran = reproduce(changed(edit))
    assert ran.code == 0
    assert ran.out.startswith("SAME WITHIN 0.001: val/loss by 0.0005 differs most")
    ran = reproduce(changed_folder(ran), "epsilon=1e-4", "folder=third")
    assert ran.code == 1
    assert ran.out.startswith("DIFFERENT: val/loss by 0.0005 differs most, more than 0.0001")


def changed_folder(ran) -> Path:
    return ran.here / "copy"


def test_another_rate_is_different_and_told_where(changed, reproduce):
    def edit(told):
        told["config"]["optimizer"]["lr"] *= 10

    ran = reproduce(changed(edit))
    assert ran.code == 1
    assert ran.out.startswith("DIFFERENT: ")
    assert "; first at step 20: " in ran.out
    assert "θ₀ differs" not in ran.out


def test_what_differs_in_the_environment_is_shown(changed, reproduce):
    def edit(told):
        told["environment"]["packages"]["torch"] = "1.0"

    ran = reproduce(changed(edit))
    assert ran.code == 0
    assert re.search(r"packages\.torch\s+│ 1\.0\s+│", ran.out)


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda told: told.update(status="failed"), "is failed: there is no end to compare with"),
        (
            lambda told: told["config"]["model"].update(_target_="os.system"),
            "its configuration builds os.system, which theta0 does not ship;",
        ),
        (
            lambda told: told["config"]["init"].update(activation={"_target_": "torch.hub.load"}),
            "its configuration builds torch.hub.load, which theta0 does not ship;",
        ),
    ],
)
@pytest.mark.parametrize("program", ["reproduce.py", "eval.py"])
def test_what_is_refused(changed, in_process, tmp_path, edit, line, program):
    if program == "eval.py" and "no end" in line:
        pytest.skip("a failed run's checkpoint may be evaluated")
    ran = in_process(tmp_path, f"run={changed(edit)}", program=program)
    assert ran.code == 2
    assert line in ran.err
    assert ran.err.count("\n") == 1


def test_a_stranger_who_is_trusted_is_built(changed, reproduce, broken_model):
    def edit(told):
        told["config"]["model"]["_target_"] = "users_own.Net"

    folder = changed(edit)
    assert reproduce(folder).code == 2
    assert reproduce(folder, "trust=[users_own]").out.startswith("IDENTICAL: ")


def test_differing_and_first_difference(tmp_path):
    then, now = {"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4}, "e": 5}
    assert list(differing(then, now)) == [
        ("b.c", "2", "4"),
        ("b.d", "3", "null"),
        ("e", "null", "5"),
    ]
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    a.write_text("step,train/loss,seconds\n1,0.5,3\n2,0.4,4\n")
    b.write_text("step,train/loss,seconds\n1,0.5,9\n2,0.3,9\n")
    assert first_difference(a, b) == "; first at step 2: train/loss 0.4, now 0.3"
    b.write_text("step,train/loss,seconds\n1,0.5,9\n")
    assert first_difference(a, b) == "; first at step 2: step 2, now nothing"
    assert first_difference(a, a) == ""
