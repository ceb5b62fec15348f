"""What an earlier start of a run means for this one: it is done, goes on, or begins anew."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from theta0.errors import ConfigError, shown
from theta0.identity import identity_of, run_overrides, time_as_name, unused
from theta0.index import index_of
from theta0.results import FINISHED, Result

log = logging.getLogger("theta0")

REPLACED = ".replaced"
"""Below a study's folder: runs that `rerun` has done anew, as they were."""

PROCESSES = ".processes.lock"
"""Locked by the first of a run's processes, where torchrun has started several: they may outlive
the program that holds the run's own lock."""

KEPT = (".hydra", ".lock", PROCESSES, "run.log")
"""What of a run's folder belongs to its present start."""


@contextlib.contextmanager
def locked(folder: Path, wait: bool = False, name: str = ".lock") -> Iterator[bool]:
    """Whether the run is ours; False where another process has it. `wait`: until it is ours.

    A lock of the operating system, freed when its owner dies: the file alone means nothing.
    """
    lock = FileLock(folder / name, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def go_on(
    folder: Path,
    new: Result,
    rerun: str | None,
    data: Callable[[], str | None],
    mine: bool = True,
) -> Result:
    """The run's result if there is nothing to do, else `new`, to be started or continued.

    A run that has finished is not done again, and one that failed only where `rerun` says so; any
    other continues from its last checkpoint, as does a pruned one that nothing prunes any more.
    `rerun`: "failed" continues what failed, "diverged" begins what diverged anew, "changed" what is
    not the same run any more, "all" everything. What is done anew stays in `.replaced`.

    Args:
        folder: of the run, in the folder of its study.
        new: the run as it would be started.
        rerun: see above.
        data: gives the sha256 of the data as it is now, None where that cannot be known; asked
            where it is on record what the run was done with.
        mine: whether this process may move files; of several that do a run together, one.

    Raises:
        ConfigError: the study holds this run with another configuration or other data.
    """
    try:
        earlier = Result.read(folder)
    except ValueError:  # none, or not readable: the last checkpoint, if any, is
        _replace_others(folder, new, rerun, mine)
        return new
    changed = False
    if earlier.hashes.data is not None:
        now = data()
        changed = now is not None and now != earlier.hashes.data
    if changed and rerun not in ("changed", "all"):
        raise ConfigError(
            f"{folder.name}: the data is not what the run in study {new.study} was done with;"
            " rerun=changed does it anew, another study=... beside it"
        )
    if changed or rerun == "all" or (rerun == earlier.status == "diverged"):
        if mine:
            set_aside(folder, KEPT)
        return new
    ended = earlier.status in FINISHED or (earlier.status == "failed" and rerun != "failed")
    if ended and not (earlier.status == "pruned" and new.config["pruning"] is None):
        return earlier
    new.hashes.data = earlier.hashes.data
    new.start = earlier.start
    if earlier.cost is not None:
        new.cost = earlier.cost  # what was spent counts on
    return new


def _replace_others(folder: Path, new: Result, rerun: str | None, mine: bool) -> None:
    """Runs of the study that were asked for in the same words, and were other runs."""
    prefix = f"{folder.name.rpartition('-')[0]}-"
    for name in index_of(folder.parent).same_words(new.overrides):
        there = folder.parent / name
        try:
            other = Result.read(there) if name.startswith(prefix) else new
        except ValueError:
            continue
        if (
            run_overrides(other.overrides) != run_overrides(new.overrides)
            or other.config_hash == new.config_hash
        ):
            continue
        if _never_trained(other):
            log.info("%s  replaces %s, which failed before it trained", new.run, other.run)
        elif rerun not in ("changed", "all"):
            what = next(differing(identity_of(other.config), identity_of(new.config)), None)
            told = f"{what[0]} was {what[1]} and is {what[2]}" if what else "defaults changed"
            raise ConfigError(
                f"{folder.name}: study {new.study} holds {other.run}, of the same words: {told};"
                " rerun=changed does it anew, another study=... beside it"
            )
        if mine:
            set_aside(there)


def _never_trained(result: Result) -> bool:
    """Whether a run failed in its set-up: nothing is lost if its configuration is corrected."""
    return result.status == "failed" and (result.cost is None or result.cost.steps == 0)


def set_aside(folder: Path, keep: tuple[str, ...] = ()) -> None:
    """Move a run's files, but for those to `keep`, to `.replaced/<run>.<time>` in its study.

    The record goes last: killed before, the same command finds what it has to replace.
    """
    target = unused(folder.parent / REPLACED / f"{folder.name}.{time_as_name()}")
    target.mkdir(parents=True)
    for path in sorted(folder.iterdir(), key=lambda path: path.name == "result.json"):
        if path.name not in keep:
            path.rename(target / path.name)
    if not keep:
        folder.rmdir()


def differing(then: Any, now: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """(name, then, now), as typed, of each entry in which two trees of dictionaries differ."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*then, *now]):
            yield from differing(then.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif then != now:
        yield name, shown(then), shown(now)
