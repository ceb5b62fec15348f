"""The same command again: what is skipped, continued, refused and done anew."""

import dataclasses
import json
import shutil
import sys

import pytest
from filelock import FileLock

from theta0.continuation import differing
from theta0.index import Entry
from theta0.sweep.progress import told

SHORT = (
    "trainer.max_epochs=1", "study=s", "model.widths=[16]", "trainer.limit_train_batches=2",
)  # fmt: skip


def edit(ran, result, **changes):
    """Change a run's result.json as if an earlier start had left it so."""
    path = ran.folder(result) / "result.json"
    content = json.loads(path.read_text())
    for key, value in changes.items():
        node = content
        *parents, last = key.split("__")
        for parent in parents:
            node = node[parent]
        node[last] = value
    path.write_text(json.dumps(content))


def again(in_process, ran, *words):
    """The command once more; (what it printed, the run, whether result.json was written)."""
    path = ran.folder(ran.one()) / "result.json"
    before = path.stat().st_mtime_ns
    second = in_process(ran.here, *SHORT, *words)
    return second, path.exists() and path.stat().st_mtime_ns != before


@pytest.fixture(scope="module")
def finished(in_process, tmp_path_factory):
    return in_process(tmp_path_factory.mktemp("finished"), *SHORT)


@pytest.fixture
def ran(finished, tmp_path):
    """The finished run in a folder of the test's own."""
    shutil.copytree(finished.here / "logs", tmp_path / "logs")
    return dataclasses.replace(finished, here=tmp_path)


def replaced(ran):
    return sorted(path.name for path in ran.here.glob("logs/s/.replaced/*"))


def test_a_finished_run_is_left(in_process, ran):
    second, written = again(in_process, ran)
    assert not written
    assert "done already" in second.out
    assert second.returned == ran.returned


def test_all_is_done_anew_and_the_old_one_kept(in_process, ran):
    old = ran.one()
    second, written = again(in_process, ran, "rerun=all")
    assert written
    assert second.one().hashes == old.hashes
    (folder,) = ran.here.glob("logs/s/.replaced/*")
    assert json.loads((folder / "result.json").read_text())["status"] == "done"
    assert (folder / "checkpoints" / "best.ckpt").exists()


@pytest.mark.parametrize(
    ("status", "rerun", "expected"),
    [
        ("failed", None, "left"),
        ("failed", "diverged", "left"),
        ("failed", "failed", "continued"),
        ("diverged", None, "left"),
        ("diverged", "failed", "left"),
        ("diverged", "diverged", "anew"),
        ("interrupted", None, "continued"),
        ("running", None, "continued"),
    ],
)
def test_what_rerun_says_of_a_status(in_process, ran, status, rerun, expected):
    edit(ran, ran.one(), status=status)
    words = () if rerun is None else (f"rerun={rerun}",)
    second, written = again(in_process, ran, *words)
    assert written == (expected != "left")
    assert bool(replaced(ran)) == (expected == "anew")
    word = {"left": f"{status} already", "continued": "continued", "anew": "started"}[expected]
    assert word in second.out
    assert second.code == (1 if (status, expected) == ("failed", "left") else 0)


def test_time_adds_up_over_continuations(in_process, ran):
    edit(ran, ran.one(), status="interrupted", cost__wall_seconds=1000.0)
    second, _ = again(in_process, ran)
    assert 1000 < second.one().cost.wall_seconds < 1100


def test_other_data_is_refused_in_a_line(in_process, ran):
    edit(ran, ran.one(), hashes__data="0" * 64)
    second, written = again(in_process, ran)
    assert (second.code, written) == (2, False)
    assert second.err.count("\n") == 1
    assert "the data is not what the run in study s was done with; rerun=changed" in second.err
    third, written = again(in_process, ran, "rerun=changed")
    assert (third.code, written, len(replaced(ran))) == (0, True, 1)


def test_the_same_words_for_another_run_are_refused(in_process, ran):
    """As where a default has changed since: the hash is another, the words are not."""
    old = ran.one()
    folder = ran.folder(old)
    name = folder.name[:-10] + "0" * 10
    edit(ran, old, run=name, config_hash="0" * 64, config__optimizer__lr=0.5)
    folder.rename(folder.with_name(name))
    second = in_process(ran.here, *SHORT)
    assert second.code == 2
    assert second.err.count("\n") == 1
    assert f"study s holds {name}, of the same words: optimizer.lr was 0.5 and is 0.001" in (
        second.err
    )
    third = in_process(ran.here, *SHORT, "rerun=changed")
    assert third.code == 0, third.err
    assert [result.run for result in third.results("s")] == [old.run]
    assert [path.rpartition(".20")[0] for path in replaced(ran)] == [name]


def test_a_run_that_failed_in_its_set_up_is_replaced_by_the_corrected_one(in_process, ran):
    """No training is lost, so that nobody has to be asked."""
    old = ran.one()
    folder = ran.folder(old)
    name = folder.name[:-10] + "0" * 10
    failed = {"status": "failed", "cost": None, "run": name, "config_hash": "0" * 64}
    edit(ran, old, **failed, config__optimizer__lr=[], config__data___target_="")
    folder.rename(folder.with_name(name))
    second = in_process(ran.here, *SHORT)
    assert second.code == 0, second.err
    assert f"{old.run}  replaces {name}, which failed before it trained" in second.out
    assert [result.run for result in second.results("s")] == [old.run]
    assert [path.rpartition(".20")[0] for path in replaced(ran)] == [name]


def test_values_that_differ_are_shown_as_they_are_typed():
    then, now = {"a": [1, ""], "b": None, "c": True}, {"a": "", "b": "", "c": False}
    assert list(differing(then, now)) == [
        ("a", "[1,'']", "''"), ("b", "null", "''"), ("c", "true", "false"),
    ]  # fmt: skip


def test_other_words_may_stand_beside(in_process, ran):
    assert in_process(ran.here, *SHORT, "optimizer.lr=0.01").code == 0
    assert len(ran.results("s")) == 2


def test_a_run_that_another_process_does_is_left_to_it(in_process, ran):
    edit(ran, ran.one(), status="running")
    with FileLock(ran.folder(ran.one()) / ".lock"):
        second, written = again(in_process, ran)
    assert not written
    assert "is being done by another process" in second.out
    third, written = again(in_process, ran)
    assert written
    assert third.one().status == "done"


def test_a_lock_file_alone_means_nothing(in_process, ran):
    assert (ran.folder(ran.one()) / ".lock").exists() or sys.platform == "win32"
    edit(ran, ran.one(), status="interrupted")
    assert again(in_process, ran)[1]


def test_a_sweep_tells_what_it_has_done(in_process, tmp_path):
    first = in_process(tmp_path, "-m", *SHORT, "seed=0,1,2")
    assert "\n3 new\n" in first.out
    edit(first, first.results("s")[0], status="interrupted")
    edit(first, first.results("s")[1], status="failed")
    second = in_process(tmp_path, "-m", *SHORT, "seed=0,1,2,3")
    assert "\n1 done, 1 continued, 1 new, 1 left as they were\n" in second.out


def test_what_is_told_of_no_runs():
    assert told({"gone": Entry("gone", "", "done", "0")}, {}) == "no runs"
