"""The two checkpoints of a run: the best by validation, and the last."""

from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint


class Checkpoint(ModelCheckpoint):
    """`checkpoints/best.ckpt` and `checkpoints/last.ckpt` in the run's folder, after each epoch.

    `best` is the epoch whose `monitor` is the highest (`mode: max`) or lowest (`min`); of equal
    ones the earliest stays.
    """

    def __init__(self, monitor: str, mode: str, folder: Path) -> None:
        super().__init__(
            dirpath=folder / "checkpoints",
            filename="best",
            monitor=monitor,
            mode=mode,
            save_last=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,  # best.ckpt is replaced, never best-v1.ckpt
            save_on_train_epoch_end=True,  # after validation and the epoch's metrics
        )
