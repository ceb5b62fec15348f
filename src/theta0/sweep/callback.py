"""What frames a run or a sweep: the check before it, the table and the exit code after it."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from theta0.errors import ConfigError, first_line
from theta0.signals import STOPPED
from theta0.terminal import printable

MOST = 10
"""Runs of a search that are shown: the best; results.csv has all."""


class StudyCallback(Callback):
    """Hydra turns a callback's exception into a warning, so what must end the program exits."""

    def __init__(self) -> None:
        self.before: dict[str, Any] = {}  # the study's index when the sweep began
        self.seen: list[list[str]] = []  # the words of the jobs that this process has done

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Before anything is on disk. (A sweep is checked by its sweeper, which knows the axes.)"""
        from theta0.cli import fail
        from theta0.config import check
        from theta0.index import forget
        from theta0.sweep.commands import record_command

        forget()
        try:
            check(config)
            if _speaks():
                record_command(config, multirun=False)
        except ConfigError as error:
            sys.exit(fail(error))
        except OSError as error:
            fail(error)
            sys.exit(1)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """A run that its study refuses ends the program, in one line instead of Hydra's two."""
        from theta0.cli import fail

        self.seen.append(list(config.hydra.overrides.task))
        if job_return.status == JobStatus.FAILED:
            error = job_return._return_value  # `return_value` would print
            if isinstance(error, ConfigError):
                sys.exit(fail(error))

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        from theta0.results import Result
        from theta0.sweep.offline import sync_command
        from theta0.sweep.progress import UNDER_WAY, unfinished

        if not _speaks():
            return
        folder = Path(config.hydra.runtime.output_dir)
        if kwargs["job_return"].status == JobStatus.FAILED:
            return  # before there was a result to tell of it: Hydra raises the error itself
        print(f"everything is in {_relative(folder)}")
        if command := sync_command(_relative(folder), runs=""):
            print(f"offline runs go to W&B with: {command}")
        try:
            result = Result.read(folder)
            left = unfinished(folder.parent, [result]).get(result.run, UNDER_WAY)
            failed = result.status == "failed" or left != UNDER_WAY
        except ValueError:
            failed = True
        if failed:
            sys.exit(1)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """What the study holds already, to tell at the end what this command has done."""
        from theta0.cli import fail
        from theta0.files import refuse_links
        from theta0.index import forget, index_of
        from theta0.names import is_plain_name

        if not is_plain_name(config.study):
            return  # the sweeper refuses it
        try:
            refuse_links(Path(config.hydra.sweep.dir))
        except ConfigError as error:
            sys.exit(fail(error))
        forget()
        self.before = index_of(Path(config.hydra.sweep.dir)).current()

    def on_multirun_end(
        self, config: DictConfig, jobs: Sequence[Sequence[str]] | None = None, **kwargs: Any
    ) -> None:
        """The study so far as results.csv and as a table, what is missing, and the report.

        Exit code 1 where a run failed, or was begun and lost, something cannot be written, or a
        claim names what its runs did not measure.

        `jobs` are those of a sweep that was told to stop: it exits by itself, without a report.
        """
        from rich.console import Console

        from theta0.config import SEARCH
        from theta0.index import index_of
        from theta0.results import read_runs
        from theta0.sweep import runs
        from theta0.sweep.claims import judge
        from theta0.sweep.offline import sync_command
        from theta0.sweep.progress import UNDER_WAY, not_started, told, unfinished
        from theta0.sweep.replay import continue_with
        from theta0.sweep.table import overview, print_whole

        folder = Path(config.hydra.sweep.dir)
        found, broken = read_runs(_relative(folder))
        results = [result for _, result in found]
        console = Console()

        def say(line: str) -> None:
            console.print(printable(line), markup=False, soft_wrap=True)

        try:
            runs.write(runs.table(results), folder)
        except OSError as error:
            broken.append(f"results.csv cannot be written: {error}")
        after = index_of(folder).current()
        say(told(self.before, after))
        search = config.hydra.sweeper._target_ == SEARCH
        if results:
            most = MOST if search else None
            print_whole(overview(results, f"study {folder.name}", most), console)
        claims = OmegaConf.to_container(config.get("claims") or OmegaConf.create([]))
        verdicts = judge(claims, results, folder)  # type: ignore[arg-type]
        for verdict in verdicts:
            say(verdict.line)
        failed = [result for result in results if result.status == "failed"]
        for result in failed:
            say(f"failed: {result.run}: {result.error.line if result.error else ''}")
        for line in broken:
            say(line)
        left = unfinished(folder, results)
        for run, how in left.items():
            say(f"unfinished: {run}: {how}")
        for line in not_started(jobs or [], [*self.seen, *(r.overrides for r in results)]):
            say(line)
        if search:
            from theta0.search.report import conclude

            for part in conclude(folder, _relative(folder), results, partial(_compose, config)):
                say(part) if isinstance(part, str) else print_whole(part, console)
        if results and jobs is None:
            try:
                from theta0.report import make

                read = (found, list(broken))
                lines = make.conclude(_relative(folder), partial(_compose, config), read)
            except ConfigError as error:  # runs with several objectives, say: none has failed
                lines = [f"no report: {error}"]
            except Exception as error:  # whatever it is, what follows has to be said
                lines = [f"no report: {type(error).__name__}: {first_line(error)}"]
                broken += lines
            for line in lines[-1:] if search else lines:
                say(line)
        say(f"everything is in {_relative(folder)}: a folder a run, and results.csv")
        if command := sync_command(_relative(folder), runs="*/"):
            say(f"offline runs go to W&B with: {command}")
        nobodys = [run for run, how in left.items() if how != UNDER_WAY]
        if nobodys or jobs is not None:
            say(f"continue with: {continue_with(config.hydra, config.study)}")
        given_up = {result.run for result in results if result.error}
        lost = [run for run in nobodys if run in given_up or after.get(run) != self.before.get(run)]
        unjudged = any(verdict.broken for verdict in verdicts)
        if (failed or broken or lost or unjudged) and jobs is None:
            sys.exit(1)


@contextlib.contextmanager
def ending_in_order(
    context: HydraContext, config: DictConfig, jobs: Callable[[], Sequence[Sequence[str]]]
) -> Iterator[None]:
    """For a sweeper: a sweep that is told to stop tells what there is and what is missing, too.

    (Hydra calls its callbacks at the end of a sweep that has come to its end.)
    """
    try:
        yield
    except SystemExit as end:
        if end.code in STOPPED:
            context.callbacks.on_multirun_end(config=config, config_name=None, jobs=jobs())
        raise
    except OSError:  # Hydra could not make a job's folder: the disk is full, say
        context.callbacks.on_multirun_end(config=config, config_name=None, jobs=jobs())
        raise


def _speaks() -> bool:
    """Of several processes that torchrun or srun started, the first one speaks for all.

    (theta0.launch knows more, and imports torch.)
    """
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


def _compose(config: DictConfig, words: list[str]) -> DictConfig:
    """What a run of this program with these words composes to."""
    return hydra.compose(config.hydra.job.config_name, words, return_hydra_config=True)


def _relative(folder: Path) -> Path:
    here = Path.cwd()
    folder = folder.resolve()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
