"""What is other on this machine's devices than a configuration leads one to think: said, or done
in the nearest way that there is."""

from types import SimpleNamespace

import lightning
import pytest
import torch
import yaml
from lightning.pytorch.trainer.states import RunningStage
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from theta0.config import check
from theta0.data import BatchLoader, DataModule
from theta0.devices import on_what_is_here, takes_its_share, warnings_of
from theta0.errors import ConfigError
from theta0.module import PASSED_OVER, Module, first_beyond, forbids_fused
from theta0.random_state import random_state, what_is_lost

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
SHORT = ("trainer.max_epochs=1", "trainer.limit_train_batches=2", "model.widths=[8]", "study=s")


def trainer(device="cpu", world=1):
    strategy = SimpleNamespace(root_device=torch.device(device))
    return SimpleNamespace(strategy=strategy, world_size=world)


OURS, OWN = DataModule.__new__(DataModule), lightning.LightningDataModule()
PLAIN = torch.nn.Linear(2, 2)
NORMED = torch.nn.Sequential(PLAIN, torch.nn.BatchNorm1d(2))


@pytest.mark.parametrize(
    ("device", "world", "node", "network", "data", "gpus", "said"),
    [
        ("cpu", 1, {"accelerator": "auto"}, NORMED, OWN, [], []),
        ("cpu", 1, {"accelerator": "auto"}, PLAIN, OURS, ["GPU-1"], ["on the CPU, although"]),
        ("cpu", 1, {"accelerator": "cpu"}, PLAIN, OURS, ["GPU-1"], []),
        ("cuda", 1, {"accelerator": "auto"}, PLAIN, OURS, ["GPU-1"], []),
        ("cpu", 2, {"accelerator": "cpu"}, PLAIN, OURS, [], []),
        ("cpu", 2, {"accelerator": "cpu"}, NORMED, OURS, [], ["batch norm: each of 2 processes"]),
        ("cuda", 4, {"accelerator": "gpu", "sync_batchnorm": True}, NORMED, OURS, [], []),
        ("cpu", 2, {"accelerator": "cpu"}, PLAIN, OWN, [], ["a data module of one's own: each of"]),
    ],
)
def test_what_a_run_is_warned_of(monkeypatch, device, world, node, network, data, gpus, said):
    monkeypatch.setattr("theta0.launchers.gpus.visible", lambda: gpus)
    found = warnings_of(trainer(device, world), node, network, data)
    assert len(found) == len(said)
    for line, start in zip(found, said, strict=True):
        assert line.startswith(start)


@NO_GPU
def test_a_gpu_that_torch_cannot_use_is_said_and_the_device_recorded(
    in_process, tmp_path, monkeypatch
):
    monkeypatch.setattr("theta0.launchers.gpus.visible", lambda: ["GPU-1"])
    ran = in_process(tmp_path, "trainer=auto", "trainer.accelerator=auto", *SHORT)
    assert ran.code == 0, ran.out
    (warning,) = ran.one().warnings
    assert f"{ran.one().run}  warning: {warning}\n" in ran.out
    assert warning.startswith("on the CPU, although this machine has a GPU")
    assert ran.one().environment["device"] == "cpu"
    assert ran.one().environment["gpu"] == []


def test_several_processes_share_the_rows_of_a_data_module_of_one_s_own():
    """By Lightning's sampler; theta0's own loader takes its share itself, and is left alone."""
    rows = torch.arange(10.0)
    for data, sampled in ((OWN, True), (OURS, False)):
        assert takes_its_share(data) is not sampled
        made = lightning.Trainer(
            accelerator="cpu", devices=2, strategy="ddp", logger=False, barebones=False,
            enable_checkpointing=False, use_distributed_sampler=not takes_its_share(data),
        )  # fmt: skip
        prepare = made._data_connector._prepare_dataloader
        loader = DataLoader(TensorDataset(rows), batch_size=2)
        prepared = prepare(loader, shuffle=True, mode=RunningStage.TRAINING)
        assert isinstance(prepared.sampler, DistributedSampler) is sampled
        if sampled:
            assert (prepared.sampler.num_replicas, len(prepared.sampler)) == (2, 5)
        ours = BatchLoader(rows, rows, batch_size=2, rank=0, world=2)
        assert prepare(ours, shuffle=True, mode=RunningStage.TRAINING) is ours


@pytest.mark.parametrize("trainer", ["ddp", "multinode"])
def test_batch_norm_is_that_of_one_process_on_gpus(compose, trainer):
    assert compose(f"trainer={trainer}").trainer.sync_batchnorm is True


def test_on_a_cpu_torch_has_no_batch_norm_over_processes(compose, monkeypatch):
    monkeypatch.setattr("theta0.config.processes.usable_cores", lambda: 2)
    with pytest.raises(ConfigError, match=r"^trainer\.sync_batchnorm=true: torch has it for GPUs"):
        check(compose("trainer=ddp_cpu", "trainer.sync_batchnorm=true"))
    check(compose("trainer=cpu", "trainer.sync_batchnorm=true"))  # one process: nothing to do


# ------------------------------------------------------------------- a run of another machine


@pytest.mark.parametrize(
    ("node", "here", "changes"),
    [
        ({"accelerator": "gpu", "devices": 4, "strategy": "ddp"}, {"cuda"}, {}),
        ({"accelerator": "gpu"}, {"mps"}, {}),
        ({"accelerator": "cpu"}, set(), {}),
        ({"accelerator": "auto"}, set(), {}),
        (
            {"accelerator": "gpu", "devices": 4, "strategy": "ddp", "sync_batchnorm": True},
            set(),
            {"accelerator": "cpu", "devices": 1, "strategy": "auto", "sync_batchnorm": False},
        ),
        ({"accelerator": "mps"}, {"cuda"}, {"accelerator": "cpu"}),
        (
            {"accelerator": "cuda", "precision": "16-mixed"},
            set(),
            {"accelerator": "cpu", "precision": "bf16-mixed"},
        ),
    ],
)
def test_a_run_of_another_machine_is_done_on_what_is_here(monkeypatch, node, here, changes):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in here)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in here)
    found, said = on_what_is_here(node)
    assert (said is None) is not bool(changes)
    assert {k: v for k, v in found.items() if node.get(k, v) != v} == changes | {
        k: v for k, v in changes.items() if k in node
    }
    if changes:
        assert f"trainer.accelerator={node['accelerator']}: there is none here" in said
        assert (found["devices"], found["num_nodes"], found["strategy"]) == (1, 1, "auto")


@NO_GPU
def test_a_run_of_a_gpu_is_evaluated_and_reproduced_on_a_cpu(in_process, tmp_path):
    ran = in_process(tmp_path, *SHORT)
    first, folder = ran.one("s"), ran.folder(ran.one("s"))
    on_gpu = {"accelerator": "gpu", "devices": "auto", "strategy": "ddp"}
    first.config["trainer"] |= on_gpu
    first.write(folder)
    copy = yaml.safe_load((folder / "config.resolved.yaml").read_text())
    copy["trainer"] |= on_gpu
    (folder / "config.resolved.yaml").write_text(yaml.safe_dump(copy))
    line = "trainer.accelerator=gpu: there is none here, so it is done on the CPU"
    evaluated = in_process(tmp_path, f"run={folder}", program="eval.py")
    assert (evaluated.code, evaluated.err) == (0, f"theta0: {line}\n")
    assert f"test/acc {first.metrics['test/acc']}\n" in evaluated.out
    again = in_process(tmp_path, f"run={folder}", "folder=again", program="reproduce.py")
    assert again.code == 0, again.out
    assert f"{line}\n" in again.out
    assert "IDENTICAL" in again.out


# ----------------------------------------------------------------------------- random state


@pytest.mark.parametrize(
    ("states", "world", "device", "gpus", "lost"),
    [
        ([{"cuda": []}], 1, "cpu", 0, None),
        ([{"cuda": [1, 2]}], 1, "cpu", 1, None),  # it drew on the CPU, and does again
        ([{"cuda": [1, 2]}], 1, "cuda", 2, None),
        ([{"cuda": [1, 2]}], 1, "cuda", 1, "that of 2 GPUs, and there are 1"),
        ([{"cuda": []}], 1, "cuda", 1, "that of 0 GPUs, and there are 1"),  # a stack's member
        ([{"cuda": []}] * 2, 1, "cpu", 0, "of 2 processes, and the run has 1"),
        ([{"cuda": []}], 2, "cpu", 0, "of one process, and the run has 2"),
        ([{"cuda": []}], 1, "mps", 0, "none of this device"),
        ([{"cuda": [], "mps": torch.zeros(1)}], 1, "mps", 0, None),
    ],
)
def test_random_state_that_cannot_be_restored(monkeypatch, states, world, device, gpus, lost):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    found = what_is_lost(states, world, torch.device(device))
    assert found is None if lost is None else found.endswith(lost)


def test_a_run_that_cannot_draw_as_before_says_so(in_process, tmp_path):
    """Continued on one process from the checkpoint of two."""
    ran = in_process(tmp_path, *SHORT)
    result, folder = ran.one("s"), ran.folder(ran.one("s"))
    path = folder / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    assert set(checkpoint["processes"][0]["random"]) == set(random_state())
    checkpoint["processes"] *= 2
    torch.save(checkpoint, path)
    result.status = "interrupted"
    result.write(folder)
    again = in_process(tmp_path, *SHORT)
    (warning,) = again.one("s").warnings
    assert warning.startswith("the random state could not be restored: the checkpoint is of 2 proc")
    assert again.out.count(warning) == 1


# ------------------------------------------------------------------------- mixed precision


@pytest.mark.parametrize(
    ("finite", "allowed", "before", "expected"),
    [
        ("11111", 0, 0, (5, 0)),
        ("11011", 0, 0, (2, 1)),
        ("10101", 1, 0, (5, 0)),
        ("10011", 1, 0, (2, 2)),
        ("01111", 2, 2, (0, 3)),  # in a row with those before
        ("11100", 2, 0, (5, 2)),
        ("", 0, 0, (0, 0)),
    ],
)
def test_where_losses_are_no_longer_finite(finite, allowed, before, expected):
    assert first_beyond([c == "1" for c in finite], allowed, before) == expected


@pytest.mark.parametrize("scaled", [False, True])
def test_what_a_scaler_survives_is_no_divergence(scaled):
    """A step whose gradients are infinite is passed over; that they always are is divergence."""

    class Stop(Exception):
        pass

    def losses(*values):
        module._unchecked = [(step, torch.tensor(v)) for step, v in enumerate(values)]

    module = SimpleNamespace(
        _passed_over=PASSED_OVER if scaled else 0,
        _not_finite=0,
        trainer=SimpleNamespace(world_size=1),
        _diverged=lambda reason, batch: Stop(reason),
    )
    losses(1.0, float("inf"), 1.0)
    if scaled:
        Module._check_finite(module)
        losses(*[float("inf")] * PASSED_OVER)
        Module._check_finite(module)
        losses(float("nan"), 1.0)
    with pytest.raises(Stop, match="at step 0" if scaled else "at step 1"):
        Module._check_finite(module)


@pytest.mark.parametrize(
    ("precision", "clip", "forbidden"),
    [
        ("32-true", 1.0, False),
        ("bf16-mixed", None, False),
        ("bf16-mixed", 1.0, True),  # Lightning refuses to clip beside it
        ("16-mixed", None, True),
    ],
)
def test_where_a_fused_step_is_forbidden(precision, clip, forbidden):
    assert forbids_fused(precision, clip) is forbidden


@pytest.mark.parametrize("clip", ["null", "1.0"])
def test_a_step_of_bfloat16_is_fused_unless_it_is_clipped(in_process, tmp_path, clip):
    words = ("precision=bf16-mixed", f"trainer.gradient_clip_val={clip}", "optimizer=adamw")
    ran = in_process(tmp_path, *SHORT, *words)
    assert ran.one("s").status == "done", ran.out
    path = ran.folder(ran.one("s")) / "checkpoints" / "last.ckpt"
    (state,) = torch.load(path, weights_only=True)["optimizer_states"]
    assert {bool(group["fused"]) for group in state["param_groups"]} == {clip == "null"}
