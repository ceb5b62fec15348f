"""Worker processes that die, are told to stop, or stay, with jobs that only say who did them."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus
from joblib.externals.loky.backend.process import LokyProcess
from waiting import until

from theta0.errors import ConfigError
from theta0.launchers.sweep import Job, Sweep
from theta0.launchers.workers import Workers
from theta0.signals import stoppable


def sweep(folder: Path, does):
    """A sweep whose jobs return `does(job, folder)`, done with what theta0 gives a worker."""

    class Fake:
        accept = Sweep.accept

        def do(self, job):
            with (folder / f"{job.number}.starts").open("a") as file:
                file.write("start\n")
            return JobReturn(status=JobStatus.COMPLETED, _return_value=does(job, folder))

        def lost(self, job, reason):
            return JobReturn(status=JobStatus.COMPLETED, _return_value=reason)

    return Fake()


@pytest.fixture
def done(tmp_path):
    """`done(does, number_of_jobs)`: what two workers return, and how often each job was started."""
    teams = []

    def done(does, jobs, environments=({}, {}), retries=2):
        teams.append(Workers(sweep(tmp_path, does), environments, retries))
        returned = teams[-1].work_through(Job.numbered([["a=1"]] * jobs, 0))
        starts = [(tmp_path / f"{n}.starts").read_text().count("start") for n in range(jobs)]
        return [each._return_value for each in returned], starts

    yield done
    for team in teams:
        team.stop()


def test_returns_come_in_the_order_of_the_jobs_and_workers_share_them(done):
    """The first job ends last: it waits for the other four, which its colleague does meanwhile."""

    def does(job, folder):
        if job.number == 0:
            until((folder / "4.starts").exists)
        return job.number, os.getpid(), os.environ["NAME"]

    returned, starts = done(does, 5, environments=[{"NAME": "one"}, {"NAME": "two"}])
    assert [number for number, _, _ in returned] == [0, 1, 2, 3, 4]
    assert starts == [1] * 5
    (_, pid, name), *others = returned
    assert {(other, its) for _, other, its in others[:3]} == {others[0][1:]}
    assert {name, others[0][2]} == {"one", "two"}
    assert len({pid, others[0][1], os.getpid()}) == 3


def test_a_worker_that_is_killed_takes_no_other_along(done):
    """Job 0 kills its process at its first start; job 1 sees that, and goes on where it is."""

    def does(job, folder):
        starts = folder / "0.starts"
        if job.number == 0 and starts.read_text() == "start\n":
            os.kill(os.getpid(), signal.SIGKILL)
        if job.number == 1:
            until(lambda: starts.exists() and starts.read_text().count("start") == 2)
        return job.number

    assert done(does, 3) == ([0, 1, 2], [2, 1, 1])


def test_a_job_that_kills_its_worker_each_time_is_given_up(done):
    def does(job, folder):
        if job.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return job.number

    returned, starts = done(does, 3, retries=1)
    assert starts == [1, 2, 1]
    assert returned[::2] == [0, 2]
    assert (
        returned[1] == "its process ended 2 times: killed, for want of memory perhaps, or crashed"
    )


def test_a_worker_that_dies_in_the_middle_of_its_answer_is_not_waited_for(done):
    """The answer is longer than a pipe holds; the first one ends after half of its bytes."""

    def does(job, folder):
        if (folder / "0.starts").read_text() == "start\n":

            def half(pipe, message, write=os.write):
                write(pipe.fileno(), bytes(message)[: len(message) // 2])
                os.kill(os.getpid(), signal.SIGKILL)

            Connection._send = half
        return bytes(100_000)

    assert done(does, 1) == ([bytes(100_000)], [2])


def test_a_process_that_dies_before_it_has_read_its_task_is_not_waited_for(tmp_path):
    long = Job(0, ("a=" + 1_000_000 * "1",))
    team = Workers(sweep(tmp_path, None), [{"PYTHONHOME": str(tmp_path)}], retries=1)
    (returned,) = team.work_through([long])
    assert returned._return_value.startswith("its process ended 2 times")


def test_what_a_task_raises_comes_with_its_traceback(done):
    def does(job, folder):
        raise ArithmeticError("no such number")

    with pytest.raises(ArithmeticError, match=r"^no such number\n[^$]*, in does\n"):
        done(does, 1)


def test_a_refusal_stops_the_others_in_order(done, tmp_path):
    def does(job, folder):
        if job.number == 1:
            until((folder / "busy").exists)
            return ConfigError("no such thing")
        with stoppable():
            try:
                (folder / "busy").touch()
                time.sleep(60)
            finally:
                (folder / "unwound").touch()

    before = multiprocessing.active_children()
    with pytest.raises(ConfigError, match=r"^no such thing$"):
        done(does, 3)
    assert (tmp_path / "unwound").exists()
    assert not (tmp_path / "2.starts").exists()
    assert multiprocessing.active_children() == before


def test_a_task_that_follows_at_once_is_stopped_in_order_too(done, tmp_path):
    """Job 2 arrives while its worker is still busy with the answer to job 0."""

    def does(job, folder):
        if job.number == 0:
            arrived = folder / "arrived"

            def noted(event, heard=threading.Event.set):
                heard(event)
                arrived.touch()

            def slowly(pipe, answer, send=Connection.send_bytes):
                send(pipe, answer)
                until(arrived.exists, 60)

            threading.Event.set = noted  # of a worker's "busy", at each task that arrives
            Connection.send_bytes = slowly
        if job.number == 1:
            until((folder / "busy").exists)
            return ConfigError("no such thing")
        if job.number == 2:
            with stoppable():
                (folder / "busy").touch()
                time.sleep(60)
                (folder / "not stopped").touch()

    with pytest.raises(ConfigError, match=r"^no such thing$"):
        done(does, 3)
    assert (tmp_path / "busy").exists()
    assert not (tmp_path / "not stopped").exists()


def test_a_worker_that_is_told_to_stop_ends_the_sweep(done, tmp_path):
    def does(job, folder):
        with stoppable():
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        done(does, 1)
    assert stopped.value.code == 143


def test_a_signal_while_a_worker_is_started_ends_the_sweep(done, monkeypatch):
    monkeypatch.setattr(LokyProcess, "start", lambda _: signal.raise_signal(signal.SIGTERM))
    with stoppable(), pytest.raises(SystemExit) as stopped:
        done(lambda job, folder: None, 1)
    assert stopped.value.code == 143


def test_workers_stay_from_batch_to_batch_and_are_replaced_if_they_die_between_two(tmp_path):
    team = Workers(sweep(tmp_path, lambda job, folder: os.getpid()), [{}, {}], retries=1)

    def batch(number):
        (returned,) = team.work_through(Job.numbered([[]], number))
        return returned._return_value

    first = batch(0)
    assert batch(1) == first
    os.kill(first, signal.SIGKILL)
    second = batch(2)
    assert second != first
    team.stop()
    for pid in (first, second):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
