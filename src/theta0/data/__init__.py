"""Data sets as tensors in memory: their sources, how they are split and batched."""

from theta0.data.batches import Batch, BatchLoader, epoch_order
from theta0.data.datamodule import DataModule, attack_space, training_inputs
from theta0.data.digits import Digits
from theta0.data.finite import require_finite_batches
from theta0.data.linear import LinearRegression
from theta0.data.mnist5k import Mnist5k
from theta0.data.openml import OpenML
from theta0.data.saturating import Saturating
from theta0.data.source import Arrays, Source, load_cached
from theta0.data.split import split_rows
from theta0.data.torchvision_set import TorchvisionSet

__all__ = [
    "Arrays",
    "Batch",
    "BatchLoader",
    "DataModule",
    "Digits",
    "LinearRegression",
    "Mnist5k",
    "OpenML",
    "Saturating",
    "Source",
    "TorchvisionSet",
    "attack_space",
    "epoch_order",
    "load_cached",
    "require_finite_batches",
    "split_rows",
    "training_inputs",
]
