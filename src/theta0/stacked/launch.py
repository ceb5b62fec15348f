"""A sweep in stacks, by this process or by several side by side."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from joblib import cpu_count
from omegaconf import DictConfig, OmegaConf

from theta0.errors import ConfigError
from theta0.identity import register_resolvers, resolve
from theta0.launchers import gpus
from theta0.launchers.sweep import Job, Sweep
from theta0.launchers.workers import Workers
from theta0.run import execute, say_end
from theta0.signals import stoppable
from theta0.stacked.cell import Cell
from theta0.stacked.member import Member
from theta0.stacked.plan import FEWEST, plan
from theta0.stacked.run import Run, recorded

log = logging.getLogger("theta0")

Stack = tuple[Job, ...]
"""Jobs that are done as one; a single one is a run of its own."""


class StackedLaunch:
    """Does jobs in stacks, batch after batch of a sweep.

    Args:
        sweep: that the jobs are of.
        members: the most runs in a stack; None: as many as fit into memory.
        workers: processes side by side; None: one a GPU, else one a core as long as that leaves
            FEWEST runs for each.
        threads: of the CPU, a stack; None: a worker's share of the cores.
        retries: how often a stack is taken up again after its worker has died.
    """

    def __init__(
        self,
        sweep: Sweep,
        members: int | None,
        workers: int | None,
        threads: int | None,
        retries: int,
    ) -> None:
        self.sweep, self.members, self.threads, self.retries = sweep, members, threads, retries
        on_cpu = sweep.config.trainer.get("accelerator") == "cpu"
        self.gpus = [] if on_cpu else gpus.visible()
        self.given = workers or len(self.gpus)
        self.most = self.given or cpu_count()
        self.workers: Workers[Stack, list[JobReturn]] | None = None

    def __call__(self, jobs: Sequence[Job]) -> list[JobReturn]:
        """What each job returned, in their order. Raises ConfigError."""
        setup_globals()
        register_resolvers()
        compose = self.sweep.compose
        workers = self.given or max(1, min(self.most, len(jobs) // FEWEST))
        planned = plan([resolve(compose(job.overrides)) for job in jobs], self.members, workers)
        with _logging(self.sweep.config):
            if planned.stacks:
                log.info("%s", planned)
            for i, reason in planned.alone:
                name = compose(jobs[i].overrides).hydra.sweep.subdir
                log.info("%s  runs alone: %s", name, reason)
        stacks = [tuple(jobs[i] for i in stack) for stack in planned.stacks]
        stacks += [(jobs[i],) for i, _ in planned.alone]
        returned = self._do(stacks, min(workers, len(stacks)))
        by_job = dict(zip(sum(stacks, ()), returned, strict=True))
        return [by_job[job] for job in jobs]

    def _do(self, stacks: Sequence[Stack], workers: int) -> list[JobReturn]:
        """What the jobs of all stacks returned."""
        threads = self.threads or max(1, cpu_count() // workers)
        work = StackedSweep(self.sweep, threads)
        if workers == 1:
            return [returned for stack in stacks for returned in work.here(stack)]
        if self.workers is None:  # they stay for the sweep's other batches
            told = [
                {"OMP_NUM_THREADS": str(threads), "TQDM_POSITION": str(i)} for i in range(self.most)
            ]
            shares = gpus.shares(self.gpus, 1, self.most)
            environments = [one | share for one, share in zip(told, shares, strict=True)]
            self.workers = Workers(work, environments, self.retries)
        return [one for returned in self.workers.work_through(stacks) for one in returned]


class StackedSweep:
    """What a process needs to do several jobs of a sweep as one; it can be pickled."""

    def __init__(self, sweep: Sweep, threads: int) -> None:
        self.sweep, self.threads = sweep, threads

    def do(self, jobs: Stack) -> list[JobReturn]:
        """The jobs, in another process than the sweep's. A refusal comes back as a value."""
        if len(jobs) == 1:
            return [self.sweep.do(jobs[0])]
        self.sweep.enter()
        try:
            return self.here(jobs)
        except ConfigError as refusal:
            return [JobReturn(_return_value=refusal, status=JobStatus.FAILED)]

    def accept(self, returned: list[JobReturn]) -> list[JobReturn]:
        return [self.sweep.accept(one) for one in returned]

    def lost(self, jobs: Stack, reason: str) -> list[JobReturn]:
        return [self.sweep.lost(job, reason) for job in jobs]

    def here(self, jobs: Stack) -> list[JobReturn]:
        """The jobs, in this process; what each returned. Raises ConfigError."""
        if len(jobs) == 1:
            try:
                return [self.sweep.run(jobs[0], self.sweep.task)]
            finally:  # the job's own logging ends with it
                _log_as(self.sweep.config.hydra.hydra_logging, self.sweep.config)
        setup_globals()
        register_resolvers()
        cells = [Cell.of(job, self.sweep.compose) for job in jobs]
        callbacks = self.sweep.context.callbacks
        with _logging(self.sweep.config):
            for cell in cells:
                callbacks.on_job_start(config=cell.hydra, task_function=self.sweep.task)
            self._train(cells)
        returned = [cell.returned() for cell in cells]
        for cell, one in zip(cells, returned, strict=True):
            callbacks.on_job_end(config=cell.hydra, job_return=one)
            one.cfg = one.hydra_cfg = None
        return returned

    def _train(self, cells: Sequence[Cell]) -> None:
        """The runs that are there to be done; together those that have come to the same place."""
        with contextlib.ExitStack() as locks, stoppable():
            together: dict[Any, list[Member]] = {}
            for cell in cells:
                if not cell.begin(locks):
                    continue
                try:
                    member = Member(cell.folder, cell.config, cell.result)
                    together.setdefault(member.place, []).append(member)
                except (OSError, ValueError):  # a damaged checkpoint: alone it is told in words
                    _alone(cell)
            for members in together.values():
                Run(members, self.threads)()


def _alone(cell: Cell) -> None:
    with recorded(cell.folder):
        execute(cell.folder, cell.config, cell.result)
        say_end(cell.result)


@contextlib.contextmanager
def _logging(config: DictConfig) -> Iterator[None]:
    """A job's logging to the console; run.log has what is said of one run alone."""
    node = OmegaConf.to_container(config.hydra.job_logging, resolve=False)
    assert isinstance(node, dict)
    node["handlers"].pop("file", None)
    node["root"]["handlers"] = [name for name in node["root"]["handlers"] if name != "file"]
    _log_as(OmegaConf.create(node), config)
    try:
        yield
    finally:
        _log_as(config.hydra.hydra_logging, config)


def _log_as(how: DictConfig, config: DictConfig) -> None:
    configure_log(how, config.hydra.verbose)
