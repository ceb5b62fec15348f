"""Worker processes: each does one job after another, and one that dies takes no other along."""

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

from hydra.core.utils import JobReturn
from joblib.externals.loky import ProcessPoolExecutor

from theta0.launchers.sweep import Job, Sweep, accepted
from theta0.signals import unheard


class Worker:
    """A process with an environment of its own, which its first job starts.

    A pool of joblib's with one process. In a common pool the death of one process ends the others
    too, and nobody knows which job was to blame.
    """

    pool: ProcessPoolExecutor | None = None

    def __init__(self, environment: dict[str, str], leash: Connection) -> None:
        self.environment, self.leash = environment, leash

    def start(self, do: Callable[[Job], JobReturn], job: Job) -> "Future[JobReturn]":
        """Hand over a job; in a new process, where there is none or the one before has died."""
        try:
            with unheard():
                if self.pool is None:
                    self.pool = ProcessPoolExecutor(
                        1, env=self.environment, initializer=_on_leash, initargs=(self.leash,)
                    )
                return self.pool.submit(do, job)
        except BrokenProcessPool:  # it died while it had nothing to do
            self.end()
            return self.start(do, job)

    def end(self) -> None:
        """Wait until the process has done what it does, and is gone."""
        if self.pool is not None:
            self.pool.shutdown()
            self.pool = None


class Workers:
    """Workers that stay from one batch of jobs to the next, and end with this process.

    Args:
        sweep: of the jobs.
        environments: what to set in the environment of each worker.
        retries: how often a job is started again after its worker has died.
    """

    def __init__(self, sweep: Sweep, environments: Sequence[dict[str, str]], retries: int) -> None:
        self.sweep, self.retries = sweep, retries
        # Nothing is ever written: the workers wait for its end, which also comes if we are killed.
        leash, self.leash = Pipe(duplex=False)
        self.all = [Worker(environment, leash) for environment in environments]

    def work_through(self, jobs: Sequence[Job]) -> list[JobReturn]:
        """What each job returned, in the order of the jobs.

        A job whose worker dies is done again, and given up for lost after so many times. What ends
        the sweep (a signal, here or to a worker; a refusal) ends the other jobs in order.
        """
        returned: dict[Job, JobReturn] = {}
        waiting, idle = deque(jobs), deque(self.all)
        busy: dict[Future[JobReturn], tuple[Worker, Job]] = {}
        deaths: Counter[Job] = Counter()
        try:
            while waiting or busy:
                while waiting and idle:
                    worker, job = idle.popleft(), waiting.popleft()
                    busy[worker.start(self.sweep.do, job)] = worker, job
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    worker, job = busy.pop(future)
                    idle.appendleft(worker)  # before those that have not been started yet
                    try:
                        returned[job] = accepted(future.result())
                    except BrokenProcessPool as death:
                        worker.end()
                        deaths[job] += 1
                        if deaths[job] <= self.retries:
                            waiting.appendleft(job)
                        else:
                            reason = f"its process ended {deaths[job]} times: {_why(death)}"
                            returned[job] = self.sweep.lost(job, reason)
        except BaseException:
            self.stop()
            raise
        return [returned[job] for job in jobs]

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
