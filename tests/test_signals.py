"""SIGTERM and SIGUSR1: the run says so, the sweep stops, and the same command ends it the same."""

import signal
import time

import pytest

from theta0.signals import stoppable

WORDS = ("data=digits", "trainer=cpu", "logger=none", "study=s", "trainer.max_epochs=30")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138)], ids=["term", "usr1"]
)
def test_a_sweep_stops_in_order_and_continues(start, wait, in_process, tmp_path, number, code):
    process = start(tmp_path, "-m", *WORDS, "seed=0,1")
    until(lambda: list(tmp_path.glob("logs/s/*/checkpoints/last.ckpt")))
    process.send_signal(number)
    ran = wait(tmp_path, process)
    assert ran.code == code
    assert "Traceback" not in ran.err
    (first,) = ran.results("s")  # the second was never started
    assert first.status == "interrupted"
    again = in_process(tmp_path, "-m", *WORDS, "seed=0,1")
    assert again.code == 0
    assert [result.status for result in again.results("s")] == ["done", "done"]
    assert "1 continued, 1 new" in again.out
    whole = in_process(tmp_path / "whole", *WORDS, "seed=0").one()
    assert again.results("s")[0].hashes == whole.hashes


@pytest.mark.slow
def test_several_processes_are_told_to_stop_too(start, wait, tmp_path):
    words = ("data=digits", "trainer=ddp_cpu", "logger=none", "study=s", "trainer.max_epochs=2000")
    process = start(tmp_path, *words)
    until(lambda: list(tmp_path.glob("logs/s/*/checkpoints/last.ckpt")))
    process.send_signal(signal.SIGTERM)
    ran = wait(tmp_path, process)
    assert ran.code == 143
    assert ran.one("s").status == "interrupted"
    written = (ran.folder(ran.one("s")) / "metrics.csv").stat().st_mtime_ns
    time.sleep(1)
    assert (ran.folder(ran.one("s")) / "metrics.csv").stat().st_mtime_ns == written


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
    with pytest.raises(SystemExit) as stopped, stoppable():
        signal.raise_signal(signal.SIGUSR1)
    assert stopped.value.code == 138
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)] == before


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
