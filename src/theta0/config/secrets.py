"""Secrets of the environment, which a configuration must not hold: it is written to disk."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from theta0.errors import ConfigError

SECRET = re.compile(
    r"(KEYS?|KEY_ID|TOKENS?|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|PASS|CREDENTIALS?|AUTH|JWT|(^|_)PAT)$"
)
"""Names of environment variables whose values are nobody else's business."""

ADDRESS = re.compile("(URL|URI|DSN|PROXY|CONNECTION_STRING)$")
"""Names of those that may hold a user's name and password: scheme://user:password@host."""

ASSIGNMENT = re.compile(r"\b([A-Z][A-Z0-9_]*)\s*[=:]\s*['\"]?([^\s'\"$,;]{8,})")
"""A variable set in a line for the shell."""

SHORTEST = 8
"""Letters of a secret; shorter values stand in a configuration by chance."""


def refuse_secrets(plain: Mapping[str, Any], hydra: Any = None) -> None:
    """Raises ConfigError, naming the key and the variable but no secret, where one is held.

    Args:
        plain: a resolved configuration.
        hydra: Hydra's own node, which is written to disk with the words of the command. There a
            variable with a secret's name is refused too, whatever the environment holds.
    """
    known = dict(_secrets(os.environ))
    for key, text in _texts(plain):
        _refuse_known(key, text, known)
    if hydra is None:
        return
    node: Any = OmegaConf.to_container(hydra, resolve=False)
    node.pop("runtime", None)  # folders of this machine, and choices that have been looked at
    with contextlib.suppress(OmegaConfBaseException):  # which instantiating it raises
        # submitit writes these to a script as they are resolved
        resolved: Any = OmegaConf.to_container(hydra.launcher, resolve=True)
        for key, text in _texts(resolved, "hydra.launcher."):
            _refuse_known(key, text, known)
    for key, text in _texts(node, "hydra."):
        _refuse_known(key, text, known)
        name = key.removeprefix("hydra.job.env_set.")
        for variable, value in [(name, text)] if name != key else ASSIGNMENT.findall(text):
            if SECRET.search(variable.upper()) and "${" not in value:
                raise _refusal(key, f"sets {variable}")


def _secrets(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(value, name of the variable) of each secret."""
    for name, value in environment.items():
        found = []
        if SECRET.search(name.upper()):
            found = [value, value.strip()]
        elif ADDRESS.search(name.upper()) and "@" in value:
            try:
                password = urlsplit(value).password
            except ValueError:
                password = None
            user = value.partition("://")[2].rpartition("@")[0]
            found = [value, user, password or ""]
        yield from ((secret, name) for secret in found if len(secret) >= SHORTEST)


def _texts(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted key and text of each value and each key, however deep."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield f"{prefix}{key}", str(key)
            yield from _texts(value, f"{prefix}{key}.")
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _texts(value, prefix)
    else:
        yield prefix.rstrip("."), str(node)


def _refuse_known(key: str, text: str, known: Mapping[str, str]) -> None:
    for secret, name in known.items():
        if secret in text:
            hidden = key.replace(secret, "...")
            raise _refusal(hidden, f"holds the value of the environment's {name}")


def _refusal(key: str, what: str) -> ConfigError:
    return ConfigError(
        f"{key}: {what}, and a configuration is written to disk; read it from the environment where"
        " it is needed"
    )
