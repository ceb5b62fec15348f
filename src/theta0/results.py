"""result.json: the contract between training and everything that reads it."""

import json
import math
import os
import tempfile
import traceback
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from theta0 import packages
from theta0.errors import first_line, in_words, shown
from theta0.files import read_plain
from theta0.names import plain_name
from theta0.objective import WORST, Mode, counted

INDEX = ".index"
"""In a study's folder, and so a mark of one; see `theta0.index`."""

Status = Literal["running", "interrupted", "pruned", "done", "diverged", "failed"]
FINISHED: tuple[Status, ...] = ("done", "diverged", "pruned")


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _word(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not hold control characters")
    return text


Name = Annotated[str, AfterValidator(plain_name)]
"""Of a folder: the record may be a stranger's, and paths are made of it."""

Word = Annotated[str, AfterValidator(_word)]
"""Stands in tables, on a terminal too."""

Metrics = Annotated[dict[Word, float | None], AfterValidator(_finite)]
"""By name; None where one was not measured or is not finite, so that no mean counts it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Seeds(_Part):
    split: int
    init: int
    order: int
    noise: int


class Objective(_Part):
    """What selected the checkpoint.

    A diverged or failed run has no `value`, nor has one whose metric was never finite: it counts as
    `worst`.
    """

    metric: Word
    mode: Mode
    value: float | None = None

    @property
    def worst(self) -> float:
        return WORST[self.mode]

    @property
    def counted(self) -> float:
        """`value`, or `worst` where there is none."""
        return counted(self.value, self.mode)

    def note(self, metrics: dict[str, float | None]) -> None:
        """Take the value from a run's metrics, if it is a finite number there."""
        value = metrics.get(self.metric)
        self.value = value if value is not None and math.isfinite(value) else None


class Best(_Part):
    """The checkpoint chosen by validation: epoch from 0, optimizer steps done."""

    epoch: int
    step: int


class Cost(_Part):
    """Seconds of fit alone (with validation) and of everything; `step_seconds` = fit / steps.

    `parameters` are all, `trained` those that are not frozen.
    """

    steps: int
    epochs: int
    fit_seconds: float
    wall_seconds: float
    step_seconds: float
    parameters: int
    trained: int


class Hashes(_Part):
    """sha256 of θ₀, of the last weights, and of the data set's arrays."""

    init: str | None = None
    final: str | None = None
    data: str | None = None


class Error(_Part):
    type: str
    message: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> "Error":
        """Of an exception that was caught, with its traceback."""
        text = "".join(traceback.format_exception(error))
        return cls(type=type(error).__name__, message=in_words(error), traceback=text)

    @property
    def line(self) -> str:
        """What a person is told: the message's first line, or the type where it has none."""
        return first_line(self.message) or self.type


class Start(_Part):
    """What a run did with the checkpoint of `ckpt_path`: all of it, or its weights alone."""

    how: Literal["continue", "fine-tune"]
    checkpoint: str
    why: str


class Result(_Part):
    """One run, from its start (`running`) to its end."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    status: Status = "running"
    run: Name
    study: Name
    overrides: list[str]
    choices: dict[Word, Word]
    config: dict[str, Any]
    config_hash: str
    seeds: Seeds
    objective: Objective
    metrics: Metrics = {}
    start: Start | None = None
    best: Best | None = None
    last_metrics: Metrics = {}
    cost: Cost | None = None
    hashes: Hashes = Hashes()
    warnings: list[str] = []
    environment: dict[str, Any] = {}
    error: Error | None = None

    def write(self, folder: Path) -> None:
        """Write folder/result.json atomically: a reader finds the old one or the new one, whole.

        Only the process that holds the run's lock writes, so that a temporary file that is there
        already was left by one that was killed; it is removed.
        """
        for stale in folder.glob(".result.json.*"):
            stale.unlink(missing_ok=True)
        content = _finite(self.model_dump(by_alias=True))
        study = folder.absolute().parent
        if (study / INDEX).exists():  # else it may be any folder
            environment = packages.stored(content["environment"], study, write_atomically)
            content["environment"] = environment
        text = json.dumps(content, indent=1, default=str, allow_nan=False)
        write_atomically(folder / "result.json", text + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Result":
        """Read folder/result.json. Raises ValueError, in one line, if it is missing or broken.

        `environment.packages` are all packages where the study has them; see `theta0.packages`.
        """
        path = folder / "result.json"
        try:
            result = cls.model_validate_json(read_plain(path))
            result.environment = packages.restored(result.environment, folder)
            return result
        except FileNotFoundError:
            raise ValueError(f"{folder}: no run here (result.json is missing)") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            reason = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"{path}: cannot be read: {shown(where)} {reason}") from error
        except (UnicodeDecodeError, OSError) as error:
            problem = getattr(error, "strerror", None) or error
            raise ValueError(f"{path}: cannot be read: {problem}") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file in one step, so that a crash or a full disk leaves the old one whole."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


Runs = list[tuple[Path, Result]]


def read_runs(folder: Path) -> tuple[Runs, list[str]]:
    """The folder and the result of every run of a study, by name, and one line for each result.json
    that cannot be read.

    Parts of the configuration in which runs agree are one object: read-only, and half of the
    memory.
    """
    runs: Runs = []
    broken = []
    parts: dict[str, Any] = {}  # by what they look like: 1 and 1.0 are equal, and not the same
    for path in sorted(folder.glob("*/result.json")):
        try:
            if path.parent.is_symlink():
                raise ValueError(f"{path.parent}: is a link, which is not followed")
            result = Result.read(path.parent)
        except ValueError as error:
            broken.append(str(error))
            continue
        for key, part in result.config.items():
            result.config[key] = parts.setdefault(repr(part), part)
        runs.append((path.parent, result))
    return runs, broken


def read_study(folder: Path) -> tuple[list[Result], list[str]]:
    """The same without the folders."""
    runs, broken = read_runs(folder)
    return [result for _, result in runs], broken
