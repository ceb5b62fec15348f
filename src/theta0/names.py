"""Names that become paths: of a study, of a run, of a process."""

import re

LONGEST = 255
"""Bytes of a file's name, on every common file system."""


def plain_name(text: object) -> str:
    """The text itself, if a file of that name lies in the folder where it is looked for.

    Raises ValueError for anything else: a path, `..`, spaces, control characters, nothing at all.
    """
    if not isinstance(text, str) or not re.fullmatch(r"[^/\\\s]+", text) or not text.isprintable():
        raise ValueError("must be a folder's name, without slashes, spaces and control characters")
    if text in (".", ".."):
        raise ValueError("must be a folder's name, not a path to one")
    if len(text.encode(errors="replace")) > LONGEST:
        raise ValueError(f"must have at most {LONGEST} bytes")
    return text


def is_plain_name(text: object) -> bool:
    try:
        return plain_name(text) == text
    except ValueError:
        return False


def is_process_name(text: object) -> bool:
    """Whether it is what `uuid.uuid4().hex` gives a process: 32 hexadecimal digits."""
    return isinstance(text, str) and re.fullmatch(r"[0-9a-f]{32}", text) is not None


def is_option_name(text: object) -> bool:
    """Whether it names a file of a group in configs/, or of a folder in it, and no other file."""
    segment = r"[\w+-][\w.+-]*"
    return isinstance(text, str) and re.fullmatch(f"{segment}(/{segment})*", text) is not None
