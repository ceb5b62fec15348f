"""The idx file format of MNIST and its relatives.

A magic number (0x0000, the type, the number of dimensions), the sizes as big-endian 32-bit
integers, the data. Source: http://yann.lecun.com/exdb/mnist/
"""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Read an idx file of unsigned bytes, or `path` + `.gz` where only that one exists.

    Args:
        path: the unpacked file's path.
        ndim: how many dimensions the array must have: 3 for images, 1 for labels.

    Returns:
        A read-only uint8 array of the sizes that the file's header names.

    Raises:
        FileNotFoundError: if neither file exists.
        ValueError: if the header is not that of such an array, or the file's size is not.
    """
    if not path.exists():
        path = path.with_name(path.name + ".gz")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is corrupt: {error}") from None
    header = 4 + 4 * ndim
    if content[:4] != bytes([0, 0, 8, ndim]) or len(content) < header:
        raise ValueError(
            f"{path} is corrupt: its header is not that of {ndim}-dimensional idx bytes"
        )
    sizes = [int(size) for size in np.frombuffer(content, ">u4", ndim, offset=4)]
    if len(content) != header + prod(sizes):
        raise ValueError(
            f"{path} is corrupt or truncated: {len(content)} bytes, "
            f"but its header says {header + prod(sizes)}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(sizes)
