"""The index of a study: right whatever happened to it, and read without reading the runs."""

import os
import shutil
import sys

import pytest

from theta0.continuation import go_on
from theta0.errors import ConfigError
from theta0.index import Entry, Index, forget, index_of
from theta0.results import INDEX, Result

OPENED: list[str] = []
sys.addaudithook(lambda event, told: OPENED.append(str(told[0])) if event == "open" else None)


def a_run(seed, digest="a" * 64, **more):
    words = [f"seed={seed}", "study=s"]
    return Result(
        run=f"adam-he-s{seed}-{digest[:10]}",
        study="s",
        overrides=words,
        choices={"optimizer": "adam", "init": "he"},
        config={"seed": seed, "pruning": None, "lr": more.pop("lr", 0.1)},
        config_hash=digest,
        seeds={"split": 0, "init": seed, "order": seed, "noise": seed},
        objective={"metric": "val/acc", "mode": "max"},
        **more,
    )


def put(study, result):
    folder = study / result.run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(result.model_dump_json(by_alias=True))  # spares an fsync
    return folder


@pytest.fixture
def study(tmp_path):
    """A function: a study of so many runs, indexed."""

    def study(runs):
        folder = tmp_path / f"{runs}"
        for seed in range(runs):
            put(folder, a_run(seed, status="done"))
        Index(folder).current()
        forget()
        return folder

    yield study
    forget()


@pytest.fixture
def reads(monkeypatch):
    """The names of the runs whose result.json is read."""
    names: list[str] = []
    read = Result.read
    monkeypatch.setattr(Result, "read", lambda folder: (names.append(folder.name), read(folder))[1])
    return names


def opened_by(do):
    del OPENED[:]
    do()
    return {path for path in OPENED if INDEX in path or "result.json" in path}


@pytest.mark.parametrize("warm", [False, True], ids=["alone", "in a sweep"])
def test_a_new_run_opens_as_many_files_in_a_large_study(study, warm):
    counts = []
    for size in (10, 200):
        folder = study(size)
        if warm:
            index_of(folder).current()
        new = a_run(1000)
        made = opened_by(lambda f=folder, n=new: go_on(f / n.run, n, None, lambda: None) is n)
        counts.append(len(made))
    assert counts == [2, 2]  # its own result.json, which is not there, and the index


def test_the_same_words_for_another_run_are_found_by_the_index(study, reads):
    folder = study(20)
    new = a_run(7, digest="b" * 64, lr=0.2)
    with pytest.raises(ConfigError, match=r"holds adam-he-s7-a+, of the same words: lr was 0\.1"):
        go_on(folder / new.run, new, None, lambda: None)
    assert reads[20:] == [new.run, a_run(7).run]


def damage(folder):
    index = folder / INDEX
    index.write_bytes(b"\xff\tone\n" + index.read_bytes()[:-9] + b"\n")


DAMAGE = {
    "deleted": lambda folder: (folder / INDEX).unlink(),
    "empty": lambda folder: (folder / INDEX).write_text(""),
    "damaged": damage,
    "a folder": lambda folder: ((folder / INDEX).unlink(), (folder / INDEX).mkdir()),
    "a link": lambda folder: (
        (folder / INDEX).unlink(),
        (folder / INDEX).symlink_to(folder.parent / "elsewhere"),
    ),
    "a pipe": lambda folder: ((folder / INDEX).unlink(), os.mkfifo(folder / INDEX)),
    "a run copied in": lambda folder: shutil.copytree(
        put(folder.parent / "other", a_run(99, status="failed")), folder / a_run(99).run
    ),
    "a link to a run": lambda folder: (folder / "linked").symlink_to(
        put(folder.parent / "other", a_run(98, status="failed"))
    ),
    "a run removed": lambda folder: shutil.rmtree(folder / a_run(3).run),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_what_the_index_lacks_is_read_from_the_runs(study, how):
    folder = study(12)
    DAMAGE[how](folder)
    there = {path.parent.name: Result.read(path.parent) for path in folder.glob("*-s*/result.json")}
    for look in (Index(folder), Index(folder)):
        for name, result in there.items():
            assert look.same_words(result.overrides) == [name]
        assert {n: e.status for n, e in look.current().items()} == {
            name: result.status for name, result in there.items()
        }
    assert not (folder.parent / "elsewhere").exists()


def test_only_a_run_that_has_changed_is_read_again(study, reads):
    folder = study(12)
    index = Index(folder)
    before = index.current()
    put(folder, a_run(5, status="failed"))
    (folder / "no-run").mkdir()
    after = index.current()
    assert reads[12:] == [a_run(5).run]
    assert [name for name in after if after[name] != before[name]] == [a_run(5).run]
    assert after[a_run(5).run].status == "failed"


def test_two_processes_see_each_other(study):
    folder = study(2)
    one, other = Index(folder), Index(folder)
    for seed, writer, reader in ((10, one, other), (11, other, one), (12, other, one)):
        result = a_run(seed)
        assert reader.same_words(result.overrides) == []
        writer.note(put(folder, result), result)
        assert reader.same_words(result.overrides) == [result.run]


def test_a_name_in_the_index_is_no_path(study):
    folder = study(1)
    words = index_of(folder).current()[a_run(0).run].words
    for name in ("../../elsewhere", "..", "", "a/b"):
        with (folder / INDEX).open("a") as file:
            file.write("\t".join(Entry(name, words, "done", "0")) + "\n")
    assert Index(folder).same_words(a_run(0).overrides) == [a_run(0).run]
