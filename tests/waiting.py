"""Waiting for what other processes do: for a point that can be named, never for a time."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def until(happened: Callable[[], Any], seconds: float = 180) -> None:
    """Return once `happened()` is true. Raises AssertionError if it is not within the seconds."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.02)


def until_gone(pids: Iterable[int], seconds: float = 10) -> None:
    """Wait until none of the processes is left, but for those nobody has waited for."""
    pids = list(pids)
    until(lambda: not any(map(alive, pids)), seconds)


def alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
