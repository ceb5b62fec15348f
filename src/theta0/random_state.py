"""The process-wide random generators, as a checkpoint holds them."""

import random
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """torch's, numpy's and Python's generators as tensors, numbers and lists."""
    kind, keys, position, has_gauss, gauss = cast(tuple[Any, ...], np.random.get_state())
    version, words, normal = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
        "numpy": [str(kind), torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "python": [version, list(words), normal],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Go on where `random_state` was, as far as the devices are the same."""
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
    if torch.backends.mps.is_available() and state.get("mps") is not None:
        torch.mps.set_rng_state(state["mps"].cpu())
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    version, words, normal = state["python"]
    random.setstate((version, tuple(words), normal))


def what_is_lost(states: Sequence[dict[str, Any]], world: int, device: torch.device) -> str | None:
    """Why a run cannot draw as if it had never stopped, or None where it can.

    Args:
        states: of the processes that wrote the checkpoint.
        world: how many processes there are now.
        device: of this one.
    """
    if len(states) != world:
        return f"the checkpoint is of {_processes(len(states))}, and the run has {world}"
    if device.type == "cuda" and (saved := len(states[0]["cuda"])) != torch.cuda.device_count():
        return f"the checkpoint has that of {saved} GPUs, and there are {torch.cuda.device_count()}"
    if device.type == "mps" and states[0].get("mps") is None:
        return "the checkpoint has none of this device"
    return None


def _processes(number: int) -> str:
    return "one process" if number == 1 else f"{number} processes"
