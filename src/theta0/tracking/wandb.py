"""Weights & Biases: one run of ours is one of theirs, online where a key is set, else offline."""

import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger

from theta0.identity import cell_name
from theta0.results import Result


def wandb_logger(
    folder: Path, result: Result, project: str, entity: str | None, group: str, tags: list[str]
) -> WandbLogger:
    """A logger whose W&B run has the run's name and configuration, and `cell` to group seeds by.

    `reinit="create_new"`: else W&B puts every job of a sweep into one run. A flush a second: with
    W&B's own fifteen a short run that is killed leaves nothing at all.
    """
    import wandb

    logger = WandbLogger(
        name=result.run,
        save_dir=folder,
        project=project,
        entity=entity,
        group=group,
        tags=tags,
        job_type="train",
        mode=_mode(),
        reinit="create_new",
        config=_config(result),
        settings=wandb.Settings(
            x_transaction_log_flush_interval=1, console="off", silent=True, x_disable_stats=True
        ),
    )
    logger._wandb_init.pop("anonymous", None)  # W&B warns of it, and Lightning always sends it
    return logger


def finish_wandb(logger: WandbLogger, result: Result) -> None:
    """Status and the chosen checkpoint's metrics go into the summary; a failed run ends with 1."""
    run = logger.experiment
    chosen = {f"chosen/{name}": value for name, value in result.metrics.items()}
    run.summary.update({"status": result.status, **chosen})
    run.finish(exit_code=0 if result.status in ("done", "diverged", "pruned") else 1)


def _config(result: Result) -> dict[str, Any]:
    return {
        **result.config,
        "choices": result.choices,
        "cell": cell_name(result.choices, result.overrides),
        "config_hash": result.config_hash,
    }


def _mode() -> str:
    """WANDB_MODE where it is set; online where W&B would find a key; else offline, unasked."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    return "online" if os.environ.get("WANDB_API_KEY") or _key_in_netrc() else "offline"


def _key_in_netrc() -> bool:
    """Whether `wandb login` has left a key for the server in ~/.netrc (or $NETRC)."""
    from wandb import Settings

    host = urlparse(os.environ.get("WANDB_BASE_URL", Settings().base_url)).hostname or ""
    try:
        known = netrc.netrc(os.environ.get("NETRC", Path.home() / ".netrc")).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return host in known or "api.wandb.ai" in known
