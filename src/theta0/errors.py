"""A bad configuration, and the wording of its one line."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

from theta0.terminal import printable

_REFUSED = re.compile(r"\d+ validation errors? for (\S+)\n(\S+)\n +(.+?)(?: \[type=.*)?(?:\n|$)")
_OUT_OF_MEMORY = re.compile("out of memory|allocate memory")  # torch's words on GPU and CPU


class ConfigError(Exception):
    """A bad configuration, told in one line: which key, its value, what is allowed."""


def shown(value: Any) -> str:
    """A value as it would be typed on the command line."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if value == "":
        return "''"
    text = str(value).replace(" ", "") if isinstance(value, (list, dict)) else str(value)
    return printable(text).replace("\n", r"\n")


def unknown_key(key: str, value: Any, names: Iterable[str], unknown: str = "") -> str:
    """The line for a key that nothing knows, with the keys that may stand beside it.

    `unknown` is the part of the key that was not found, where that is not its last word.
    """
    return (
        f"{key}={shown(value)}: unknown key; {choices((unknown or key).rpartition('.')[2], names)}"
    )


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """`; did you mean adam?`, or nothing where no name comes near."""
    near = difflib.get_close_matches(word, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def choices(word: str, names: Iterable[str]) -> str:
    """`allowed: adam, adamw; did you mean adamw?`"""
    names = list(names)
    return f"allowed: {', '.join(names)}{did_you_mean(word, names)}"


def in_words(error: BaseException) -> str:
    """The error's message; where memory ran out, with what helps before it."""
    text = str(error)
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
        return f"out of memory: take a smaller data.batch_size or model; {first_line(text)}\n{text}"
    return text


def first_line(error: BaseException | str) -> str:
    """The message's first line; with what follows where the first one only announces it."""
    text = str(error).strip()
    if refused := _REFUSED.match(text):  # pydantic: three lines for a value
        return f"{refused[1]}.{refused[2]}: {refused[3]}"
    first, *rest = text.splitlines() or [""]
    return f"{first} {rest[0].strip()}" if first.endswith(":") and rest else first
