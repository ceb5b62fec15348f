"""A job as submitit wants it."""

import signal

from hydra.core.utils import JobReturn
from submitit.helpers import DelayedSubmission

from theta0.launchers.sweep import Job, Sweep


class Submission:
    """Does the job; told that the time is up, is submitted again as it is: the run goes on."""

    def __init__(self, sweep: Sweep, job: Job) -> None:
        self.sweep, self.job = sweep, job

    def __call__(self) -> JobReturn:
        return self.sweep.do(self.job)

    def checkpoint(self) -> DelayedSubmission:
        return DelayedSubmission(self)


class LocalSubmission(Submission):
    """Hears SIGTERM, which submitit passes over: without SLURM it comes from the sweep alone."""

    def __call__(self) -> JobReturn:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return super().__call__()
