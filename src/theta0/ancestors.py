"""Processes that end soon after the one that started them has died, however it died.

A process cannot clean up when it gets SIGKILL, and torchrun's workers have sessions of their own,
which no signal to a group reaches. So every process that theta0 starts watches those above it.
"""

import os
import select
import signal
import threading
import time

NAME = "THETA0_ANCESTORS"
"""The environment variable with the pids of the processes above."""

PATIENCE = 4.0
"""Seconds in which a process may end in order before it is killed."""

POLL = 0.5
"""Seconds between two looks, where the system does not tell of a process's end."""


def named() -> dict[str, str]:
    """What to set in the environment of a process that is to end with this one."""
    above = os.environ.get(NAME)
    return {NAME: f"{above},{os.getpid()}" if above else str(os.getpid())}


def end_with_ancestors(in_order: bool = True) -> None:
    """End this process when any of those that the environment names has died; see `end_with`."""
    for pid in filter(None, os.environ.get(NAME, "").split(",")):
        if int(pid) != os.getpid():
            end_with(int(pid), in_order)


def end_with_those_in(environment: dict[str, str]) -> None:
    """The same for a process that could not be started with what `named` has given; once."""
    if not os.environ.items() >= environment.items():
        os.environ.update(environment)
        end_with_ancestors()


def end_with(pid: int, in_order: bool = True) -> None:
    """End this process when process `pid` has died: as SIGTERM does, and after PATIENCE by SIGKILL.

    With `in_order` false there is nothing to unwind, and it is killed at once.
    """

    def watch() -> None:
        _wait_for_the_end_of(pid)
        if in_order:
            # A timer of the system's: when the interpreter is being taken down no thread runs.
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(PATIENCE)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name=f"ends with {pid}", daemon=True).start()


def _wait_for_the_end_of(pid: int) -> None:
    """Linux tells of the end of any process, also of one that nobody has waited for yet."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # another system, or an old kernel
        while _is_there(pid):
            time.sleep(POLL)
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()


def _is_there(pid: int) -> bool:
    """A parent that has died is one no longer; of others the number is asked for."""
    if pid == _parent:
        return os.getppid() == pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


_parent = os.getppid()
