"""W&B runs that lie offline, and the command that uploads them."""

import shlex
from pathlib import Path


def sync_command(folder: Path, runs: str) -> str | None:
    """`wandb sync` for the offline runs below a folder; None where none waits to be uploaded.

    Args:
        folder: of a study or of a run, as the command shall name it.
        runs: glob pattern of the folders of runs below it: "*/" or "".
    """
    pattern = f"{runs}wandb/offline-run-*"
    waiting = [run for run in folder.glob(pattern) if not any(run.glob("*.wandb.synced"))]
    return f"wandb sync --yes {shlex.quote(str(folder))}/{pattern}" if waiting else None
