"""What W&B would refuse of a run, said before the run is started."""

import os
from typing import Any

from theta0.errors import ConfigError, choices

MODES = ("online", "offline", "disabled", "dryrun", "run", "shared")
"""What W&B allows in WANDB_MODE."""


def check_wandb(plain: dict[str, Any]) -> None:
    """Raises ConfigError where a run that logs to W&B could not be begun there."""
    logger = plain["logger"]
    if logger["_target_"] != "theta0.tracking.wandb_logger":
        return
    if (mode := os.environ.get("WANDB_MODE")) and mode not in MODES:
        raise ConfigError(f"WANDB_MODE={mode}: {choices(mode, MODES)}")
    project = logger["project"]
    if len(project) > 128 or any(sign in project for sign in r"/\#?%:"):
        raise ConfigError(
            f"logger.project={project}: must have at most 128 characters, and none of / \\ # ? % :"
        )
