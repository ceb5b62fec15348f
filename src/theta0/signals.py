"""A program that is told to stop stops in order: what it does is `interrupted`, and it ends."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from types import FrameType

STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C; and what clusters send at the end of a lease or a queue's limit, or some time before."""

STOPPED = {128 + number: signal.Signals(number).name for number in STOP}
"""Exit codes 130, 143 and 138, by shells' convention, and the signal that each tells of."""

PATIENCE = 10.0
"""Seconds after a signal in which another one does not cut the end short."""


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Inside, each signal of STOP raises SystemExit with its exit code: whatever is being done is
    unwound.

    KeyboardInterrupt, which Ctrl-C raises by itself, Lightning would turn into exit code 1. In a
    thread that is not the main one Python has no say over signals, and nothing is changed; nor is
    the handler of a scheduler that has one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    told = float("-inf")

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if time.monotonic() - told > PATIENCE:
            told = time.monotonic()
            raise SystemExit(128 + number)

    free = (signal.SIG_DFL, signal.default_int_handler)
    numbers = [number for number in STOP if signal.getsignal(number) in free]
    with kept(numbers):
        for number in numbers:
            signal.signal(number, stop)
        yield


@contextlib.contextmanager
def kept(numbers: Iterable[int] = STOP) -> Iterator[None]:
    """What is done with these signals inside, by a library say, is undone at the end."""
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Processes that are started inside do not hear Ctrl-C and SIGUSR1, which are often sent to
    all at once; what comes for this process meanwhile, it gets at the end.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGUSR1))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
