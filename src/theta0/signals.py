"""A run that is told to stop stops in order: it is `interrupted`, and the program ends."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

STOP = (signal.SIGTERM, signal.SIGUSR1)
"""What clusters send: at the end of a lease or a queue's limit, and some time before."""


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Inside, SIGTERM and SIGUSR1 raise SystemExit with 128 + their number, 143 and 138.

    As Ctrl-C raises KeyboardInterrupt: whatever is being done is unwound. In a thread that is not
    the main one Python has no say over signals, and nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in STOP}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
