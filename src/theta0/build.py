"""From a configuration's node to the object that its `_target_` names."""

import inspect
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate


def build(node: dict[str, Any], **offered: Any) -> Any:
    """Call the node's `_target_` with its keys, and with what it asks for by name of `offered`.

    So a component of theta0 gets what only the run knows (`total_steps`, `folder`), and a class
    from elsewhere is not handed arguments it has never heard of. Raises what the component raises,
    and not Hydra's wrapping of it.
    """
    target = node["_target_"]
    try:
        component = get_object(target)
    except Exception as error:  # Hydra's own, several lines long, whatever the reason
        reason = str(error.__cause__ or error).splitlines()[-1]
        raise ImportError(f"_target_={target}: cannot be loaded: {reason}") from error
    try:
        asked = inspect.signature(component).parameters
        known = {name: value for name, value in offered.items() if name in asked}
        # Called by us: Hydra would make plain dictionaries of what is offered as dataclasses.
        return instantiate(node, _convert_="all", _partial_=True)(**known)
    except InstantiationException as error:
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        raise cause from None
