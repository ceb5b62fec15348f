"""What is told at a sweep's end of runs that have not come to theirs."""

import json

import pytest
from filelock import FileLock

import theta0.report.make
import theta0.run
import theta0.sweep.progress
from theta0.errors import ConfigError
from theta0.results import Error, Result
from theta0.sweep.progress import not_started


def ending(status, **rest):
    """A run that takes no time and ends so."""

    def perform(folder, config, result):
        result = result.model_copy(update={"status": status, **rest})
        theta0.run.record(result, folder)
        return result

    return perform


done = ending("done")


@pytest.fixture
def sweep(in_process, tmp_path, monkeypatch):
    """A function: a sweep over seeds in study s, whose runs end as told."""

    def sweep(seeds, perform=done, report=False):
        monkeypatch.setattr(theta0.run, "perform", perform)
        return in_process(tmp_path, "-m", "study=s", f"seed={seeds}", report=report)

    return sweep


def leave(ran, seed, status):
    """Change a run's record as if an earlier command had left it so; returns its name."""
    (result,) = (r for r in ran.results("s") if r.seeds.init == seed)
    path = ran.folder(result) / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": status}))
    return result.run


def test_what_another_command_has_left_is_listed_and_no_failure(sweep):
    first = sweep("0,1,2")
    assert "unfinished" not in first.out
    killed, stopped = leave(first, 0, "running"), leave(first, 1, "interrupted")
    ran = sweep("2,3")
    assert f"\nunfinished: {killed}: killed\n" in ran.out
    assert f"\nunfinished: {stopped}: interrupted\n" in ran.out
    assert "-m study=s\n" in ran.out.partition("\ncontinue with: ")[2]
    assert ran.code == 0


def test_what_another_process_is_doing_is_listed_and_left_to_it(sweep):
    first = sweep("0,1")
    busy = leave(first, 0, "running")
    with FileLock(first.here / "logs" / "s" / busy / ".lock"):
        ran = sweep("0,1")
    assert f"\nunfinished: {busy}: another process is doing it\n" in ran.out
    assert "continue with" not in ran.out
    assert ran.code == 0


def test_what_was_begun_and_lost_is_a_failure(sweep):
    """As a launcher leaves a run whose process was killed too often."""
    error = Error(type="Lost", message="its process ended 3 times", traceback="")
    ran = sweep("0", ending("interrupted", error=error))
    assert f"\nunfinished: {ran.one('s').run}: its process ended 3 times\n" in ran.out
    assert ran.code == 1


def test_a_command_reads_each_run_once(sweep, monkeypatch):
    """At its end, for table and report together; before that a job looks for its own."""
    names = {run.seeds.init: run.run for run in sweep("range(4)").results("s")}
    opened = []
    read = Result.read
    monkeypatch.setattr(
        Result, "read", lambda folder: (opened.append(folder.name), read(folder))[1]
    )

    def make(*_):
        raise ConfigError("not made")

    monkeypatch.setattr(theta0.report.make, "make", make)
    ran = sweep("3,4", report=True)
    assert "\n4 done, 1 new\n" in ran.out and "no report: not made" in ran.out
    assert [opened.count(names[seed]) for seed in range(4)] == [1, 1, 1, 2]
    assert len(opened) == 1 + 1 + 1 + 2 + 2


def test_jobs_are_told_by_what_varies():
    jobs = [[f"seed={seed}", "init=he", "study=s"] for seed in range(14)]
    seen = [["init=he", "seed=0", "threads=2"]]
    lines = not_started(jobs, seen)
    assert lines == [f"not started: seed={seed}" for seed in range(1, 11)] + ["not started: 3 more"]
    assert not_started(jobs[:1], []) == ["not started: seed=0 init=he"]
    assert not_started([], seen) == []


def test_jobs_and_runs_are_not_compared_pair_by_pair(monkeypatch):
    compared = []

    class Words(dict):
        def __eq__(self, other):
            compared.append(other)
            return dict.__eq__(self, other)

    made = theta0.sweep.progress.run_overrides
    monkeypatch.setattr(theta0.sweep.progress, "run_overrides", lambda words: Words(made(words)))
    jobs = [[f"seed={seed}"] for seed in range(300)]
    assert len(not_started(jobs, jobs[:290])) == 10
    assert len(compared) <= len(jobs)
