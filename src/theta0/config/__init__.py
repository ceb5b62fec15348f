"""The schema of a composed configuration and its check; imports no torch."""

from theta0.config.check import check, check_lists
from theta0.config.components import COMPONENTS
from theta0.config.schema import InspectConfig, TrainConfig

__all__ = ["COMPONENTS", "InspectConfig", "TrainConfig", "check", "check_lists"]
