"""Lightning callbacks of theta0; any other callback is named in a config by its `_target_`."""

from theta0.callbacks.checkpoint import Checkpoint

__all__ = ["Checkpoint"]
