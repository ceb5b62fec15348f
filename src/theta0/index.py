"""The index of a study: each run's words and status, known without opening its result.json."""

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from theta0.files import open_plain, plainly
from theta0.identity import run_overrides
from theta0.names import is_plain_name
from theta0.results import INDEX, Result


class Entry(NamedTuple):
    """One run as its result.json was when the entry was written.

    Attributes:
        run: the name of its folder.
        words: digest of the overrides that it was asked for in; see `digest_of`.
        status: of its result.
        stamp: of its result.json; see `stamp_of`.
    """

    run: str
    words: str
    status: str
    stamp: str

    @classmethod
    def of(cls, folder: Path, result: Result) -> "Entry":
        """Raises OSError where result.json is not there."""
        stamp = stamp_of(folder / "result.json")
        return cls(folder.name, digest_of(result.overrides), result.status, stamp)


class Index:
    """The entries of one study: in INDEX, one line each, of which a run's last one counts.

    The index is derived: whatever it lacks is read from the result.json files, and a line that is
    damaged counts as lacking. Several processes append at once; where a file system loses a line
    that way, the next command adds it again. So a failure to write is no error.

    Args:
        study: the folder of the runs.
    """

    def __init__(self, study: Path) -> None:
        self.study = study
        self._complete = False  # whether each run of the folder has been looked for
        self._clear()

    def same_words(self, overrides: list[str]) -> list[str]:
        """The runs that were asked for in these words. Their result.json has the last word."""
        self._catch_up()
        if not self._complete:
            self._add(name for name in _names(self.study) if name not in self._entries)
            self._complete = True
        found = self._by_words.get(digest_of(overrides), [])
        return sorted({name for name in found if is_plain_name(name)})

    def note(self, folder: Path, result: Result) -> None:
        """Append what a run's result.json says now. `folder` is the run's, and has been written."""
        with contextlib.suppress(OSError):
            self._append([Entry.of(folder, result)])

    @property
    def exists(self) -> bool:
        return (self.study / INDEX).exists()

    def current(self) -> dict[str, Entry]:
        """An entry for each readable result.json, by name; those that have changed are read."""
        self._catch_up()
        stamps = {}
        for name in _names(self.study):
            with contextlib.suppress(OSError):
                stamps[name] = stamp_of(self.study / name / "result.json")
        known = self._entries
        self._add(name for name in stamps if name not in known or known[name].stamp != stamps[name])
        self._complete = True
        return {n: self._entries[n] for n in stamps if n in self._entries}

    def _clear(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._by_words: dict[str, list[str]] = {}
        self._read, self._inode = 0, 0  # bytes of the file, and which file it was
        self._complete = False

    def _catch_up(self) -> None:
        """Read the lines that have been appended since."""
        try:
            with open_plain(self.study / INDEX) as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._inode or found.st_size < self._read:
                    self._clear()
                    self._inode = found.st_ino
                file.seek(self._read)
                text = file.read()
        except OSError:
            self._clear()
            return
        whole = text.rpartition(b"\n")[0]
        self._read += len(whole) + 1 if whole else 0
        for line in whole.decode(errors="replace").split("\n"):
            fields = line.split("\t")
            if len(fields) == len(Entry._fields):
                self._remember(Entry(*fields))

    def _remember(self, entry: Entry) -> None:
        self._entries[entry.run] = entry
        self._by_words.setdefault(entry.words, []).append(entry.run)

    def _add(self, names: Iterator[str]) -> None:
        """Read the result.json of these runs."""
        found = []
        for name in names:
            with contextlib.suppress(OSError, ValueError):
                found.append(Entry.of(self.study / name, Result.read(self.study / name)))
        for entry in found:
            self._remember(entry)
        with contextlib.suppress(OSError):
            self._append(found)

    def _append(self, entries: list[Entry]) -> None:
        """In one write, which local file systems do not mix with another process's."""
        if entries:
            text = "".join("\t".join(entry) + "\n" for entry in entries)
            with open(self.study / INDEX, "ab", buffering=0, opener=plainly) as file:
                file.write(text.encode())


def index_of(study: Path) -> Index:
    """The study's index, read once a command; see `forget`."""
    return _index_at(study.absolute())


@functools.lru_cache(maxsize=8)
def _index_at(study: Path) -> Index:
    return Index(study)


def forget() -> None:
    """At the start of a command: what an earlier one of this process has read may be outdated."""
    _index_at.cache_clear()


def digest_of(overrides: list[str]) -> str:
    """Of what the overrides say of a run, in whatever order."""
    words = json.dumps(sorted(run_overrides(overrides).items()))
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def stamp_of(path: Path) -> str:
    """Another one whenever the file has been replaced or changed: time, size and inode.

    The time alone would depend on the clock and on how finely the file system keeps it.
    """
    found = path.stat()
    return f"{found.st_mtime_ns}.{found.st_size}.{found.st_ino}"


def _names(study: Path) -> list[str]:
    """What may be runs: links are not followed."""
    try:
        with os.scandir(study) as found:
            return [e.name for e in found if not e.name.startswith(".") and not e.is_symlink()]
    except OSError:
        return []
