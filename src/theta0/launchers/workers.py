"""Worker processes: each does one task after another, and one that dies takes no other along."""

import atexit
import contextlib
import os
import pickle
import queue
import signal
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Protocol, TypeVar

import cloudpickle
from joblib.externals.loky.backend.process import LokyProcess

from theta0.ancestors import end_with_ancestors, named
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


class Lost(Exception):
    """A worker is gone, and has not said what came of its task."""


class Worker:
    """A process with an environment of its own, which its first task starts.

    A process of joblib's, on a pipe of its own. In joblib's pools both sides hold both ends of the
    pipes, so nobody hears the end of a process that dies in the middle of a message: they wait for
    the rest for ever.
    """

    process: LokyProcess | None = None
    pipe: Connection

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def give(self, do: Callable[[Any], Any], task: Any) -> None:
        """Hand over a task; to a new process, where there is none or the one before has died."""
        if self.process is not None and not self.process.is_alive():
            self.end()
        if self.process is None:
            self.pipe, its_end = Pipe()
            environment = self.environment | named()
            self.process = LokyProcess(target=_serve, args=(its_end,), env=environment)
            with unheard():
                self.process.start()
            its_end.close()
        with contextlib.suppress(OSError):  # it has died since: `result` says so
            self.pipe.send_bytes(cloudpickle.dumps((do, task)))

    def result(self) -> Any:
        """What came of the task. Raises what the task has raised, or Lost."""
        try:
            answer = self.pipe.recv_bytes()
        except (EOFError, OSError):
            raise Lost("killed, for want of memory perhaps, or crashed") from None
        done, raised = pickle.loads(answer)
        if raised is not None:
            raise raised
        return done

    def stop(self) -> None:
        """Tell the process to stop, as SIGTERM does."""
        if self.process is not None:
            self.pipe.close()

    def end(self) -> None:
        """The same, and wait until it is gone."""
        self.stop()
        if self.process is not None:
            if self.process.pid is not None:  # else a signal came before it was started
                self.process.join()
            self.process = None


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
        self.all = [Worker(environment) for environment in environments]
        atexit.register(self.stop)  # before multiprocessing waits for them

    def work_through(self, tasks: Sequence[Task]) -> list[Done]:
        """What came of each task, in their order.

        A task whose worker dies is done again, and given up for lost after so many times. What ends
        the sweep (a signal, here or to a worker; a refusal) ends the other tasks in order.
        """
        results: dict[Task, Done] = {}
        waiting, idle = deque(tasks), deque(self.all)
        busy: dict[Any, tuple[Worker, Task]] = {}
        deaths: Counter[Task] = Counter()
        try:
            while waiting or busy:
                while waiting and idle:
                    worker, task = idle.popleft(), waiting.popleft()
                    worker.give(self.work.do, task)
                    busy[worker.pipe] = worker, task
                for pipe in wait(list(busy)):
                    worker, task = busy.pop(pipe)
                    idle.appendleft(worker)  # before those that have not been started yet
                    try:
                        results[task] = self.work.accept(worker.result())
                    except Lost as why:
                        worker.end()
                        deaths[task] += 1
                        if deaths[task] <= self.retries:
                            waiting.appendleft(task)
                        else:
                            reason = f"its process ended {deaths[task]} times: {why}"
                            results[task] = self.work.lost(task, reason)
        except BaseException:
            self.stop()
            raise
        return [results[task] for task in tasks]

    def stop(self) -> None:
        """Tell every worker to stop, as SIGTERM does, and wait until all are gone."""
        for worker in self.all:
            worker.stop()
        for worker in self.all:
            worker.end()


def _serve(pipe: Connection) -> None:
    """In a worker: a task after another, until its sweep's process says so, or dies."""
    end_with_ancestors()
    tasks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    busy = threading.Event()

    def listen() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                message = pipe.recv_bytes()
                busy.set()
                tasks.put(message)
        tasks.put(None)
        while busy.is_set():
            os.kill(os.getpid(), signal.SIGTERM)  # the task ends in order
            time.sleep(1)

    threading.Thread(target=listen, daemon=True).start()
    while (message := tasks.get()) is not None:
        answer = _answer(message)
        busy.clear()  # before the answer, on which the next task may follow at once
        with contextlib.suppress(OSError):  # nobody is there any more
            pipe.send_bytes(answer)


def _answer(message: bytes) -> bytes:
    """What came of the task in a message, or what was raised instead."""
    try:
        do, task = pickle.loads(message)
        return cloudpickle.dumps((do(task), None))
    except BaseException as raised:
        raised.add_note(traceback.format_exc())  # a traceback itself cannot be pickled
        return cloudpickle.dumps((None, raised))
