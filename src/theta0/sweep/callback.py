"""What frames a run or a sweep: the check before it, the table and the exit code after it."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from theta0.errors import ConfigError


class StudyCallback(Callback):
    """Hydra turns a callback's exception into a warning, so what must end the program exits."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Before anything is on disk. (A sweep is checked by its sweeper, which knows the axes.)"""
        from theta0.cli import fail
        from theta0.config import check
        from theta0.sweep.commands import record_command

        try:
            check(config)
        except ConfigError as error:
            sys.exit(fail(error))
        if _speaks():
            study = Path(config.paths.log_dir) / config.study
            record_command(study, list(config.hydra.overrides.task), multirun=False)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """A run that its study refuses ends the program, in one line instead of Hydra's two."""
        from theta0.cli import fail

        if job_return.status == JobStatus.FAILED:
            error = job_return._return_value  # `return_value` would print
            if isinstance(error, ConfigError):
                sys.exit(fail(error))

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        from theta0.results import Result

        if not _speaks():
            return
        folder = Path(config.hydra.runtime.output_dir)
        if kwargs["job_return"].status == JobStatus.FAILED:
            return  # before there was a result to tell of it: Hydra raises the error itself
        print(f"everything is in {_relative(folder)}")
        try:
            failed = Result.read(folder).status == "failed"
        except ValueError:
            failed = True
        if failed:
            sys.exit(1)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """What the study holds already, to tell at the end what this command has done."""
        from theta0.results import read_study
        from theta0.sweep.progress import snapshot

        folder = Path(config.hydra.sweep.dir)
        self.before = snapshot(folder, read_study(folder)[0])

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """The study so far as results.csv and as a table; exit code 1 where a run failed."""
        from rich.console import Console

        from theta0.cli import one_line
        from theta0.report import conclude
        from theta0.results import read_study
        from theta0.sweep.claims import judge
        from theta0.sweep.progress import snapshot, told
        from theta0.sweep.table import print_whole, summary

        folder = Path(config.hydra.sweep.dir)
        results, broken = read_study(folder)
        console = Console()
        console.print(told(self.before, snapshot(folder, results)), markup=False)
        print_whole(summary(results, title=f"study {folder.name}"), console)
        claims = OmegaConf.to_container(config.get("claims") or OmegaConf.create([]))
        for verdict in judge(claims, results, folder):  # type: ignore[arg-type]
            console.print(verdict.line, markup=False, soft_wrap=True)
        try:
            for line in conclude(folder, results, partial(_compose, config)):
                console.print(line, markup=False, soft_wrap=True)
        except (ConfigError, OSError) as error:
            broken.append(f"no report: {one_line(error)}")
        failed = [result for result in results if result.status == "failed"]
        for result in failed:
            reason = result.error.line if result.error else ""
            console.print(f"failed: {result.run}: {reason}", markup=False, soft_wrap=True)
        for line in broken:
            console.print(line, markup=False, soft_wrap=True)
        console.print(
            f"everything is in {_relative(folder)}: a folder a run, and results.csv",
            markup=False,
            soft_wrap=True,
        )
        if failed or broken:
            sys.exit(1)


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
