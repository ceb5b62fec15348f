"""The loggers beside metrics.csv, and how each is ended."""

import logging
from pathlib import Path

from lightning.pytorch import loggers as lightning_loggers
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from theta0.results import FINISHED, Result
from theta0.tracking.history import history
from theta0.tracking.wandb import WandbLogger, exit_code

log = logging.getLogger("theta0")


def tensorboard_logger(folder: Path) -> TensorBoardLogger:
    """Event files in <run>/tensorboard; look with `tensorboard --logdir logs`."""
    return TensorBoardLogger(folder, name="", version="tensorboard")


def no_logger() -> None:
    """Nothing but metrics.csv."""


def replay(logger: Logger, folder: Path) -> None:
    """Log a run's history, to a logger that is opened once all of it is there."""
    for step, row in history(folder).items():
        logger.log_metrics(row, step)


def finish(loggers: list[Logger], result: Result) -> None:
    """End every logger with the run's outcome. One that cannot be ended undoes no run."""
    for logger in loggers:
        try:
            logger.finalize("success" if result.status in FINISHED else "failed")
            if isinstance(logger, WandbLogger):
                logger.end(result)
            elif isinstance(logger, lightning_loggers.WandbLogger):  # a user's own choice
                logger.experiment.finish(exit_code=exit_code(result))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            log.warning("%s  %s: %s", result.run, type(logger).__name__, reason)
