"""Points at which a process kills itself: what `forked` calls before it starts a program."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


def killed(
    function: Callable[..., Any],
    number: int,
    about: Callable[..., Any] = lambda *_: True,
    doing: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """`function`, but of the calls that `about` is true of the number-th one does `doing`, and
    SIGKILL ends the process."""
    calls = 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += bool(about(*arguments))
        if calls == number:
            if doing is not None:
                doing(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)

    return call


def half_of(name: str, number: int) -> Callable[[], None]:
    """On the disk is half of a file whose name begins so, which has not its final name yet."""

    def about(descriptor: int) -> bool:
        return Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(name)

    def halve(descriptor: int) -> None:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)

    def patch() -> None:
        os.fsync = killed(os.fsync, number, about, halve)

    return patch


def replacing(name: str, number: int, *, done: bool) -> Callable[[], None]:
    """The number-th file of this name is about to get it, or has just got it."""

    def patch() -> None:
        replace = os.replace
        os.replace = killed(
            replace, number, lambda _, to: Path(to).name == name, replace if done else None
        )

    return patch
