"""A look at a network that leaves it, and the random numbers to come, as they were."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn


@contextlib.contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Whatever runs inside, modes, buffers and random states are then as before.

    Buffers are BatchNorm's running statistics and the like; random states those of torch, numpy and
    Python. Gradients are for the code inside to leave alone: `torch.autograd.grad` does. A compiled
    network runs uncompiled inside, since hooks do not reach into its graph.
    """
    modes = [(module, module.training) for module in network.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in network.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    devices = {p.device for p in network.parameters() if p.device.type == "cuda"}
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(list(devices)), torch.compiler.set_stance("force_eager"):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
            with torch.no_grad():
                for module, name, buffer, values in buffers:
                    setattr(module, name, buffer.copy_(values))
            for module, training in modes:
                module.training = training
