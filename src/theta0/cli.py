"""The front of every entry file: a bad configuration becomes one line and exit code 2."""

import io
import logging
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from theta0.ancestors import end_with
from theta0.compat import start_hydra_faster
from theta0.env_file import load_environment
from theta0.errors import ConfigError, choices, first_line, unknown_key
from theta0.frame import refuse_words
from theta0.identity import register_resolvers
from theta0.output import Output
from theta0.signals import STOPPED, stoppable
from theta0.terminal import printable
from theta0.typed import as_typed, how_to_quote, is_path, left_to_cells, quoted

# HYDRA_FULL_ERROR=1 in the user's environment keeps its meaning: the traceback.
_FULL_ERROR = "HYDRA_FULL_ERROR"
_wants_traceback = False
# optimizer=null, remedy=[dropout,null]: Hydra trips over it.
_NULL_OPTION = re.compile(r"[\w/]+(@[\w.]+)?=(.*[\[,])?\s*null\s*([,\]].*)?")
# remedy=[[ema]]: likewise.
_NESTED_OPTION = re.compile(r"[\w/]+(@[\w.]+)?=.*\[.*\[.*")


class Replay(Exception):
    """Raised by a sweeper in place of a sweep: commands to do instead, as the program's words."""

    def __init__(self, commands: list[list[str]]) -> None:
        super().__init__()
        self.commands = commands


def main(task: Callable[[], Any], verbatim: Sequence[str] = ()) -> None:
    """Run a `@hydra.main` function as a program.

    The project's `.env` is read first; see `theta0.env_file`. A bad configuration ends in one
    line on stderr and exit code 2; a failed run sets exit code 1 elsewhere (theta0.sweep.callback);
    a signal to stop ends the program with 128 and its number. What stands behind `key=` of a key in
    `verbatim` is one text, whatever signs it has.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale's encoding may lack θ
    if type(sys.stdout) is io.TextIOWrapper:
        sys.stdout = Output.of(sys.stdout)
    if "TORCHELASTIC_RUN_ID" in os.environ:  # one of torchrun's, in a session of its own
        end_with(os.getppid())
    load_environment()
    register_resolvers()
    start_hydra_faster()
    sys.argv[1:] = [as_typed(_verbatim(word, verbatim)) for word in sys.argv[1:]]
    global _wants_traceback
    _wants_traceback = os.environ.get(_FULL_ERROR) == "1"
    os.environ[_FULL_ERROR] = "1"  # else Hydra prints the error itself, in several lines
    logging.raiseExceptions = _wants_traceback  # else one a line that run.log has no room for
    try:
        refuse_words(sys.argv[1:])
    except ConfigError as error:
        sys.exit(fail(error))
    with stoppable():
        try:
            _answer(task)
        except Replay as study:
            commands = study.commands
        else:
            return
        sys.exit(_replay(task, commands))


def _replay(task: Callable[[], Any], commands: list[list[str]]) -> int:
    """One command after the other; returns the worst exit code. One that is stopped ends them."""
    worst = 0
    for arguments in commands:
        sys.argv = [sys.argv[0], *arguments]
        print(printable(f"$ {shlex.join(['python', *sys.argv])}"), flush=True)
        try:
            _answer(task)
        except SystemExit as end:
            if end.code in STOPPED:
                raise
            worst = max(worst, end.code if isinstance(end.code, int) else 1)
    return worst


def _answer(task: Callable[[], Any]) -> None:
    """Do the command; what is wrong with it, or that it was told to stop, is said in one line."""
    try:
        _read(task)
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        sys.exit(fail(error))
    except OSError as error:  # a full or read-only disk, where there is no result.json to tell
        fail(error)
        sys.exit(1)
    except (TypeError, ValueError) as error:
        nulls = [word for word in sys.argv[1:] if _NULL_OPTION.fullmatch(word)]
        if "concatenate" in str(error):
            nulls = [word for word in sys.argv[1:] if _NESTED_OPTION.fullmatch(word)]
        elif "NoneType" not in str(error):
            nulls = []
        if not nulls:
            raise
        refusal = ConfigError(f"{nulls[0]}: must be the name of an option, or a list of them")
        refusal.__cause__ = error
        sys.exit(fail(refusal))
    except SystemExit as end:
        if end.code in STOPPED:
            print(f"theta0: stopped by {STOPPED[end.code]}", file=sys.stderr)
        raise


def _read(task: Callable[[], Any]) -> None:
    """Do the command; words that Hydra cannot read or place are tried once more, another way."""
    typed = sys.argv[1:]
    try:
        task()
    except OverrideParseException as error:
        paths = [f"{w.partition('=')[0]}={quoted(w.partition('=')[2])}" if w == error.override
                 and is_path(w) else w for w in typed]  # fmt: skip
        if paths == typed:
            raise
        sys.argv[1:] = paths
        _read(task)
    except ConfigCompositionException as error:
        match = re.match(r"Could not override '([^']+)'", str(error))
        many = {"-m", "--multirun"} & {*typed} or any(w.startswith("search=") for w in typed)
        words = left_to_cells(typed, match[1]) if match and many else None
        if words is None:
            raise
        sys.argv[1:] = words
        _read(task)


def _verbatim(word: str, keys: Sequence[str]) -> str:
    """The word, with its value quoted if it is one of these keys'."""
    key, _, value = word.partition("=")
    return f"{key}={quoted(value)}" if key in keys and value not in ("", "null") else word


def attempt(command: Callable[[DictConfig], Any], config: DictConfig) -> None:
    """A command that does one thing and has no result.json to tell of a failure.

    Exit code 2 for a bad configuration, 1 for files that are missing or wrong, in one line each.
    """
    try:
        command(config)
    except ConfigError as error:
        sys.exit(fail(error))
    except (OSError, ValueError) as error:
        fail(error)
        sys.exit(1)


def fail(error: BaseException) -> int:
    """Say what is wrong with the configuration; returns the exit code."""
    if _wants_traceback:
        traceback.print_exception(error)
    print(f"theta0: {printable(one_line(error))}", file=sys.stderr)
    return 2


def one_line(error: BaseException) -> str:
    """Hydra's message in our form: key, what is allowed, the nearest right spelling."""
    cause = error.__cause__
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(cause, ConfigError):
        return one_line(cause)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        if options := error.options or _options(group, str(error)):
            return f"{group}={option}: no such option; {choices(option, options)}"
    if isinstance(error, OverrideParseException):
        reason = re.sub(
            r"^LexerNoViableAltException.*", "a sign it does not know", first_line(error)
        )
        line = f"{error.override}: cannot be read as key=value: {reason}"
        fix = how_to_quote(str(error.override))
        return f"{line}; in quotes: {fix}" if fix else line
    text = str(error)
    if isinstance(error, ConfigCompositionException):
        if match := re.match(
            r"Could not override '([^']+)'\.\nNo match in the defaults list", text
        ):
            return f"{match[1]}: no such group or key"
        if match := re.match(r"Could not override '([^']+)'\.\nDid you mean to override", text):
            group, _, part = match[1].partition("@")
            return f"{match[1]}: the chosen {group} brings no {part} along"
        if match := re.match(r"Could not override '([^']+)'\.\nTo append .*? \+.*?=(.*)", text):
            unknown = str(getattr(cause, "full_key", ""))
            siblings = _siblings(cause)
            if not siblings:
                parent = (unknown or match[1]).rpartition(".")[0]
                return f"{match[1]}={match[2]}: {parent} is empty: choose something for it first"
            if unknown in ("", match[1]) and (line := _addable(match[1], match[2], cause)):
                return line
            return unknown_key(match[1], match[2], siblings, unknown)
        if match := re.match(r"Ambiguous value for argument '(.+)'", text):
            return f"{match[1]}: several values are a sweep, which -m asks for; a list is [...]"
        if match := re.match(r"Error merging override (\S+)", text):
            return f"{match[1]}: {first_line(cause)}" if cause else first_line(error)
    return first_line(error) if text else first_line(cause or error)


def _addable(key: str, value: str, cause: BaseException | None) -> str:
    """The line for an argument that a component's file leaves at its default: + adds it.

    "" for one that the component does not have. What a class of one's own takes is not known here.
    """
    from theta0.config.components import COMPONENTS  # after a mistake alone: it takes its time

    target = (getattr(cause, "parent_node", None) or {}).get("_target_")
    if target is None:
        return ""
    shipped = [part[target] for part in COMPONENTS.values() if target in part]
    name = key.rpartition(".")[2]
    if not shipped:
        return unknown_key(key, value, _siblings(cause)) + (
            f"; another argument of {target} is added by a plus sign: +{key}={value}"
        )
    optional = any(isinstance(component.fields.get(name), tuple) for component in shipped)
    return f"{key}={value}: not set yet, so add it: +{key}={value}" if optional else ""


def _siblings(cause: BaseException | None) -> list[str]:
    """The keys that stand in the node in which a key was not found."""
    parent = getattr(cause, "parent_node", None)
    return [str(key) for key in parent if key != "hydra"] if parent is not None else []


def _options(group: str, message: str) -> list[str]:
    """The options of a group, from the folders that Hydra searched and names in its message.

    (It lists the options themselves where one was asked for, and not where several were.)
    """
    folders = [Path(found) / group for found in re.findall(r"path=file://(.+)", message)]
    return sorted(file.stem for folder in folders for file in folder.glob("*.yaml"))
