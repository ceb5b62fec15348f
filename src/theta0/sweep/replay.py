"""`-m study=X` alone: every command of the study once more, which does what is left of it."""

import difflib
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig

from theta0.errors import ConfigError
from theta0.identity import run_overrides
from theta0.sweep.commands import FILE, Command, config_dir_of, key_of, read_commands, words_of

ANEW = ("study", "paths.log_dir", "rerun", "rendezvous")
"""Keys for which the words of the past do not count."""


def is_replay(axes: Mapping[str, Sequence[str]]) -> bool:
    """Whether a sweep's words name one study and nothing else that makes a run what it is.

    Args:
        axes: the values of each key, as words.
    """
    single = all(len(values) == 1 for values in axes.values())
    return single and "study" in axes and not run_overrides([v for [v] in axes.values()])


def commands_to_replay(config: DictConfig) -> list[list[str]]:
    """The arguments of each command of the configuration's study, in order, each command once.

    What is said now (`rerun=failed`, `hydra/launcher=joblib`) is said to each.

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
        _refuse_unread(study, command, folder)
    once = dict.fromkeys(tuple(_arguments(command, now, folder)) for command in commands)
    return [list(arguments) for arguments in once]


def continue_with(hydra: Any, study: str) -> str:
    """What a person types to do what is left of a study, after the command of Hydra's node."""
    words, folder = words_of(hydra), config_dir_of(hydra)
    now = [f"study={study}", *(word for word in words if key_of(word) == "paths.log_dir")]
    if any(map(_may_run_code, words)):
        multirun = hydra.mode == RunMode.MULTIRUN
        command = Command(multirun=multirun, overrides=words, config_dir=folder, time="")
        arguments = _arguments(command, now, folder)
    else:
        arguments = ["-m", *_flag(folder), *now]
    return shlex.join(["python", sys.argv[0], *arguments])


def _arguments(command: Command, now: list[str], folder: str | None) -> list[str]:
    """A command's words followed by those of now, which replace others of their keys."""
    new = {*ANEW, *map(key_of, now)}
    then = [word for word in command.overrides if key_of(word) not in new]
    return [*(["-m"] if command.multirun else []), *_flag(folder), *then, *now]


def _flag(folder: str | None) -> list[str]:
    return [f"--config-dir={folder}"] if folder else []


def _refuse_unread(study: Path, command: Command, folder: str | None) -> None:
    """A study may be another person's: what its commands could run has to be said by a person."""
    if command.config_dir not in (None, folder):
        raise ConfigError(
            f"study={study.name}: was run with --config-dir={command.config_dir}: say so again"
        )
    for word in command.overrides:
        if _may_run_code(word):
            raise ConfigError(
                f"study={study.name}: {study / FILE} says {word}, which may run code:"
                " a command with that is repeated by saying all of it"
            )


def _may_run_code(word: str) -> bool:
    """Whether a word may name code, or a file that names some.

    A flag, a class, a resolver, a path where an option's name belongs, a setting of Hydra's own.
    """
    if word.startswith("-") or "_target_" in word or "${" in word:
        return True
    key, _, value = word.lstrip("+~").partition("=")
    if "hydra" in key:
        ours = re.fullmatch(r"hydra(/(launcher|sweeper)|\.(launcher|sweeper)\.[\w.]+)", key)
        return ours is None or re.fullmatch(r"[\w.,:-]*", value) is None
    return "." not in key.partition("@")[0] and ".." in value
