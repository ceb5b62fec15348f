"""`hydra/launcher=serial`, the default: one job of a sweep after the other, in this process."""

from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn, configure_log

from theta0.launchers.launcher import SweepLauncher

if TYPE_CHECKING:
    from theta0.launchers.sweep import Job


class SerialLauncher(SweepLauncher):
    """As Hydra's own (`basic`), which composes each job anew and keeps every configuration."""

    needs = "hydra"

    def do(self, jobs: "list[Job]") -> list[JobReturn]:
        returned = []
        for job in jobs:
            returned.append(self.sweep.run(job, self.sweep.task, alone=True))
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        return returned
