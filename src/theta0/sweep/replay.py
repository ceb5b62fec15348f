"""`-m study=X` alone: every command of the study once more, which does what is left of it."""

import difflib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from theta0.errors import ConfigError, first_line
from theta0.identity import run_overrides
from theta0.sweep.commands import FILE, Command, config_dir_of, key_of, read_commands, words_of
from theta0.sweep.compose import Composer
from theta0.sweep.foreign import refuse_unsafe, unsafe

ANEW = ("study", "paths.log_dir", "rerun", "rendezvous")
"""Keys for which the words of the past do not count."""


def is_replay(axes: Mapping[str, Sequence[str]]) -> bool:
    """Whether a sweep's words name one study and nothing else that makes a run what it is.

    Args:
        axes: the values of each key, as words.
    """
    single = all(len(values) == 1 for values in axes.values())
    return single and "study" in axes and not run_overrides([v for [v] in axes.values()])


def commands_to_replay(config: DictConfig, compose: Composer) -> list[list[str]]:
    """The arguments of each command of the configuration's study, in order, each command once.

    What is said now (`rerun=failed`, `hydra/launcher=joblib`) is said to each. `compose` composes
    the jobs of the present command.

    Raises:
        ConfigError: there is no such study, its commands cannot be read, or one of them is not to
            be done unread.
    """
    study = Path(config.hydra.sweep.dir)
    if not study.is_dir():
        held = [path.parent.name for path in study.parent.glob(f"*/{FILE}")]
        near = difflib.get_close_matches(study.name, held, n=5, cutoff=0)
        told = f"nearest: {', '.join(near)}" if near else "there is none yet"
        raise ConfigError(f"study={study.name}: no such study in {study.parent}; {told}")
    commands = read_commands(study)
    now, folder = words_of(config.hydra), config_dir_of(config.hydra)
    for command in commands:
        _refuse_unread(study, command, _then(command, now), folder, compose)
    once = dict.fromkeys(tuple(_arguments(command, now, folder)) for command in commands)
    return [list(arguments) for arguments in once]


def continue_with(hydra: Any, study: str) -> str:
    """What a person types to do what is left of a study, after the command of Hydra's node."""
    words, folder = words_of(hydra), config_dir_of(hydra)
    now = [f"study={study}", *(word for word in words if key_of(word) == "paths.log_dir")]
    if any(unsafe(word) for word in words if word not in now):
        multirun = hydra.mode == RunMode.MULTIRUN
        command = Command(multirun=multirun, overrides=words, config_dir=folder, time="")
        arguments = _arguments(command, now, folder)
    else:
        arguments = ["-m", *_flag(folder), *now]
    return shlex.join(["python", sys.argv[0], *arguments])


def _arguments(command: Command, now: list[str], folder: str | None) -> list[str]:
    """A command's words followed by those of now, which replace others of their keys."""
    flags = [*(["-m"] if command.multirun else []), *_flag(folder)]
    return [*flags, *_then(command, now), *now]


def _then(command: Command, now: list[str]) -> list[str]:
    """The words of a command that count still."""
    new = {*ANEW, *map(key_of, now)}
    return [word for word in command.overrides if key_of(word) not in new]


def _flag(folder: str | None) -> list[str]:
    return [f"--config-dir={folder}"] if folder else []


def _refuse_unread(
    study: Path, command: Command, then: list[str], folder: str | None, compose: Composer
) -> None:
    """A study may be another person's: what its commands could run has to be said by a person."""
    if command.config_dir not in (None, folder):
        raise ConfigError(
            f"study={study.name}: was run with --config-dir={command.config_dir}: say so again"
        )
    try:
        refuse_unsafe(then, compose)
    except HydraException:
        return  # an option that is gone, say: the command ends so itself, and the others are done
    except (ConfigError, OmegaConfBaseException) as error:
        raise ConfigError(
            f"study={study.name}: {study / FILE} says {first_line(error)}: a command with that is"
            " repeated by saying all of it"
        ) from error
