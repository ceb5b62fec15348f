"""`hydra/sweeper=optuna`: a search, whose trials are jobs of whatever launcher is chosen."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from theta0.errors import ConfigError

if TYPE_CHECKING:
    from theta0.search.database import Asked, Database

log = logging.getLogger("theta0")


class OptunaSweeper(Sweeper):
    """Options and their defaults are in configs/hydra/sweeper/optuna.yaml."""

    def __init__(self, **options: Any) -> None:
        plain = OmegaConf.to_container(OmegaConf.create(options))
        assert isinstance(plain, dict)
        self.options: dict[str, Any] = {str(key): value for key, value in plain.items()}
        self.repeats: list[list[str]] = [[]]  # the seeds of each run of a trial
        self.jobs: list[list[str]] = []  # of the batch under way
        self.launched = 0
        self.errors: list[BaseException] = []

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Do what is left of the search. Raises ConfigError before anything is on disk.

        A trial that cannot be composed, and one whose job ends without a result, has failed; once
        the search has ended the first such error ends the program.
        """
        from theta0.config import check_plugins
        from theta0.search.options import Options, refuse
        from theta0.search.repeats import product
        from theta0.search.space import read_space
        from theta0.sweep.axes import check_axes
        from theta0.sweep.compose import Composer

        check_plugins(self.config.hydra)
        self.compose = Composer.of(self.launcher, self.hydra_context.config_loader, self.config)
        options = Options(**self.options)
        space = read_space(self.compose, arguments, options)
        plain = check_axes(self.compose, space.words())
        aims = options.aims(plain)
        refuse(plain)
        options.check_repeats(plain, space.repeats)
        self.repeats = product(space.repeats)

        from theta0.search.database import Database
        from theta0.search.samplers import Planner
        from theta0.sweep.callback import ending_in_order
        from theta0.sweep.commands import record_command

        folder = Path(self.config.hydra.sweep.dir)
        database = Database(folder, Planner(space, options), aims, plain)
        record_command(self.config, multirun=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        end = ending_in_order(self.hydra_context, self.config, lambda: self.jobs)
        with end, database.at_work():
            while asked := database.ask():
                self._see_done(asked, database)
        if self.errors:
            self.hydra_context.callbacks.on_multirun_end(self.config, config_name=None, jobs=[])
            raise self.errors[0]

    def _see_done(self, asked: "list[Asked]", database: "Database") -> None:
        """One batch, each trial on all of its seeds: trials that are the same run are one job."""
        runs: dict[str, list[str]] = {}
        for trial in asked:
            try:
                runs |= self._identify(trial)
            except (ConfigError, HydraException, OmegaConfBaseException) as error:
                self.errors.append(error)
        self.jobs = list(runs.values())
        for returned in self.launcher.launch(self.jobs, initial_job_idx=self.launched):
            if returned.status == JobStatus.FAILED:
                self.errors.append(returned._return_value)
        self.launched += len(self.jobs)
        for trial in asked:
            if not database.tell(trial) and not self.errors:
                self.errors.append(SystemExit(1))  # its process has said why

    def _identify(self, asked: "Asked") -> dict[str, list[str]]:
        """The overrides of the trial's runs by their names, which the database learns before they
        begin."""
        from theta0.config import check
        from theta0.identity import config_hash

        runs: dict[str, list[str]] = {}
        hashes = []
        for seeds in self.repeats:
            words = [*asked.words, *seeds]
            config = self.compose(words)
            check(config)  # of an interval only the ends have been looked at
            hashes.append(config_hash(config))
            runs[str(config.hydra.sweep.subdir)] = words
        asked.identify(hashes[0], *runs)
        return runs
