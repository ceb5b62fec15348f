"""The loggers beside metrics.csv, and how each is ended."""

from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from theta0.results import Result
from theta0.tracking.wandb import finish_wandb


def tensorboard_logger(folder: Path) -> TensorBoardLogger:
    """Event files in <run>/tensorboard; look with `tensorboard --logdir logs`."""
    return TensorBoardLogger(folder, name="", version="tensorboard")


def no_logger() -> None:
    """Nothing but metrics.csv."""


def finish(loggers: list[Logger], result: Result) -> None:
    """End every logger with the run's outcome; one run of ours is one run of W&B."""
    for logger in loggers:
        logger.finalize("success" if result.status in ("done", "diverged") else "failed")
        if isinstance(logger, WandbLogger):
            finish_wandb(logger, result)
