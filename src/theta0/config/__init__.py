"""The schema of a composed configuration and its check; imports no torch."""

from theta0.config.check import (
    SEARCH,
    check,
    check_lists,
    check_plain,
    check_plugins,
    check_report,
)
from theta0.config.components import COMPONENTS
from theta0.config.processes import check_trainer, processes_of, usable_cores
from theta0.config.rules import RULES, measured, unmeasured
from theta0.config.schema import InspectConfig, ReportConfig, TrainConfig

__all__ = [
    "COMPONENTS",
    "RULES",
    "SEARCH",
    "InspectConfig",
    "ReportConfig",
    "TrainConfig",
    "check",
    "check_lists",
    "check_plain",
    "check_plugins",
    "check_report",
    "check_trainer",
    "measured",
    "processes_of",
    "unmeasured",
    "usable_cores",
]
