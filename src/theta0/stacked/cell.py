"""A job of a sweep as the run that it is: its configuration, its folder, what Hydra keeps of it."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, _save_config
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from theta0.config import check_plain
from theta0.continuation import PROCESSES, locked
from theta0.identity import RUN_NAME, config_hash, resolve, run_name
from theta0.launchers.sweep import Job
from theta0.results import Result
from theta0.run import begin, decide, new_result, say_start
from theta0.stacked.run import recorded
from theta0.sweep.compose import Composer

log = logging.getLogger("theta0")


@dataclass
class Cell:
    """A run before it is begun.

    Attributes:
        hydra: its configuration, with Hydra's node.
        config: the same, resolved, without it.
        result: as it is before the start; what the study holds, where there is nothing to do.
        folder: of the run.
    """

    hydra: DictConfig
    config: dict[str, Any]
    result: Result
    folder: Path

    @classmethod
    def of(cls, job: Job, compose: Composer) -> "Cell":
        """As Hydra's own launcher and `theta0.run` would have it. Raises ConfigError."""
        hydra = compose(job.overrides)
        with open_dict(hydra):
            hydra.hydra.job.id = hydra.hydra.job.num = job.number
        with _hydra(hydra):
            digest = config_hash(hydra)
            sweep = hydra.hydra.sweep
            ours = sweep._get_node("subdir")._value() == RUN_NAME
            name = run_name(hydra, digest) if ours else sweep.subdir
            folder = Path(sweep.dir, name).absolute()
            with read_write(hydra.hydra.runtime), open_dict(hydra.hydra.runtime):
                hydra.hydra.runtime.output_dir = str(folder)
            config = resolve(hydra)
            check_plain(config)
            return cls(hydra, config, new_result(folder, config, digest), folder)

    def begin(self, locks: contextlib.ExitStack) -> bool:
        """Whether the run is ours to do; if so it is locked, and `running` on disk."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            names = (".lock", PROCESSES)
            if not all(locks.enter_context(locked(self.folder, name=name)) for name in names):
                log.info("%s  is being done by another process", self.result.run)
                return False
            decided = decide(self.folder, self.result)
            if decided is not self.result:
                self.result = decided
                return False
            self._save()
            begin(self.folder, self.config, self.result)
        except OSError as error:  # a full or read-only disk: no result.json can tell of it
            log.error("%s  cannot be done: %s", self.result.run, error)
            return False
        with recorded(self.folder):
            say_start(self.folder, self.result)
        return True

    def _save(self) -> None:
        """Hydra's own record of the job."""
        output = self.folder / ".hydra"
        task = OmegaConf.masked_copy(self.hydra, [str(k) for k in self.hydra if k != "hydra"])
        _save_config(task, "config.yaml", output)
        _save_config(OmegaConf.masked_copy(self.hydra, ["hydra"]), "hydra.yaml", output)
        _save_config(self.hydra.hydra.overrides.task, "overrides.yaml", output)

    def returned(self) -> JobReturn:
        """What Hydra's own launcher would return of the run now."""
        returned = JobReturn()
        returned.overrides = list(self.hydra.hydra.overrides.task)
        returned.cfg, returned.hydra_cfg = self.hydra, self.hydra
        returned.working_dir, returned.task_name = os.getcwd(), self.hydra.hydra.job.name
        returned.return_value = self.result.objective.counted
        returned.status = JobStatus.COMPLETED
        return returned


@contextlib.contextmanager
def _hydra(config: DictConfig) -> Iterator[None]:
    """Inside, Hydra's configuration is this job's."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before
