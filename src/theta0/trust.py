"""What a stranger's run folder may have built: a configuration names classes, and calls them."""

from collections.abc import Iterator, Sequence
from typing import Any

from theta0.config import COMPONENTS
from theta0.errors import ConfigError

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

SHIPPED = OTHERS | {target for group in COMPONENTS.values() for target in group}
"""Exact names: below a trusted package lie functions such as torch.hub.load."""


def refuse_strangers(config: dict[str, Any], trust: Sequence[str]) -> None:
    """Look at every `_target_` of a run's plain configuration, at any depth.

    Args:
        config: as read from a run's folder.
        trust: packages, modules or classes of the user's own that may be built too.

    Raises:
        ConfigError: one of them is neither shipped nor trusted.
    """
    for target in _targets(config):
        if target in SHIPPED or any(f"{target}.".startswith(f"{own}.") for own in trust):
            continue
        package = str(target).partition(".")[0]
        raise ConfigError(
            f"run: its configuration builds {target}, which theta0 does not ship; if you know what"
            f" that does: 'trust=[{package}]'"
        )


def _targets(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)
