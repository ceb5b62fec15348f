"""commands.yaml: every command that a study was run with, in order."""

import errno
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig
from pydantic import BaseModel, ConfigDict, ValidationError

from theta0.errors import ConfigError
from theta0.files import read_yaml, refuse_links

FILE = "commands.yaml"


class Command(BaseModel):
    """One command as it was typed: its words, those for Hydra's launcher and sweeper too."""

    model_config = ConfigDict(extra="forbid", strict=True)

    multirun: bool
    overrides: list[str]
    config_dir: str | None = None
    time: str  # last: an entry that has it is whole


def record_command(config: DictConfig, multirun: bool) -> None:
    """Append an entry to the study's commands.yaml; what is there already is never rewritten.

    Raises ConfigError for links in the study, or in the folder of the run: see `refuse_links`. (A
    sweep has looked at the whole study before: `theta0.sweep.callback`.)
    """
    study = Path(config.hydra.sweep.dir)
    if not multirun:
        refuse_links(study, deep=False)
        refuse_links(Path(config.hydra.run.dir))
    study.mkdir(parents=True, exist_ok=True)
    command = Command(
        multirun=multirun,
        overrides=words_of(config.hydra),
        config_dir=config_dir_of(config.hydra),
        time=datetime.now().isoformat(timespec="seconds"),
    )
    entry = yaml.safe_dump([command.model_dump()], sort_keys=False, allow_unicode=True).encode()
    with (study / FILE).open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if file.write(entry) < len(entry):  # the disk is full: what was there stays readable
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)


def read_commands(study: Path) -> list[Command]:
    """The entries of the study's commands.yaml.

    Raises:
        ConfigError: there is none, or it holds something else.
    """
    path = study / FILE
    try:
        entries = read_yaml(path)
        if not isinstance(entries, list):
            raise ValueError("not a list of commands")
        return [Command.model_validate(entry) for entry in entries]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: cannot be read: {where} {first['msg']}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ConfigError(f"{path}: cannot be read: {reason}") from error


def key_of(word: str) -> str:
    """The key of `key=value`, whatever is to be done with it (`+`, `++`, `~`)."""
    return word.lstrip("+~").partition("=")[0]


def words_of(hydra: Any) -> list[str]:
    """What the command line said that Hydra's node comes from, but for the mode."""
    said = hydra.overrides
    return [word for word in (*said.task, *said.hydra) if key_of(word) != "hydra.mode"]


def config_dir_of(hydra: Any) -> str | None:
    """The folder of `--config-dir`, if one was given."""
    sources = hydra.runtime.config_sources
    return next((source.path for source in sources if source.provider == "command-line"), None)
