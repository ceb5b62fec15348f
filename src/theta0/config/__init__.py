"""The schema of a composed configuration and its check; imports no torch."""

from theta0.config.check import check, check_lists, check_report
from theta0.config.components import COMPONENTS
from theta0.config.schema import InspectConfig, ReportConfig, TrainConfig

__all__ = [
    "COMPONENTS",
    "InspectConfig",
    "ReportConfig",
    "TrainConfig",
    "check",
    "check_lists",
    "check_report",
]
