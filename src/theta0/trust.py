"""What a stranger's run folder may have built: a configuration names classes, and calls them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from theta0.config import COMPONENTS
from theta0.errors import ConfigError, first_line
from theta0.results import Result

OTHERS = {
    "lightning.pytorch.callbacks.EarlyStopping",
    "lightning.pytorch.callbacks.LearningRateMonitor",
    "torchmetrics.MeanAbsoluteError",
    "torchmetrics.MeanSquaredError",
    "torchmetrics.R2Score",
    "torchmetrics.classification.MulticlassAccuracy",
    "torchvision.transforms.v2.RandomCrop",
    "torchvision.transforms.v2.RandomErasing",
    "torchvision.transforms.v2.RandomHorizontalFlip",
}
"""What the shipped configurations name beside the components of theta0.config."""

SHIPPED = OTHERS | {
    target
    for group, components in COMPONENTS.items()
    if not group.startswith("hydra.")  # launchers and sweepers are no part of a run
    for target in components
}
"""Exact names: below a trusted package lie functions such as torch.hub.load."""


def trusted(folder: Path, trust: Sequence[str]) -> Result:
    """The record of a run that someone else may have made, once it asks for nothing strange.

    Its two copies of the configuration, in result.json and config.resolved.yaml, are read as plain
    data; what lies in `.hydra` is not read at all.

    Args:
        folder: of the run.
        trust: packages, modules or classes of the user's own that may be built too.

    Raises:
        ConfigError: there is no run, a file is not plain data, or a `_target_`, at any depth, is
            neither shipped nor trusted.
    """
    try:
        result = Result.read(folder)
        path = folder / "config.resolved.yaml"
        copy = yaml.safe_load(path.read_text()) if path.exists() else None
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or first_line(error)
        raise ConfigError(f"run: {path} is not plain YAML: {problem}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"run: {first_line(error)}") from None
    for target in _targets([result.config, copy]):
        line = f"run: its configuration builds {target}, which theta0 does not ship"
        if not isinstance(target, str):
            raise ConfigError(line)
        if target not in SHIPPED and not any(f"{target}.".startswith(f"{own}.") for own in trust):
            package = target.partition(".")[0]
            raise ConfigError(f"{line}; if you know what that does: 'trust=[{package}]'")
    return result


def _targets(tree: Any) -> Iterator[Any]:
    """Every `_target_` in containers of containers, also where YAML's aliases make them a ring."""
    seen: set[int] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, dict | list):
            continue
        seen.add(id(node))
        if isinstance(node, list):
            waiting += node
        else:
            waiting += node.values()
            if "_target_" in node:
                yield node["_target_"]
