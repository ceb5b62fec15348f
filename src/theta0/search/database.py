"""A search's database: Optuna's study in the folder of ours, shared by any number of processes."""

import contextlib
import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from theta0.continuation import differing, locked
from theta0.errors import ConfigError, first_line
from theta0.identity import identity_of
from theta0.names import is_plain_name, is_process_name
from theta0.objective import counted
from theta0.results import Result
from theta0.search import repeats
from theta0.search.samplers import Planner

FILE = "optuna.db"
LOCKS = ".search"
"""Folder of one lock a process, held while it lives, and one for the asking of trials."""

DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
SEARCH = "search"
"""Optuna's user attribute of the study: what is searched."""
OWNER, AGAIN, UNTUNED, HASH, RUN = "owner", "again", "untuned", "config_hash", "run"
RUNS = "runs"
"""Those of a trial: the process that has it, the number of a failed one that it repeats, that it is
an optimizer's default, and the config_hash and name of its run: of the first of its repeats, where
there are several, and the names of all of them."""


class Asked(NamedTuple):
    """A trial that is this process' to see done, and the overrides of its parameters."""

    trial: Trial
    words: list[str]

    def identify(self, config_hash: str, *runs: str) -> None:
        """Note its runs, for one to find its trial and for us to find their results.

        `config_hash` is that of the first.
        """
        self.trial.set_user_attr(HASH, config_hash)
        self.trial.set_user_attr(RUN, runs[0])
        if len(runs) > 1:
            self.trial.set_user_attr(RUNS, runs)


def runs_of(trial: Trial | FrozenTrial) -> list[str]:
    """The names of a trial's runs, its repeats; [] before they are known."""
    notes = trial.user_attrs
    return list(notes.get(RUNS) or ([notes[RUN]] if RUN in notes else []))


def storage(folder: Path) -> optuna.storages.RDBStorage:
    """Of the study in a folder; while another process writes this one waits, up to a minute."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    patience = {"connect_args": {"timeout": 60}}
    return optuna.storages.RDBStorage(f"sqlite:///{folder / FILE}", engine_kwargs=patience)


class Database:
    """Asks for trials until there are as many as planned, and tells what became of them.

    A trial belongs to the process whose name it bears. Each holds a lock of the operating system
    by its name, freed when it dies: a running trial whose lock is free is an orphan, which the next
    process to ask gets, with the parameters that it has. Trials are asked for under one lock, so
    that there are never more than planned.

    Args:
        folder: of the study.
        planner: of the search.
        aims: min or max for each metric that is searched by.
        plain: the resolved configuration of a run. `rerun: failed` there: trials that have failed
            before are done once more.

    Raises:
        ConfigError: the folder's database is of another search, or none, or names what is not a
            name.
    """

    def __init__(
        self,
        folder: Path,
        planner: Planner,
        aims: Mapping[str, str],
        plain: dict[str, Any],
    ) -> None:
        self.folder, self.planner, self.aims = folder, planner, aims
        self.batch_size = planner.options.batch_size
        self.name = uuid.uuid4().hex
        (folder / LOCKS).mkdir(parents=True, exist_ok=True)
        self.asking = FileLock(folder / LOCKS / "asking")
        search = {"space": planner.space.described(), "objectives": dict(aims)}
        search["config"] = identity_of(plain)
        if planner.space.repeats:
            search["repeats"] = {
                key: " ".join(sorted(w)) for key, w in planner.space.repeats.items()
            }
        with self.asking:
            self.study = self._open(search)
        failed = (TrialState.FAIL,)
        self.again = self.study.get_trials(deepcopy=False, states=failed) if plain["rerun"] else []

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Inside, the trials that this process asks for are its own."""
        lock = FileLock(self.folder / LOCKS / self.name)
        try:
            with lock:
                yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)

    def ask(self) -> list[Asked]:
        """The next trials to be done side by side; none where all are done or in other hands.

        Orphans first, then what is to be done again, then new ones up to a multiple of
        `batch_size`: an interrupted search has the same batches as one that was not.

        Raises OSError where the database cannot be written, as `tell` does.
        """
        batch: list[Asked] = []
        with self.asking, self._on_disk():
            while len(batch) < self.batch_size and (asked := self._next(first=not batch)):
                batch.append(asked)
        return batch

    def tell(self, asked: Asked) -> bool:
        """What became of a trial's runs, once no process has one any more; whether all left a
        result. The value of several is their mean.

        What diverged counts as infinitely bad: Optuna's samplers take that as it is, and look
        elsewhere next, which they would not do if it had failed. What was interrupted is told
        nothing of, and left to the process that asks next.
        """
        results = [_outcome(self.folder / run) for run in runs_of(asked.trial)] or [None]
        end = repeats.status(results)
        with self._on_disk():
            if end in (None, "failed"):
                self.study.tell(asked.trial, state=TrialState.FAIL)
            elif end == "pruned":
                self.study.tell(asked.trial, state=TrialState.PRUNED)
            elif end == "done":
                values = [values_of(result, self.aims) for result in results if result]
                self.study.tell(asked.trial, repeats.mean(values))
        return end is not None

    @contextlib.contextmanager
    def _on_disk(self) -> Iterator[None]:
        """An error of the database is one of the disk: it is full, say."""
        try:
            yield
        except (SQLAlchemyError, StorageInternalError) as error:
            raise OSError(f"{self.folder / FILE}: {first_line(error)}") from error

    def _next(self, first: bool) -> Asked | None:
        """The next trial; `first`: of the batch."""
        trials = self.study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state == TrialState.RUNNING and self._is_orphan(trial):
                return self._take(trial, _places(trials[: trial.number]))
            if trial.state == TrialState.WAITING:  # its process died before it could have it
                return self._take(None, _places(trials[: trial.number]))
        place = _places(trials)
        done_again = {trial.user_attrs.get(AGAIN) for trial in trials}
        left = (trial for trial in self.again if trial.number not in done_again)
        if failed := next(left, None):
            self.study.enqueue_trial(failed.params, {AGAIN: failed.number})
        elif place >= self.planner.total or not (first or place % self.batch_size):
            return None
        elif plan := self.planner.plan(place):
            default = place < len(self.planner.defaults)
            self.study.enqueue_trial(plan, {UNTUNED: True} if default else None)
        return self._take(None, place)

    def _take(self, orphan: FrozenTrial | None, place: int) -> Asked:
        """An orphan, or else what waits, or else a new trial, made this process' own."""
        self.study.sampler = self.planner.sampler(place)
        trial = Trial(self.study, orphan._trial_id) if orphan else self.study.ask()
        trial.set_user_attr(OWNER, self.name)
        try:
            return Asked(trial, self.planner.space.suggest(trial))
        except ValueError as error:  # Optuna's, of parameters that the search does not have
            raise self._strange(trial.number, first_line(error)) from None

    def _refuse_strange(self, trials: Sequence[FrozenTrial]) -> None:
        """A database may be another person's: what becomes a path, or a point, has to be one."""
        tests: dict[str, Callable[[Any], bool]] = {
            OWNER: is_process_name,
            RUN: is_plain_name,
            RUNS: lambda value: isinstance(value, list) and all(map(is_plain_name, value)),
            HASH: lambda value: isinstance(value, str),
            AGAIN: lambda value: isinstance(value, int),
            "x_for_tell": _is_point,
        }
        for trial in trials:
            notes = {**trial.system_attrs, **trial.user_attrs}
            for name, test in tests.items():
                if name in notes and not test(notes[name]):
                    raise self._strange(trial.number, f"{name}={notes[name]!r} is none")

    def _strange(self, trial: int, what: str) -> ConfigError:
        return ConfigError(f"{self.folder / FILE}: cannot be read: trial {trial}: {what}")

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        owner = trial.user_attrs.get(OWNER)
        if owner is None:  # died between two writes
            return True
        if owner == self.name:
            return False
        lock = FileLock(self.folder / LOCKS / owner, timeout=0)
        try:
            with lock:
                pass
        except Timeout:
            return False
        Path(lock.lock_file).unlink(missing_ok=True)
        return True

    def _open(self, search: dict[str, Any]) -> optuna.Study:
        path = self.folder / FILE
        try:
            opened = storage(self.folder)
            (name,) = optuna.get_all_study_names(opened) or [self.folder.name]
            study = optuna.create_study(
                storage=opened,
                study_name=name,
                directions=[DIRECTIONS[mode] for mode in self.aims.values()],
                load_if_exists=True,
            )
        except (SQLAlchemyError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"{path}: cannot be read as a search's: {first_line(error)}"
            ) from error
        then = study.user_attrs.get(SEARCH)
        trials = study.get_trials(deepcopy=False)
        self._refuse_strange(trials)
        if then is None and not trials:
            study.set_user_attr(SEARCH, search)
        elif change := next(differing(then, search), None):
            what, was, now = change
            raise ConfigError(
                f"study={self.folder.name}: holds another search: {what} was {was} and is {now};"
                " study=... begins one beside it"
            )
        return study


def values_of(result: Result, aims: Mapping[str, str]) -> list[float]:
    """What a run reached, for each metric that is searched by; infinitely bad where it is not
    known or not finite, and where it diverged."""
    values = []
    for metric, mode in aims.items():
        part, _, key = metric.partition(".")
        value = getattr(result.cost, key) if part == "cost" else result.metrics.get(metric)
        values.append(counted(None if result.status == "diverged" else value, mode))
    return values


def _outcome(folder: Path) -> Result | None:
    """A run's result, once no other process has the run; None where it never began."""
    if not folder.is_dir():
        return None
    with locked(folder, wait=True):
        try:
            return Result.read(folder)
        except ValueError:
            return None


def standing(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count: without those that failed and were done again."""
    replaced = {trial.user_attrs.get(AGAIN) for trial in trials}
    return [trial for trial in trials if trial.number not in replaced]


def _is_point(value: Any) -> bool:
    """Whether it is a list of finite numbers."""
    return isinstance(value, list) and all(
        isinstance(number, (int, float)) and math.isfinite(number) for number in value
    )


def _places(trials: Sequence[FrozenTrial]) -> int:
    """How many places of a search are taken: one done again has its predecessor's."""
    return sum(AGAIN not in trial.user_attrs for trial in trials)
