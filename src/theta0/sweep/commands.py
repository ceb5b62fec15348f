"""commands.yaml: every command that a study was run with, in order."""

from datetime import datetime
from pathlib import Path

import yaml


def record_command(study: Path, overrides: list[str], multirun: bool) -> None:
    """Append one entry to study/commands.yaml; what is there already is never rewritten."""
    study.mkdir(parents=True, exist_ok=True)
    entry = {
        "time": datetime.now().isoformat(timespec="seconds"),
        "multirun": multirun,
        "overrides": overrides,
    }
    with (study / "commands.yaml").open("a") as file:
        file.write(yaml.safe_dump([entry], sort_keys=False, allow_unicode=True))
