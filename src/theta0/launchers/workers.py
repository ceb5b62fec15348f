"""Worker processes: each does one task after another, and one that dies takes no other along."""

import contextlib
import os
import signal
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Generic, Protocol, TypeVar

from joblib.externals.loky import ProcessPoolExecutor

from theta0.signals import unheard

Task = TypeVar("Task")
Done = TypeVar("Done")
_Task = TypeVar("_Task", contravariant=True)


class Work(Protocol[_Task, Done]):
    """What there is to do, such as the jobs of a `Sweep`; it can be pickled."""

    def do(self, task: _Task) -> Done:
        """One task, in a worker."""

    def accept(self, done: Done) -> Done:
        """What came of it, in this process. Raises what ends all."""

    def lost(self, task: _Task, reason: str) -> Done:
        """What came of a task that is given up."""


class Worker:
    """A process with an environment of its own, which its first task starts.

    A pool of joblib's with one process. In a common pool the death of one process ends the others
    too, and nobody knows which task was to blame.
    """

    pool: ProcessPoolExecutor | None = None

    def __init__(self, environment: dict[str, str], leash: Connection) -> None:
        self.environment, self.leash = environment, leash

    def start(self, do: Callable[[Any], Any], task: Any) -> "Future[Any]":
        """Hand over a task; in a new process, where there is none or the one before has died."""
        try:
            with unheard():
                if self.pool is None:
                    self.pool = ProcessPoolExecutor(
                        1, env=self.environment, initializer=_on_leash, initargs=(self.leash,)
                    )
                return self.pool.submit(do, task)
        except BrokenProcessPool:  # it died while it had nothing to do
            self.end()
            return self.start(do, task)

    def end(self) -> None:
        """Wait until the process has done what it does, and is gone."""
        if self.pool is not None:
            self.pool.shutdown()
            self.pool = None


class Workers(Generic[Task, Done]):
    """Workers that stay from one batch of tasks to the next, and end with this process.

    Args:
        work: of which the tasks are.
        environments: what to set in the environment of each worker.
        retries: how often a task is started again after its worker has died.
    """

    def __init__(
        self, work: Work[Task, Done], environments: Sequence[dict[str, str]], retries: int
    ) -> None:
        self.work, self.retries = work, retries
        # Nothing is ever written: the workers wait for its end, which also comes if we are killed.
        leash, self.leash = Pipe(duplex=False)
        self.all = [Worker(environment, leash) for environment in environments]

    def work_through(self, tasks: Sequence[Task]) -> list[Done]:
        """What came of each task, in their order.

        A task whose worker dies is done again, and given up for lost after so many times. What ends
        the sweep (a signal, here or to a worker; a refusal) ends the other tasks in order.
        """
        results: dict[Task, Done] = {}
        waiting, idle = deque(tasks), deque(self.all)
        busy: dict[Future[Done], tuple[Worker, Task]] = {}
        deaths: Counter[Task] = Counter()
        try:
            while waiting or busy:
                while waiting and idle:
                    worker, task = idle.popleft(), waiting.popleft()
                    busy[worker.start(self.work.do, task)] = worker, task
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    worker, task = busy.pop(future)
                    idle.appendleft(worker)  # before those that have not been started yet
                    try:
                        results[task] = self.work.accept(future.result())
                    except BrokenProcessPool as death:
                        worker.end()
                        deaths[task] += 1
                        if deaths[task] <= self.retries:
                            waiting.appendleft(task)
                        else:
                            reason = f"its process ended {deaths[task]} times: {_why(death)}"
                            results[task] = self.work.lost(task, reason)
        except BaseException:
            self.stop()
            raise
        return [results[task] for task in tasks]

    def stop(self) -> None:
        """Tell every worker to stop, as SIGTERM does, and wait until all are gone."""
        self.leash.close()
        for worker in self.all:
            worker.end()


def _why(death: BrokenProcessPool) -> str:
    """joblib hands on what a worker could say, and tells in a paragraph that it could not."""
    told = str(death.__cause__ or "").strip('" \n').splitlines()
    return told[-1] if told else "killed, for want of memory perhaps, or crashed"


def _on_leash(leash: Connection) -> None:
    """In a worker, from its start: it stops when its sweep's process says so, or dies."""
    threading.Thread(target=_stop_with, args=(leash,), daemon=True).start()


def _stop_with(leash: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        leash.recv_bytes()
    while True:  # the first one ends the run in order, another one the idle process
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)


# joblib replaces a process whose memory has grown, and says so; a larger data set is no leak.
warnings.filterwarnings("ignore", "A worker stopped while some jobs", module="joblib")
