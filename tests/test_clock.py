"""A clock that is set back, or stands still: what is done, and where, does not depend on it."""

import os
import time
from datetime import datetime

import pytest

import theta0.identity
from theta0.callbacks.checkpoint import Checkpoint

SHORT = ("trainer.max_epochs=2", "model.widths=[16]")
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456)


@pytest.fixture
def back(monkeypatch):
    """Each look at the clock finds it an hour earlier."""
    now = [NOON.timestamp()]

    def earlier() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", earlier)


@pytest.fixture
def still(monkeypatch):
    """Names that are made of the time are made of the same one."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return NOON

    monkeypatch.setattr(theta0.identity, "datetime", Clock)


@pytest.mark.slow
def test_a_sweep_under_a_clock_that_runs_backwards(in_process, tmp_path, back, monkeypatch):
    saved = []
    save = Checkpoint._save
    monkeypatch.setattr(Checkpoint, "_save", lambda *a, **b: (saved.append(1), save(*a, **b)))
    words = ("-m", *SHORT, "study=s", "seed=0,1", "checkpoint.every_n_seconds=0.001")
    first = in_process(tmp_path, *words)
    assert first.code == 0, first.err
    assert len(saved) > 2 * 2 + 10  # the ends of epochs, and in between
    for result in first.results("s"):
        assert result.status == "done"
        assert 0 < result.cost.step_seconds < result.cost.fit_seconds < result.cost.wall_seconds
    for path in tmp_path.rglob("*"):  # as if written tomorrow, and never again
        os.utime(path, (2**31, 2**31))
    again = in_process(tmp_path, *words)
    assert "\n2 done\n" in again.out
    anew = in_process(tmp_path, *words, "rerun=all")
    assert "\n2 done again\n" in anew.out
    assert [r.hashes for r in anew.results("s")] == [r.hashes for r in first.results("s")]


def test_two_studies_of_the_same_moment(in_process, tmp_path, still):
    for _ in range(3):
        assert in_process(tmp_path, *SHORT, "train=false").code == 0
    name = "2026-03-01_12-00-00.123456"
    found = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert found == [name, f"{name}-2", f"{name}-3"]


def test_what_is_replaced_twice_in_a_moment_is_kept_twice(in_process, tmp_path, still):
    words = (*SHORT, "train=false", "study=s")
    name = in_process(tmp_path, *words).one("s").run
    for _ in range(2):
        assert in_process(tmp_path, *words, "rerun=all").code == 0
    kept = sorted(tmp_path.glob("logs/s/.replaced/*/result.json"))
    stamp = f"{name}.2026-03-01_12-00-00.123456"
    assert [path.parent.name for path in kept] == [stamp, f"{stamp}-2"]
