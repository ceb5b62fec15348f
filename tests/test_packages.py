"""Installed packages: once a study, whole again for whoever reads a run of it."""

import hashlib
import json
import os
import shutil

import pytest

from theta0 import packages
from theta0.packages import NAMED, SHA256
from theta0.results import INDEX, Result

ALL = dict.fromkeys(NAMED, "1.0") | {f"package-{n}": "2.0" for n in range(300)}
ENVIRONMENT = {"python": "3.12.0", "packages": ALL, "threads": 1}


def write(folder, **environment):
    folder.mkdir(parents=True, exist_ok=True)
    Result(
        run=folder.name,
        study=folder.parent.name,
        overrides=[],
        choices={},
        config={},
        config_hash="0" * 64,
        seeds={"split": 0, "init": 0, "order": 0, "noise": 0},
        objective={"metric": "val/acc", "mode": "max"},
        environment=ENVIRONMENT | environment,
    ).write(folder)
    return folder


def on_disk(folder):
    return json.loads((folder / "result.json").read_text())["environment"]


@pytest.fixture
def study(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / INDEX).touch()
    return tmp_path / "s"


@pytest.fixture
def stored(study):
    """Where the study holds the packages of its run `a`."""
    write(study / "a")
    (path,) = (study / packages.FOLDER).iterdir()
    return path


def test_runs_of_a_study_share_one_file_and_one_dictionary(study, stored):
    assert stored.stem == hashlib.sha256(stored.read_bytes()).hexdigest()
    write(study / "b", threads=4)
    write(study / "c", packages=ALL | {"package-0": "3.0"})
    assert len(list(stored.parent.iterdir())) == 2
    assert on_disk(study / "a") == {
        "python": "3.12.0",
        "packages": dict.fromkeys(NAMED, "1.0"),
        "threads": 1,
        SHA256: stored.stem,
    }
    a, b, c = (Result.read(study / name).environment for name in "abc")
    assert a == ENVIRONMENT and b == ENVIRONMENT | {"threads": 4}
    assert c["packages"]["package-0"] == "3.0"
    assert a["packages"] is b["packages"]


def test_what_was_read_is_written_as_it_was(study, stored):
    before = on_disk(study / "a")
    Result.read(study / "a").write(study / "a")
    assert on_disk(study / "a") == before


@pytest.mark.parametrize("how", ["copied alone", "other bytes", "a pipe", "a path for a hash"])
def test_where_they_cannot_be_found_the_named_ones_are_known(study, stored, how, tmp_path):
    folder = study / "a"
    if how == "copied alone":
        folder = shutil.copytree(folder, tmp_path / "elsewhere" / "a")
    if how == "other bytes":
        stored.write_text(stored.read_text().replace("2.0", "2.1"))
    if how == "a pipe":
        stored.unlink()
        os.mkfifo(stored)
    if how == "a path for a hash":
        content = (folder / "result.json").read_text()
        (folder / "result.json").write_text(content.replace(stored.stem, f"../x/{stored.stem}"))
    environment = Result.read(folder).environment
    assert environment["packages"] == dict.fromkeys(NAMED, "1.0")
    assert environment["python"] == "3.12.0"
    Result.read(folder).write(folder)  # and goes on to say which they were
    assert on_disk(folder)[SHA256].endswith(stored.stem)


def test_a_run_that_was_set_aside_finds_them(study, stored):
    (study / ".replaced").mkdir()
    moved = (study / "a").rename(study / ".replaced" / "a.1")
    assert Result.read(moved).environment == ENVIRONMENT


def test_a_run_of_no_study_keeps_them(tmp_path):
    assert on_disk(write(tmp_path / "again")) == ENVIRONMENT
    assert [path.name for path in tmp_path.iterdir()] == ["again"]
