"""A callback from its configuration's node."""

from typing import Any

from theta0.build import build

OURS = {"lightning.pytorch.callbacks.EarlyStopping": "theta0.callbacks.EarlyStopping"}
"""Classes of Lightning that a run replaces by its own, which takes the same arguments."""


def build_callback(node: dict[str, Any], **offered: Any) -> Any:
    """The callback; see `theta0.build.build`."""
    target = node["_target_"]
    return build({**node, "_target_": OURS.get(target, target)}, **offered)
