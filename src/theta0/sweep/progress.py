"""What a command has done of a study: 12 done, 1 continued, 3 new."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from theta0.results import FINISHED, Result


class Stand(NamedTuple):
    """A run's status, and when its result.json was written, in nanoseconds."""

    status: str
    written: int


def snapshot(study: Path, results: Sequence[Result]) -> dict[str, Stand]:
    """Where each run of a study stands, by its name."""
    return {
        result.run: Stand(result.status, (study / result.run / "result.json").stat().st_mtime_ns)
        for result in results
    }


def told(before: dict[str, Stand], after: dict[str, Stand]) -> str:
    """The runs of a study in words: those that were done or failed before, and what became of the
    others."""
    counts: Counter[str] = Counter()
    for run, now in after.items():
        then = before.get(run)
        if then is None:
            counts["new"] += 1
        elif then == now:
            counts["done" if now.status in FINISHED else "left as they were"] += 1
        else:
            counts["done again" if then.status in FINISHED else "continued"] += 1
    order = ("done", "done again", "continued", "new", "left as they were")
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word]) or "no runs"
