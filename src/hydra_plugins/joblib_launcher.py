"""`hydra/launcher=joblib`: the jobs of a sweep side by side, in processes of this machine."""

import os
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn

from theta0.launchers.launcher import SweepLauncher

if TYPE_CHECKING:
    from theta0.launchers.sweep import Job
    from theta0.launchers.workers import Workers


class JoblibLauncher(SweepLauncher):
    """Options and their defaults are in configs/hydra/launcher/joblib.yaml."""

    needs = "joblib"
    workers: "Workers | None" = None

    def do(self, jobs: "list[Job]") -> list[JobReturn]:
        from theta0.launchers.workers import Workers

        if self.workers is None:  # they stay for the sweep's other batches
            self.workers = Workers(self.sweep, self.environments(), self.options["retries"])
        return self.workers.work_through(jobs)

    def environments(self) -> list[dict[str, str]]:
        """What each worker has in its environment: its GPUs, and its share of the cores."""
        from joblib import cpu_count

        from theta0.config import processes_of
        from theta0.launchers import gpus

        each, workers = self.options["gpus"], self.options["n_jobs"]
        on_cpu = self.config.trainer.get("accelerator") == "cpu"
        there = [] if on_cpu or not each else gpus.visible()
        if workers is None:
            needed = self.config.threads * processes_of(self.config.trainer)
            workers = len(there) // each if there else cpu_count() // needed
            workers = max(1, workers)
        cores = os.environ.get("OMP_NUM_THREADS", str(max(1, cpu_count() // workers)))
        return [{"OMP_NUM_THREADS": cores} | share for share in gpus.shares(there, each, workers)]
