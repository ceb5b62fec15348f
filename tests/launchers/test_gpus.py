"""Which worker sees which GPUs, with counts of our own: no GPU is asked."""

import os
import subprocess

import pytest

from theta0.errors import ConfigError
from theta0.launchers.gpus import named_in, shares, visible

TWO = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1a2b)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-3c4d)
"""
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1a2b)
  MIG 3g.20gb     Device  0: (UUID: MIG-aaaa)
  MIG 3g.20gb     Device  1: (UUID: MIG-bbbb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-3c4d)
"""


def names(shared):
    return [share.get("CUDA_VISIBLE_DEVICES") for share in shared]


def test_each_worker_has_its_own():
    assert names(shares(["a", "b", "c", "d"], 1, 4)) == ["a", "b", "c", "d"]
    assert names(shares(["a", "b", "c", "d"], 2, 2)) == ["a,b", "c,d"]
    assert names(shares(["a", "b", "c", "d"], 1, 2)) == ["a", "b"]


def test_more_workers_than_gpus_share_them_evenly():
    assert names(shares(["a", "b"], 1, 5)) == ["a", "b", "a", "b", "a"]
    assert names(shares(["a", "b", "c"], 2, 2)) == ["a,b", "a,b"]


def test_nothing_is_set_without_gpus_or_where_all_see_all():
    assert shares([], 1, 2) == [{}, {}]
    assert shares(["a", "b"], 0, 2) == [{}, {}]


def test_too_few_are_refused():
    with pytest.raises(ConfigError, match=r"^hydra\.launcher\.gpus=3: must be at most 2"):
        shares(["a", "b"], 3, 1)


@pytest.mark.parametrize(
    ("told", "found"),
    [("", []), ("-1", []), ("0", ["0"]), ("1,3", ["1", "3"]), ("2, 0,-1,1", ["2", "0"])],
)
def test_what_is_said_of_them_holds(monkeypatch, told, found):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", told)
    assert visible() == found


def test_nvidia_tells_of_them(monkeypatch):
    monkeypatch.delitem(os.environ, "CUDA_VISIBLE_DEVICES", raising=False)

    def run(command, **_):
        assert command == ["nvidia-smi", "--list-gpus"]
        return subprocess.CompletedProcess(command, 0, stdout=TWO)

    monkeypatch.setattr(subprocess, "run", run)
    assert visible() == ["GPU-1a2b", "GPU-3c4d"]


def test_a_gpu_that_is_divided_counts_as_its_parts():
    assert named_in(DIVIDED) == ["MIG-aaaa", "MIG-bbbb", "GPU-3c4d"]
    assert named_in("NVIDIA-SMI has failed\n") == []


def test_a_machine_without_the_tool_has_none(monkeypatch, tmp_path):
    monkeypatch.delitem(os.environ, "CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    assert visible() == []
