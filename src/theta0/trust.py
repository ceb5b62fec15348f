"""What a stranger's run folder may have built: a configuration names classes, and calls them."""

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from theta0.config import COMPONENTS
from theta0.config.schema import NAMED, FolderPath, Objective, Seeds
from theta0.errors import ConfigError, first_line, shown
from theta0.files import read_plain, read_yaml, refuse_links
from theta0.results import Result

SHIPPED: dict[str, frozenset[str]] = {
    place: frozenset(components)
    for place, components in COMPONENTS.items()
    if not place.startswith("hydra.")  # launchers and sweepers are no part of a run
}
"""The exact names that may be built, by the place where they may stand; see `place_of`. (Below a
trusted package lie functions such as torch.hub.load, and a logger is no callback.)"""

SAME = {"optimizer": {"base"}, "init": {"base", "rest"}}
"""Keys below which stands a component of the same group once more."""

DEEPEST, MOST = 32, 200_000
"""Levels and entries of a configuration."""


class _Configuration(BaseModel):
    """What of a run's configuration is read before anything is built: there, and of its kind."""

    data: dict[str, Any]
    model: dict[str, Any]
    init: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    trainer: dict[str, Any]
    finetune: dict[str, Any] | None
    adversary: dict[str, Any] | None
    loss: dict[str, dict[str, Any]]
    metrics: dict[str, dict[str, Any]]
    augmentation: dict[str, dict[str, Any]]
    callbacks: dict[str, dict[str, Any]]
    objective: Objective
    seeds: Seeds
    paths: "_Paths"
    threads: Annotated[int, Field(ge=1, le=4096)]


class _Paths(BaseModel):
    data_dir: FolderPath


def trusted(folder: Path, trust: Sequence[str]) -> Result:
    """The record of a run that someone else may have made, once it asks for nothing strange.

    Its two copies of the configuration, in result.json and config.resolved.yaml, are read as plain
    data; what lies in `.hydra` is not read at all.

    Args:
        folder: of the run.
        trust: packages, modules or classes of the user's own that may be built too.

    Raises:
        ConfigError: there is no run, a file is not plain data or no file, the configuration lacks
            what every run has, or a `_target_`, at any depth, is neither shipped for that place nor
            trusted.
    """
    refuse_links(folder)
    path = folder / "config.resolved.yaml"
    try:
        result = Result.read(folder)
        copy = read_yaml(path) if path.exists() else None
    except (OSError, ValueError) as error:
        raise ConfigError(f"run: {first_line(error)}") from None
    for config in (result.config, copy):
        refuse_strange(config, trust)
    try:
        _Configuration.model_validate(result.config)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"run: {folder / 'result.json'}: config.{key}: {first_line(first['msg'])}"
        ) from None
    return result


def refuse_strange(config: Any, trust: Sequence[str] = (), of: str = "run") -> None:
    """Raises ConfigError where a configuration builds what is neither shipped for its place nor
    trusted. `of` is the key of the command that brought the configuration."""
    for path, target in targets(config):
        line = f"{of}: its configuration builds {shown(target)}, which theta0 does not ship"
        if not isinstance(target, str):
            raise ConfigError(line)
        if any(f"{target}.".startswith(f"{own}.") for own in trust):
            continue
        place = place_of(path)
        if target not in SHIPPED.get(place, ()):
            if any(target in names for names in SHIPPED.values()):
                raise ConfigError(f"{line} for {shown('.'.join(path) or 'this place')}")
            package = target.partition(".")[0]
            raise ConfigError(f"{line}; if you know what that does: 'trust=[{package}]'")


def place_of(path: Sequence[str]) -> str:
    """The kind of place that a node's keys lead to: `callbacks` of callbacks.checkpoint,
    `augmentation.transform` of augmentation.crop.transform, `init` of init.base."""
    group, *inner = path or [""]
    if group in NAMED:
        if not inner:
            return ""
        inner = inner[1:]
    same = SAME.get(group, set())
    return ".".join([group, *(key for key in inner if key not in same)])


def targets(tree: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(keys of the node, its `_target_`) for every one, in containers of containers.

    Raises ConfigError for a tree without end, as YAML's aliases make one.
    """
    waiting: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    seen = 0
    while waiting:
        path, node = waiting.pop()
        seen += 1
        if len(path) > DEEPEST or seen > MOST:
            raise ConfigError("run: its configuration is nested too deeply, or too large")
        if isinstance(node, list):
            waiting += [((*path, str(index)), value) for index, value in enumerate(node)]
        elif isinstance(node, dict):
            waiting += [((*path, str(key)), value) for key, value in node.items()]
            if "_target_" in node:
                yield path, node["_target_"]


def own_targets(words: Sequence[str]) -> list[str]:
    """What a command names itself, and so trusts: `_target_`s in its words and in the files of its
    --config-dir, and trust=[...].

    Args:
        words: of the command line, without the program.
    """
    folders = [Path(word.partition("=")[2]) for word in words if word.startswith("--config-dir=")]
    following = itertools.pairwise(words)
    folders += [Path(folder) for flag, folder in following if flag in ("--config-dir", "-cd")]
    files = [path for folder in folders for path in folder.rglob("*.yaml")]
    named = [*words, *(read_plain(path) for path in files if path.is_file())]
    found = [target for text in named for target in _NAMED_TARGET.findall(text)]
    trust = [word.partition("=")[2].strip("[]") for word in words if word.startswith("trust=")]
    return found + [own.strip() for entry in trust for own in entry.split(",") if own.strip()]


_NAMED_TARGET = re.compile(r"_target_['\"]?\s*[=:]\s*['\"]?([\w.]+)")


def texts(node: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """(keys, text) of every text in containers of containers."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from texts(value, (*above, str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from texts(value, (*above, str(index)))
    elif isinstance(node, str):
        yield above, node
