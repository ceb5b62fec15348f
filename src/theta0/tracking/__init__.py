"""Where metrics go: metrics.csv always, and W&B, TensorBoard or nothing besides."""

from theta0.tracking.csv_logger import CsvLogger
from theta0.tracking.history import diagnostic_name
from theta0.tracking.loggers import finish, no_logger, replay, tensorboard_logger
from theta0.tracking.wandb import WandbLogger, wandb_logger

__all__ = [
    "CsvLogger",
    "WandbLogger",
    "diagnostic_name",
    "finish",
    "no_logger",
    "replay",
    "tensorboard_logger",
    "wandb_logger",
]
