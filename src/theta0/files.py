"""Files that somebody else may have put into a study: plain ones are read, no link is followed."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from theta0.errors import ConfigError, first_line

MEGABYTE = 2**20
LARGEST = 64 * MEGABYTE
"""Bytes of a file that is read whole; a run's own record has about 15 kB."""

LARGEST_YAML = 4 * MEGABYTE
"""Reading it takes about a second a megabyte."""

OTHERS = ("wandb", ".submitit")
"""Folders in which W&B and submitit keep links of their own; no file that was there is read."""


def plainly(path: str, flags: int) -> int:
    """An opener for `open`, which follows no link and waits for no pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)


def open_plain(path: Path) -> BinaryIO:
    """A regular file, for reading. Raises OSError for a link, a pipe (whose reader waits for ever),
    a device or a folder."""
    try:
        descriptor = plainly(str(path), os.O_RDONLY)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "is a link, which is not followed", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no plain file", str(path))
    return os.fdopen(descriptor, "rb")


def read_plain(path: Path, largest: int = LARGEST) -> str:
    """The text of a regular file. Raises OSError for what is none, or larger than that many bytes;
    UnicodeDecodeError."""
    with open_plain(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"has more than {largest // MEGABYTE} MB", str(path))
    return content.decode()


def read_yaml(path: Path) -> Any:
    """A file of plain YAML. Raises OSError, and ValueError, in one line, for anything else."""
    try:
        return yaml.safe_load(read_plain(path, LARGEST_YAML))
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or first_line(error)
        raise ValueError(f"{path} is not plain YAML: {problem}") from None
    except RecursionError:
        raise ValueError(f"{path} is not plain YAML: it is nested too deeply") from None


def refuse_links(folder: Path, deep: bool = True) -> None:
    """Look at the files of a study or a run before any is written there.

    Args:
        folder: whose files are looked at; it may be a link itself, and need not be there.
        deep: also in the folders below it.

    Raises:
        ConfigError: there is a link, through which a file elsewhere would be read or written, or
            something that is no file.
    """
    for entry in _entries(folder, deep):
        if entry.is_symlink():
            raise ConfigError(
                f"{entry.path}: is a link; in a study links are not followed: put there what it"
                " points to, or delete it"
            )
        if not entry.is_file(follow_symlinks=False):
            raise ConfigError(f"{entry.path}: is no plain file: delete it")


def _entries(folder: Path, deep: bool) -> Iterator["os.DirEntry[str]"]:
    """All but the folders."""
    waiting = [str(folder)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue  # not there, or not to be read: what needs it says so
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield entry
            elif deep and entry.name not in OTHERS:
                waiting.append(entry.path)
