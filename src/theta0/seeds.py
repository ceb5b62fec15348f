"""The seed streams: one seed feeds four independent streams, each of which can be set alone.

`split` moves rows between training and validation, `init` draws θ₀, `order` shuffles batches,
`noise` drives dropout and augmentation. Streams are independent even where their seeds are equal
numbers, since each one's name enters the derivation; so two runs that share a stream's seed share
its draws, whatever the rest of their configuration consumes.
"""

import hashlib
import random

import numpy as np
import torch


def derive(seed: int, *labels: str | int) -> int:
    """A 63-bit seed from a user's seed and the names of what it is for.

    By numpy's SeedSequence, so that neighbouring seeds (0, 1, 2, ...) give unrelated streams.
    Equal arguments give equal results on every platform.
    """
    words = [len(labels), seed, *(_word(label) for label in labels)]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator(seed: int, *labels: str | int) -> torch.Generator:
    """An explicit CPU generator for one stream; draws are moved to a device afterwards."""
    return torch.Generator().manual_seed(derive(seed, *labels))


def seed_global(seed: int, *labels: str | int) -> None:
    """Seed the process-wide generators (torch, numpy, random), from which dropout draws."""
    derived = derive(seed, *labels)
    torch.manual_seed(derived)
    np.random.seed(derived % 2**32)
    random.seed(derived)


def _word(label: str | int) -> int:
    if isinstance(label, int):
        return label
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:4], "big")
