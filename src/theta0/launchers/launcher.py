"""What the fronts in hydra_plugins share; imported at every start of Hydra, so it is light."""

from abc import abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from theta0.launchers.sweep import Job


class SweepLauncher(Launcher):
    """A launcher with its options in a file of configs/, which theta0.config checks."""

    needs: str
    """The library that it stands on, which may not be installed."""

    def __init__(self, **options: Any) -> None:
        """Hydra hands the options over; they are in the configuration, too."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Raises ConfigError where the library is not installed."""
        from theta0.errors import ConfigError
        from theta0.launchers.sweep import Sweep

        if find_spec(self.needs) is None:
            name = config.hydra.runtime.choices["hydra/launcher"]
            raise ConfigError(
                f"hydra/launcher={name}: needs {self.needs}: pip install {self.needs}"
            )
        self.config = config
        self.options: Any = OmegaConf.to_container(config.hydra.launcher, resolve=True)
        self.sweep = Sweep(hydra_context, task_function, config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        """What each job returned, in the order of the jobs."""
        from theta0.launchers.sweep import Job

        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        return self.do(Job.numbered(job_overrides, initial_job_idx))

    @abstractmethod
    def do(self, jobs: "list[Job]") -> list[JobReturn]:
        """The same, for jobs that know their number."""
