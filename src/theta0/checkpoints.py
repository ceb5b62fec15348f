"""Checkpoint files: on the disk, whole, before they count; read as plain tensors and containers."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

PARTS = {"state_dict", "epoch", "global_step", "metrics", "processes"}
"""Some of what every checkpoint of a run holds, and a file of bare weights does not."""


class CheckpointFiles(TorchCheckpointIO):
    """How Lightning's trainer writes and reads checkpoints.

    Lightning's own writes into the system's temporary folder first, copies from there where that is
    another disk, leaves its copy there when this one is full, and takes a file that it may not
    write for written.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write `path`. Raises OSError, naming it, where that cannot be done to the last byte."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())  # some disks say only now that they are full
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return read_checkpoint(path)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A run's checkpoint, on the CPU; no code in it is run.

    Raises OSError where the file is not there or not to be read, and ValueError, in one line, for
    one that is truncated, holds more than plain tensors and containers, or was not left by a run.
    """
    if Path(path).exists() and not Path(path).is_file():  # of a pipe there may never be an end
        raise ValueError(f"{path} is no file")
    with open(path, "rb") as file:
        try:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        except Exception:  # of whatever kind: it depends on what the bytes happen to mean
            raise ValueError(f"{path} is truncated or holds more than plain tensors") from None
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= PARTS:
        raise ValueError(f"{path} is no checkpoint of a run (init=pretrained takes bare weights)")
    return checkpoint
