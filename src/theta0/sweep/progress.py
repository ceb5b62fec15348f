"""What a command has done of a study: 12 done, 1 continued, 3 new; and what is missing still."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from theta0.continuation import locked
from theta0.identity import run_overrides
from theta0.index import Entry
from theta0.results import FINISHED, Result

UNDER_WAY = "another process is doing it"


def told(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> str:
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


def unfinished(study: Path, results: Iterable[Result]) -> dict[str, str]:
    """How each run was left that was started and has not ended, by its name."""
    left = [result for result in results if result.status in ("running", "interrupted")]
    return {result.run: _how_left(study / result.run, result) for result in left}


def _how_left(folder: Path, result: Result) -> str:
    with locked(folder) as nobodys:
        if not nobodys:
            return UNDER_WAY
    if result.error is not None:  # only what was done for it elsewhere can tell of one
        return result.error.line
    return "killed" if result.status == "running" else result.status


def not_started(
    jobs: Sequence[Sequence[str]], seen: Iterable[Sequence[str]], most: int = 10
) -> list[str]:
    """A line for each job, up to so many, whose words are not among those of the ones seen."""
    started = {frozenset(run_overrides(list(words)).items()) for words in seen}
    said = [run_overrides(list(words)) for words in jobs]
    missing = [words for words in said if frozenset(words.items()) not in started]
    varied = [key for key in said[0] if len({words[key] for words in said}) > 1] if said else []
    lines = [
        "not started: " + " ".join(f"{key}={words[key]}" for key in varied or words)
        for words in missing[:most]
    ]
    return lines + ([f"not started: {len(missing) - most} more"] if len(missing) > most else [])
