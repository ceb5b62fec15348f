"""Searches without training: a space and a planner from what one types, results made by hand."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import optuna
import pytest
import sqlalchemy
from hydra.core.global_hydra import GlobalHydra

from theta0.identity import register_resolvers
from theta0.results import Cost, Result
from theta0.search.database import Asked, Database
from theta0.search.options import Options
from theta0.search.repeats import product
from theta0.search.samplers import Planner
from theta0.search.space import Space, read_space
from theta0.sweep.compose import Composer

CONFIGS = Path(__file__).parents[2] / "configs"
DEFAULTS: dict[str, Any] = {
    "sampler": "tpe", "n_trials": 32, "batch_size": 1, "seed": 0, "defaults_first": True,
    "balance": None, "objectives": None, "settings": None, "params": None,
}  # fmt: skip


@pytest.fixture(scope="session")
def space() -> Callable[..., Space]:
    """`space("optimizer=adam,sgd", ..., sampler="tpe")`: as `-m hydra/sweeper=optuna` reads it."""

    register_resolvers()
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = hydra.compose("train", return_hydra_config=True)
        loader = GlobalHydra.instance().config_loader()
    composer = Composer(loader, config)

    def space(*arguments: str, **options: Any) -> Space:
        return read_space(composer, arguments, Options(**DEFAULTS | options))

    space.composer = composer  # type: ignore[attr-defined]
    return space


@pytest.fixture(scope="session")
def planner(space: Callable[..., Space]) -> Callable[..., Planner]:
    """`planner("optimizer=adam,sgd", ..., n_trials=4)`; a space is read once."""
    spaces: dict[tuple[str, ...], Space] = {}

    def planner(*arguments: str, **options: Any) -> Planner:
        if arguments not in spaces:
            spaces[arguments] = space(*arguments)
        return Planner(spaces[arguments], Options(**DEFAULTS | options))

    return planner


@pytest.fixture(scope="session", autouse=True)
def unsynchronised() -> None:
    """Databases of tests need not outlive a loss of power."""

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")


class Search:
    """A study whose runs end as `value(words)` says: a number, or a status."""

    def __init__(self, folder: Path, planner: Planner, **changes: Any) -> None:
        self.folder, self.planner = folder, planner
        self.aims = changes.pop("aims", {"val/acc": "max"})
        self.plain = {"rerun": None, "seed": 0, **changes}
        self.number = itertools.count()
        folder.mkdir(exist_ok=True)

    def open(self) -> Database:
        self.database = Database(self.folder, self.planner, self.aims, self.plain)
        return self.database

    def end(self, asked: Asked, outcome: float | str | Callable[[list[str]], Any]) -> None:
        """Leave a result as each of the trial's runs would; `outcome` may depend on its words."""
        seeds = product(self.planner.space.repeats)
        names = [f"run{asked.trial.number}" + "".join(words) for words in seeds]
        asked.identify(f"{asked.trial.number:064}", *names)
        for run, words in zip(names, seeds, strict=True):
            known = outcome([*asked.words, *words]) if callable(outcome) else outcome
            self._leave(asked, run, known)

    def _leave(self, asked: Asked, run: str, outcome: float | str) -> None:
        (self.folder / run).mkdir(exist_ok=True)
        status = outcome if isinstance(outcome, str) else "done"
        value = None if isinstance(outcome, str) else outcome
        chosen = dict(word.split("=", 1) for word in asked.words)
        Result(
            status=status,
            run=run,
            study=self.folder.name,
            overrides=asked.words,
            choices={"optimizer": chosen.get("optimizer", "adamw"), "init": "he"},
            config={},
            config_hash=f"{asked.trial.number:064}",
            seeds={"split": 0, "init": 0, "order": 0, "noise": 0},
            objective={"metric": "val/acc", "mode": "max", "value": value},
            metrics={"val/acc": 0.5 if value is None else value},
            cost=Cost(
                steps=1, epochs=1, fit_seconds=1.0, wall_seconds=1.0, step_seconds=1.0,
                parameters=asked.trial.number, trained=1,
            ),
        ).write(self.folder / run)  # fmt: skip

    def go_on(self, value: Callable[[list[str]], float | str], batches: int = 1000) -> Database:
        """Ask, do and tell until there is nothing left, or for so many batches."""
        database = self.open()
        with database.at_work():
            for _ in range(batches):
                if not (batch := database.ask()):
                    break
                for asked in batch:
                    self.end(asked, value)
                for asked in batch:
                    database.tell(asked)
        return database

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return self.database.study.get_trials()


@pytest.fixture
def search(tmp_path: Path, planner: Callable[..., Planner]) -> Callable[..., Search]:
    """`search("optimizer=adam,sgd", ..., n_trials=4, folder="s")`."""

    def search(*arguments: str, folder: str = "s", **options: Any) -> Search:
        changes = {key: options.pop(key) for key in ("aims", "rerun") if key in options}
        return Search(tmp_path / folder, planner(*arguments, **options), **changes)

    return search
