"""`hydra/launcher=ray`: the jobs of a sweep as tasks of Ray, on one machine or a cluster."""

import os
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn

from theta0.launchers.launcher import SweepLauncher

if TYPE_CHECKING:
    from theta0.launchers.sweep import Job


class RayLauncher(SweepLauncher):
    """Options and their defaults are in configs/hydra/launcher/ray.yaml."""

    needs = "ray"

    def do(self, jobs: "list[Job]") -> list[JobReturn]:
        from concurrent.futures import as_completed

        from theta0.errors import first_line
        from theta0.launchers.sweep import Sweep

        ray = self.started()
        task = ray.remote(**self.resources(ray.cluster_resources()))(Sweep.do)
        sweep = ray.put(self.sweep)
        references = [task.options(name=f"job {job.number}").remote(sweep, job) for job in jobs]
        futures = {reference.future(): job for reference, job in zip(references, jobs, strict=True)}
        returned: dict[Job, JobReturn] = {}
        try:
            for future in as_completed(futures):
                job = futures[future]
                try:
                    returned[job] = self.sweep.accept(future.result())
                except ray.exceptions.RayError as error:
                    returned[job] = self.sweep.lost(job, first_line(error))
        except BaseException:
            for reference in references:
                ray.cancel(reference)
            ray.wait(references, num_returns=len(references))
            raise
        return [returned[job] for job in jobs]

    def started(self) -> Any:
        """Ray, started once for all batches: no dashboard, no statistics, lines as they are."""
        settings = {"task_oom_retries": str(self.options["retries"])}
        settings |= {"USAGE_STATS_ENABLED": "0", "COLOR_PREFIX": "0", "DEDUP_LOGS": "0"}
        for name, value in settings.items():
            os.environ.setdefault(f"RAY_{name}", value)
        import ray

        from theta0.ancestors import named
        from theta0.config import usable_cores
        from theta0.signals import kept

        here = {}
        if self.options["address"] == "local":
            here["num_cpus"] = usable_cores()
            self.sweep.above = named()
        if not ray.is_initialized():
            with kept():
                ray.init(
                    self.options["address"], include_dashboard=False, logging_level="ERROR", **here
                )
        return ray

    def resources(self, there: dict[str, float]) -> dict[str, Any]:
        """What Ray sets aside for each job of what is there, and how often it tries again."""
        from theta0.config import processes_of

        cpus, gpus = self.options["num_cpus"], self.options["num_gpus"]
        if cpus is None:
            cpus = self.config.threads * processes_of(self.config.trainer)
        if gpus is None:
            wanted = self.config.trainer.get("accelerator") != "cpu"
            gpus = 1 if wanted and there.get("GPU") else 0
        return {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "max_retries": self.options["retries"],
        }
