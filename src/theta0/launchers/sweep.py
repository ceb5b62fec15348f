"""A job of a sweep, in a process that never saw the command line: what all launchers share."""

import logging
import os
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from theta0.ancestors import end_with_those_in
from theta0.continuation import locked
from theta0.env_file import load_environment
from theta0.errors import ConfigError
from theta0.identity import config_hash, register_resolvers, resolve
from theta0.results import FINISHED, Error, Result
from theta0.sweep.compose import Composer

log = logging.getLogger("theta0")

_composers: dict[str, Composer] = {}
"""Of the sweep that this process works for, by its name."""


class Job(NamedTuple):
    """One cell of the grid: its number in the sweep, and its overrides."""

    number: int
    overrides: tuple[str, ...]

    @classmethod
    def numbered(cls, overrides: Sequence[Sequence[str]], first: int) -> list["Job"]:
        """The jobs of a batch, of which Hydra counts the first one as `first`."""
        return [cls(first + index, tuple(words)) for index, words in enumerate(overrides)]


class Sweep:
    """What a process needs to do a job as Hydra's own launcher would; it can be pickled."""

    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = context, task, config
        self.singletons = Singleton.get_state()
        self.folder = Path.cwd()
        self.above: dict[str, str] = {}
        """Of processes on this machine with which those that do the jobs end; see `ancestors`."""
        self.name = uuid.uuid4().hex

    @property
    def compose(self) -> Composer:
        """One composer a process: a sweep that is pickled for each job keeps the same one."""
        if self.name not in _composers:
            _composers.clear()
            _composers[self.name] = Composer(self.context.config_loader, self.config)
        return _composers[self.name]

    def do(self, job: Job) -> JobReturn:
        """The job, in another process than the sweep's.

        A configuration that the run refuses comes back as a value, for the sweep's process to say
        (see `accept`): here its one line would end in some log.
        """
        self.enter()
        return self.run(job, partial(_refusal_as_value, self.task))

    def enter(self) -> None:
        """Make a process that knows nothing of the sweep one of its own."""
        end_with_those_in(self.above)
        os.chdir(self.folder)
        load_environment()
        Singleton.set_state(self.singletons)

    def accept(self, returned: JobReturn) -> JobReturn:
        """What a job has returned, in the sweep's process. Raises ConfigError if it is a refusal:
        that ends the sweep."""
        if isinstance(returned._return_value, ConfigError):
            raise returned._return_value
        return returned

    def lost(self, job: Job, reason: str) -> JobReturn:
        """Note in the sweep's process that the one that did the job is gone, and why."""
        try:
            return self.run(job, partial(_note_loss, reason))
        finally:  # the job's own logging ends with it
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def run(self, job: Job, task: Callable[[DictConfig], Any], alone: bool = False) -> JobReturn:
        """The job as Hydra's own launcher does it, by this `task`, in this process.

        `alone`: no other one runs beside it. What is returned lacks the configurations that Hydra's
        own has: they are on disk, and would fill the memory of a large sweep.
        """
        setup_globals()
        register_resolvers()
        config = self.compose(job.overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = job.number
            if config.get("progress") == "auto" and not alone:
                config.progress = False  # the bars of several runs would overwrite each other
        returned = run_job(
            hydra_context=self.context,
            task_function=task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        returned.cfg = returned.hydra_cfg = None
        return returned


def _refusal_as_value(task: TaskFunction, config: DictConfig) -> Any:
    try:
        return task(config)
    except ConfigError as refusal:
        return refusal


def _note_loss(reason: str, config: DictConfig) -> float:
    """The run as `interrupted`, and why, in its result.json; returns its objective."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    with locked(folder) as ours:
        try:
            result = Result.read(folder)
        except ValueError:  # it did not come as far as that
            from theta0.run import new_result

            result = new_result(folder, resolve(config), config_hash(config))
        if ours and result.status not in FINISHED:
            result.status = "interrupted"
            result.error = Error(type="Lost", message=reason, traceback="")
            result.write(folder)
            log.info("%s  interrupted  %s", result.run, reason)
        return result.objective.counted
