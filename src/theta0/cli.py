"""The front of every entry file: a bad configuration becomes one line and exit code 2."""

import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any

from dotenv import load_dotenv
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from theta0.errors import ConfigError, choices, did_you_mean, first_line, unknown_key
from theta0.identity import register_resolvers

# HYDRA_FULL_ERROR=1 in the user's environment keeps its meaning: the traceback.
_FULL_ERROR = "HYDRA_FULL_ERROR"
_wants_traceback = False


def main(task: Callable[[], Any]) -> None:
    """Run a `@hydra.main` function as a program.

    `.env` is read first (what the environment holds already wins). A bad configuration ends in one
    line on stderr and exit code 2; a failed run sets exit code 1 elsewhere (theta0.sweep.callback).
    """
    load_dotenv(".env")
    register_resolvers()
    global _wants_traceback
    _wants_traceback = os.environ.get(_FULL_ERROR) == "1"
    os.environ[_FULL_ERROR] = "1"  # else Hydra prints the error itself, in several lines
    try:
        task()
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        sys.exit(fail(error))
    except ValueError as error:
        if "Config group override" not in str(error):  # optimizer=null
            raise
        sys.exit(fail(error))


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
    print(f"theta0: {one_line(error)}", file=sys.stderr)
    return 2


def one_line(error: BaseException) -> str:
    """Hydra's message in our form: key, what is allowed, the nearest right spelling."""
    cause = error.__cause__
    if isinstance(cause, ConfigError):
        return one_line(cause)
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={option}: no such option; {choices(option, error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value: {first_line(error)}"
    text = str(error)
    if isinstance(error, ConfigCompositionException):
        if match := re.match(
            r"Could not override '([^']+)'\.\nNo match in the defaults list", text
        ):
            return f"{match[1]}: no such group or key{did_you_mean(match[1], _top_level())}"
        if match := re.match(r"Could not override '([^']+)'\.\nTo append .*? \+.*?=(.*)", text):
            unknown = str(getattr(cause, "full_key", ""))
            return unknown_key(match[1], match[2], _siblings(cause), unknown)
        if match := re.match(r"Error merging override (\S+)", text):
            return f"{match[1]}: {first_line(cause)}" if cause else first_line(error)
    return first_line(error) if text else first_line(cause or error)


def _siblings(cause: BaseException | None) -> list[str]:
    """The keys that stand in the node in which a key was not found."""
    parent = getattr(cause, "parent_node", None)
    return [str(key) for key in parent if key != "hydra"] if parent is not None else []


def _top_level() -> list[str]:
    from hydra.core.global_hydra import GlobalHydra

    loader = GlobalHydra.instance().config_loader()
    return loader.list_groups("")
