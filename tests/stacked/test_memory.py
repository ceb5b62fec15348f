"""How many members fit: measured."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from theta0.identity import resolve
from theta0.stacked import memory

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config(compose: Callable[..., Any]) -> dict[str, Any]:
    overrides = ("data=digits", "optimizer=adamw", "model.widths=[32,32]", "study=s")
    return resolve(compose(*overrides, "data.eval_batch_size=10"))


def test_each_member_adds_as_much_as_it_keeps_and_computes(config):
    two, three, four = (memory.peak(config, members, CPU) for members in (2, 3, 4))
    each = three - two
    assert four - three == pytest.approx(each, rel=0.01)
    parameters = 64 * 32 + 32 + 32 * 32 + 32 + 32 * 10 + 10
    kept = 4 * 4 * parameters  # weights, the best ones, two moments
    batch = 4 * 64 * (64 + 2 * 32 + 10)  # inputs and outputs of the layers
    assert kept + batch < each < 2 * (kept + 4 * parameters + batch)


@pytest.mark.parametrize(
    ("room", "workers", "stack"),
    [(1000, 1, 100), (100.5, 1, 100), (100.5, 2, 50), (30.5, 1, 30), (1.5, 1, 1), (0.5, 1, 0)],
)
def test_as_many_as_there_is_room_for(room, workers, stack, config, monkeypatch):
    two, three = (memory.peak(config, members, CPU) for members in (2, 3))
    each, rest = three - two, two - 2 * (three - two) + 2 * memory.data_bytes(config)
    free = (workers * rest + room * each) / memory.SHARE
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    assert memory.at_once(100, config, 2, CPU, workers) == stack


def test_all_fit_where_nobody_knows(config, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    assert memory.at_once(10, config, 1, CPU, 1) == 10


def test_data_counts_by_its_rows(config):
    assert memory.data_bytes(config) == 8 * (64 + 1) * 1797


def test_some_memory_is_free():
    free = memory.free_bytes(CPU)
    assert free is None or 2**20 < free < 2**50
