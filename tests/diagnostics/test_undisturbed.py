"""After a look, a network and the random numbers to come are as they were."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from theta0.diagnostics.undisturbed import undisturbed


class Counter(nn.Module):
    """Puts a new tensor in its buffer's place each time."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.count = self.count + 1
        return x


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_put_back(fails):
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), Counter())
    network[1].eval()
    buffers = dict(network.named_buffers())
    values = {name: buffer.clone() for name, buffer in buffers.items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    try:
        with undisturbed(network):
            network.eval()
            network[1].train()
            network(torch.randn(5, 3))
            torch.rand(3), np.random.rand(3), random.random()
            assert network[1].num_batches_tracked == 1
            if fails:
                raise ArithmeticError
    except ArithmeticError:
        assert fails
    assert [m.training for m in network.modules()] == [True, True, False, True, True]
    for name, buffer in network.named_buffers():
        assert buffer is buffers[name]
        assert torch.equal(buffer, values[name])
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]
