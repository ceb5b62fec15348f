"""From a configuration's node to the object that its `_target_` names."""

import functools
import inspect
from typing import Any

from hydra.utils import get_object

SPECIAL = ("_target_", "_args_", "_partial_", "_recursive_", "_convert_")
"""Hydra's own words in a node; what is built here gets plain containers, whatever `_convert_`."""


def build(node: dict[str, Any], **offered: Any) -> Any:
    """Call the node's `_target_` with its keys, and with what it asks for by name of `offered`.

    So a component of theta0 gets what only the run knows (`total_steps`, `folder`), and a class
    from elsewhere is not handed arguments it has never heard of. Nodes within are built first, as
    Hydra's `instantiate` does; but that one resolves interpolations, and here nothing is resolved:
    in a configuration that has been resolved once, or is a stranger's, `${oc.env:SECRET}` is text.

    Raises ImportError where the target cannot be loaded, and what the component raises.
    """
    target = node["_target_"]
    try:
        component = get_object(target)
    except Exception as error:  # Hydra's own, several lines long, whatever the reason
        reason = str(error.__cause__ or error).splitlines()[-1]
        raise ImportError(f"_target_={target}: cannot be loaded: {reason}") from error
    asked = inspect.signature(component).parameters if offered else ()
    known = {name: value for name, value in offered.items() if name in asked}
    settings = {key: value for key, value in node.items() if key not in SPECIAL}
    arguments = node.get("_args_", [])
    if node.get("_recursive_", True):
        settings, arguments = _built(settings), _built(arguments)
    settings = _with_tensors(component, settings)
    call = functools.partial(component, *arguments, **settings | known)
    return call if node.get("_partial_", False) else call()


def _with_tensors(component: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with a list of numbers as a tensor of floats where the component's signature
    has a tensor: the class weights of torch's losses."""
    lists = [name for name, value in settings.items() if isinstance(value, list)]
    if not lists:
        return settings
    try:
        asked = inspect.signature(component).parameters
    except ValueError:  # a builtin has none
        return settings
    tensors = [n for n in lists if n in asked and "Tensor" in str(asked[n].annotation)]
    if not tensors:
        return settings
    import torch

    return settings | {name: torch.tensor(settings[name]).float() for name in tensors}


def _built(value: Any) -> Any:
    if isinstance(value, dict):
        if "_target_" in value:
            return build(value)
        return {key: _built(part) for key, part in value.items()}
    return [_built(part) for part in value] if isinstance(value, list) else value
