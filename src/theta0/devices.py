"""Which devices a run uses, and what is not the same on them as on others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn

from theta0.data import DataModule
from theta0.launchers import gpus

DRIVER = Path("/proc/driver/nvidia/gpus")
"""Where NVIDIA lists the GPUs of a Linux machine, also those that a job may not use."""


def devices_of(trainer: lightning.Trainer) -> list[torch.device]:
    """The devices that the run's processes on this machine use."""
    return getattr(trainer.strategy, "parallel_devices", None) or [trainer.strategy.root_device]


def takes_its_share(data: lightning.LightningDataModule) -> bool:
    """Whether each of several processes gets its own rows of `data` without Lightning's help.

    A data module of one's own that says nothing of processes does not: every process would train
    on all rows, so Lightning puts a DistributedSampler into its loaders.
    """
    return isinstance(data, DataModule)


def warnings_of(
    trainer: lightning.Trainer, node: dict[str, Any], network: nn.Module, data: Any
) -> list[str]:
    """What of a run is other than its configuration leads one to think.

    Args:
        trainer: built of `node`, the configuration's.
        network: before the trainer has moved it.
        data: the run's data module.
    """
    return [*_fallen_back(trainer, node), *_of_several_processes(trainer, node, network, data)]


def _fallen_back(trainer: lightning.Trainer, node: dict[str, Any]) -> Iterator[str]:
    on_cpu = trainer.strategy.root_device.type == "cpu"
    if on_cpu and node["accelerator"] == "auto" and (gpus.visible() or DRIVER.is_dir()):
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
        yield (
            f"on the CPU, although this machine has a GPU: torch cannot use it (it is built for"
            f" {built}; the driver may be older, or the job has asked for no GPU)"
        )


def _of_several_processes(
    trainer: lightning.Trainer, node: dict[str, Any], network: nn.Module, data: Any
) -> Iterator[str]:
    if (world := trainer.world_size) == 1:
        return
    batch_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
    if batch_norm and not node.get("sync_batchnorm"):
        yield (
            f"batch norm: each of {world} processes normalises by its own share of a batch, so the"
            " gradient is not that of one process; on GPUs trainer.sync_batchnorm=true mends it"
        )
    if not takes_its_share(data):
        yield (
            f"a data module of one's own: each of {world} processes takes batches of its loaders,"
            f" so a global batch is {world} of them, and rows are repeated where they do not"
            " divide evenly"
        )


def on_what_is_here(node: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """A trainer's node for this machine, and in words what has been changed.

    A run of another machine, to be evaluated or done again here, may ask for a GPU that is not
    here: it is done on the CPU then, in one process.
    """
    wanted = node.get("accelerator")
    has_mps = torch.backends.mps.is_available()
    here = {
        "cuda": torch.cuda.is_available(),
        "gpu": torch.cuda.is_available() or has_mps,
        "mps": has_mps,
    }
    if here.get(str(wanted), True):
        return node, None
    alone = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto"}
    changed = f"trainer.accelerator={wanted}: there is none here, so it is done on the CPU"
    if "sync_batchnorm" in node:
        alone["sync_batchnorm"] = False
    if node.get("precision") == "16-mixed":
        alone["precision"] = "bf16-mixed"
        changed += ", with precision=bf16-mixed, since it has no 16-mixed"
    return node | alone, changed
