"""`hydra/launcher=submitit_slurm`: every job of a sweep is one of SLURM's; and `submitit_local`."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from abc import abstractmethod
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn

from theta0.launchers.launcher import SweepLauncher

if TYPE_CHECKING:
    from theta0.launchers.sweep import Job


class SubmititLauncher(SweepLauncher):
    """What both have in common."""

    needs = "submitit"

    def do(self, jobs: "list[Job]") -> list[JobReturn]:
        from submitit.core.utils import FailedJobError, UncompletedJobError, environment_variables
        from submitit.helpers import as_completed

        now = f"{datetime.now():%Y-%m-%d_%H-%M-%S.%f}"  # numbers of jobs come again
        folder = Path(self.config.hydra.sweep.dir) / ".submitit" / now / "%j"
        source = str(Path(__file__).parents[1])  # where theta0 is, if it is not installed
        path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
        with environment_variables(PYTHONPATH=path):
            submitted = self.submit(jobs, folder)
        numbers = {job.job_id: index for index, job in enumerate(submitted)}
        first, last = submitted[0].job_id, submitted[-1].job_id
        print(f"submitted: {first} to {last}; what they say is in {folder.parent}", flush=True)
        returned: dict[int, JobReturn] = {}
        try:
            for job in as_completed(submitted, poll_frequency=1):
                index = numbers[job.job_id]
                try:
                    returned[index] = self.sweep.accept(job.results()[0])
                except (FailedJobError, UncompletedJobError):
                    reason = f"job {job.job_id} left no result ({job.state}): {job.paths.stderr}"
                    returned[index] = self.sweep.lost(jobs[index], reason)
        except BaseException:
            self.cancel(submitted)
            raise
        return [returned[index] for index in range(len(jobs))]

    @abstractmethod
    def submit(self, jobs: "list[Job]", folder: Path) -> list[Any]:
        """The jobs as submitit's; `folder` is where it keeps their files."""

    @abstractmethod
    def cancel(self, submitted: list[Any]) -> None:
        """Stop submitted jobs in order, and wait for it."""


class SlurmLauncher(SubmititLauncher):
    """Options and their defaults are in configs/hydra/launcher/submitit_slurm.yaml."""

    def submit(self, jobs: "list[Job]", folder: Path) -> list[Any]:
        from submitit import SlurmExecutor

        from theta0.errors import ConfigError
        from theta0.launchers.submission import Submission

        if shutil.which("srun") is None:
            raise ConfigError("hydra/launcher=submitit_slurm: there is no srun: no SLURM cluster")
        options = {k: v for k, v in self.options.items() if v is not None and k != "_target_"}
        executor = SlurmExecutor(folder, max_num_timeout=options.pop("max_num_timeout"))
        executor.update_parameters(**{"cpus_per_task": self.config.threads} | options)
        return executor.submit_array([Submission(self.sweep, job) for job in jobs])

    def cancel(self, submitted: list[Any]) -> None:
        names = [job.job_id for job in submitted]
        subprocess.call(["scancel", "--quiet", "--signal=INT", *names])  # in order, where it runs
        subprocess.call(["scancel", "--quiet", *names])  # what waits; and the rest after a while
        started = time.monotonic()
        while time.monotonic() - started < 30 and not all(job.done(True) for job in submitted):
            time.sleep(1)


class LocalLauncher(SubmititLauncher):
    """Options and their defaults are in configs/hydra/launcher/submitit_local.yaml."""

    def do(self, jobs: "list[Job]") -> list[JobReturn]:
        """As many at a time as there are cores; they end with this process."""
        from theta0.ancestors import named
        from theta0.config import processes_of, usable_cores

        self.sweep.above = named()
        most = max(1, usable_cores() // processes_of(self.config.trainer))
        batches = [jobs[i : i + most] for i in range(0, len(jobs), most)]
        return [returned for batch in batches for returned in super(LocalLauncher, self).do(batch)]

    def submit(self, jobs: "list[Job]", folder: Path) -> list[Any]:
        from submitit import LocalExecutor

        from theta0.launchers.submission import LocalSubmission
        from theta0.signals import unheard

        options = {k: v for k, v in self.options.items() if k != "_target_"}
        executor = LocalExecutor(folder, max_num_timeout=options.pop("max_num_timeout"))
        executor.update_parameters(**options)
        with unheard():
            return executor.submit_array([LocalSubmission(self.sweep, job) for job in jobs])

    def cancel(self, submitted: list[Any]) -> None:
        for job in submitted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(job.job_id), signal.SIGTERM)  # which it passes on to the run
        for job in submitted:
            job.wait()
