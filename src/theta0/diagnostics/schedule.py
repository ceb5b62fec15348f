"""After which optimizer steps to measure."""

Schedule = int | str
"""Every so many steps; "log": after 1, 2, 5, 10, 20, 50, ... steps; "start": at θ₀ alone."""


def check_schedule(schedule: Schedule) -> None:
    """Raise a ValueError, one line, unless it is a schedule."""
    if schedule not in ("log", "start") and not (isinstance(schedule, int) and schedule >= 1):
        raise ValueError(f"schedule={schedule!r}: allowed are log, start or a number of steps >= 1")


def due(schedule: Schedule, step: int) -> bool:
    """Whether to measure after `step` optimizer steps; always after 0, that is at θ₀."""
    if step == 0:
        return True
    if schedule == "start":
        return False
    if schedule == "log":
        return str(step).rstrip("0") in ("1", "2", "5")
    assert isinstance(schedule, int)
    return step % schedule == 0
