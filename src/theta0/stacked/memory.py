"""How many members fit into memory at once, measured on small stacks of the same runs."""

import math
import weakref
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from theta0.module import Module, optimizer_of
from theta0.stacked.batches import dtype_of, zeros
from theta0.stacked.rules import Stepper, settings_of
from theta0.stacked.run import network, rates_of

SHARE = 0.8
"""Of the memory that is free: what lies around it, and what allocators round up, needs some too."""


def at_once(
    count: int, config: dict[str, Any], splits: int, device: torch.device, workers: int
) -> int:
    """How many of `count` runs fit into a stack.

    Args:
        count: the runs.
        config: one of theirs, resolved; they have their shapes in common.
        splits: how many data splits they have between them, each of which lies on the device.
        device: where they train.
        workers: stacks that are done side by side; on a CPU they share its memory.

    Returns:
        A number from 0 (not even one fits) to `count`.
    """
    free = free_bytes(device)
    if free is None:
        return count
    two, three = (peak(config, members, device) for members in (2, 3))
    each = three - two
    share = SHARE / workers if device.type == "cpu" else SHARE
    rest = share * free - (two - 2 * each) - splits * data_bytes(config)
    return max(0, min(count, int(rest / each)))


def peak(config: dict[str, Any], members: int, device: torch.device) -> int:
    """Bytes that a stack of members holds at most: one step, and one batch of validation."""
    module = Module.from_config(config)
    optimizer = optimizer_of(config["optimizer"], module.network, module.init)
    settings = settings_of(optimizer, module.network)
    rows, place = config["data"], (device, dtype_of(config))
    with Held() as held:
        stack = network(
            [config] * members,
            [module.network.state_dict()] * members,
            [rates_of(module.network)] * members,
            [torch.Generator() for _ in range(members)],
            module,
            *place,
        )
        weights = {name: stack.parameters[name] for name in stack.trained}
        stepper = Stepper([settings] * members, weights)
        best = {name: tensor.detach().clone() for name, tensor in stack.parameters.items()}
        best |= {name: tensor.clone() for name, tensor in stack.buffers.items()}
        loss, _, output = stack.fit(
            *zeros(rows, (members, rows["batch_size"]), *place), shared=False
        )
        gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
        stepper.step(dict(zip(weights, gradients, strict=True)), torch.ones_like(stepper.steps))
        del loss, output, gradients
        evaluated = zeros(rows, (members, rows["eval_batch_size"]), *place)
        stack.evaluate(*evaluated, shared=False, weights=best)
    return held.most


class Held(TorchDispatchMode):
    """Watches what is made inside.

    Attributes:
        most: bytes that tensors held together, at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.most = self._now = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage not in self._known:
                    self._known[storage] = None
                    self._add(storage.nbytes())
                    weakref.finalize(storage, self._add, -storage.nbytes())
        return result

    def _add(self, size: int) -> None:
        self._now += size
        self.most = max(self.most, self._now)


def data_bytes(config: dict[str, Any]) -> int:
    """Of one data split's rows: inputs and targets."""
    rows = config["data"]
    numbers = math.prod(rows["shape"]) + (1 if rows["num_classes"] else rows["num_outputs"])
    return 8 * numbers * sum(rows["samples"].values())


def free_bytes(device: torch.device) -> int | None:
    """What is free there now, for this process; None: nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu" or not Path("/proc/meminfo").exists():
        return None
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = 1024 * int(lines["MemAvailable"].split()[0])
    # A cluster's or a container's bound on us, by Linux's control groups (version 2).
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        folder = Path("/sys/fs/cgroup", line.removeprefix("0::/"))
        if line.startswith("0::") and (folder / "memory.max").exists():
            bound = (folder / "memory.max").read_text().strip()
            if bound != "max":
                free = min(free, int(bound) - int((folder / "memory.current").read_text()))
    return free
