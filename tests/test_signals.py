"""Ctrl-C, SIGTERM and SIGUSR1: the run says so, the sweep stops, and continues to the same end."""

import csv
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import until, until_gone

import theta0.run
from theta0.signals import STOP, kept, stoppable, unheard

ROOT = Path(__file__).parents[1]
WORDS = ("data=digits", "trainer=cpu", "logger=none", "study=s", "trainer.max_epochs=12")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 138, marks=pytest.mark.slow),
    ],
    ids=["int", "term", "usr1"],
)
def test_a_sweep_stops_in_order_and_continues(start, wait, in_process, tmp_path, number, code):
    process = start(tmp_path, "-m", *WORDS, "seed=0,1")
    until(lambda: list(tmp_path.glob("logs/s/*/checkpoints/last.ckpt")))
    process.send_signal(number)
    ran = wait(tmp_path, process)
    assert ran.code == code
    assert ran.err == f"theta0: stopped by {number.name}\n"
    (first,) = ran.results("s")  # the second was never started
    assert first.status == "interrupted"
    for line in (
        "1 new",
        f"unfinished: {first.run}: interrupted",
        "not started: seed=1",
        f"continue with: python {ROOT}/src/train.py -m study=s",
    ):
        assert f"\n{line}\n" in ran.out
    (row,) = csv.DictReader((tmp_path / "logs" / "s" / "results.csv").open())
    assert (row["run"], row["status"]) == (first.run, "interrupted")
    assert not (tmp_path / "logs" / "s" / "report").exists()
    again = in_process(
        tmp_path, "-m", "study=s", program=str(ROOT / "src" / "train.py"), report=True
    )
    assert again.code == 0
    assert [result.status for result in again.results("s")] == ["done"] * 2
    assert "1 continued, 1 new" in again.out
    assert "unfinished" not in again.out
    assert (tmp_path / "logs" / "s" / "report" / "finding.md").exists()
    whole = in_process(tmp_path / "whole", *WORDS, "seed=0").one()
    assert again.results("s")[0].hashes == whole.hashes


@pytest.mark.parametrize("number", STOP)
def test_a_run_says_how_it_is_continued(in_process, tmp_path, monkeypatch, number):
    """By its study, which no one has typed."""
    monkeypatch.setattr(theta0.run, "train", lambda *_: signal.raise_signal(number))
    ran = in_process(tmp_path, "paths.log_dir=logs")
    assert ran.code == 128 + number
    assert ran.err == f"theta0: stopped by {number.name}\n"
    result = ran.one()
    assert result.status == "interrupted"
    assert f" study={result.study} paths.log_dir=logs\n" in ran.out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_several_processes_are_told_to_stop_too(start, wait, tmp_path, family):
    words = ("data=digits", "trainer=ddp_cpu", "logger=none", "study=s", "trainer.max_epochs=2000")
    process = start(tmp_path, *words, env=family.env)
    until(lambda: list(tmp_path.glob("logs/s/*/checkpoints/last.ckpt")))
    processes = family()
    assert len(processes) >= 3
    process.send_signal(signal.SIGTERM)
    ran = wait(tmp_path, process)
    assert ran.code == 143
    assert ran.one("s").status == "interrupted"
    until_gone(processes)
    assert not family()


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in STOP]
    with pytest.raises(SystemExit) as stopped, stoppable():
        signal.raise_signal(signal.SIGUSR1)
    assert stopped.value.code == 138
    assert [signal.getsignal(number) for number in STOP] == before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with stoppable():
            signal.raise_signal(signal.SIGUSR1)
    finally:
        assert signal.signal(signal.SIGUSR1, before) == signal.SIG_IGN


def test_a_second_signal_does_not_cut_the_end_short(monkeypatch):
    """Not at once; but who has waited for long is heard again."""
    unwound = []
    with pytest.raises(SystemExit) as stopped, stoppable():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGUSR1)
            unwound.append(True)
            monkeypatch.setattr("theta0.signals.PATIENCE", 0.0)
            signal.raise_signal(signal.SIGUSR1)
            unwound.append(True)
    assert stopped.value.code == 138
    assert unwound == [True]


def test_a_library_s_handlers_are_undone():
    with stoppable():
        before = [signal.getsignal(number) for number in STOP]
        with kept():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert [signal.getsignal(number) for number in STOP] == before


def test_processes_started_unheard_do_not_hear_and_we_hear_later():
    script = "import signal; signal.raise_signal(signal.SIGUSR1); print('well')"
    with pytest.raises(SystemExit) as stopped, stoppable():
        with unheard():
            signal.raise_signal(signal.SIGUSR1)
            ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
            assert ran.stdout == "well\n"
        pytest.fail("the signal is lost")
    assert stopped.value.code == 138
