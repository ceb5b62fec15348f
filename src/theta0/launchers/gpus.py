"""Which GPUs there are, and which of them a worker sees; told without CUDA or torch."""

import os
import re
import subprocess
from itertools import takewhile

from theta0.errors import ConfigError


def visible() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES would name them.

    That variable where it is set, else NVIDIA's unique names. A GPU that is divided (MIG) counts
    as its parts.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:  # as CUDA does, up to the first that means none
        words = (word.strip() for word in named.split(","))
        return list(takewhile(lambda word: word and not word.startswith("-"), words))
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    except OSError:
        return []
    return named_in(listed.stdout)


def named_in(listed: str) -> list[str]:
    """The names in what `nvidia-smi --list-gpus` prints: a line a GPU, and below it one a part."""
    gpus = [re.findall(r"UUID: ([\w-]+)", gpu) for gpu in re.split(r"^GPU ", listed, flags=re.M)]
    return [name for names in gpus for name in (names[1:] or names)]


def shares(gpus: list[str], each: int, workers: int) -> list[dict[str, str]]:
    """CUDA_VISIBLE_DEVICES for each of several workers: `each` GPUs of its own, while there are.

    More workers than GPUs share them evenly. Nothing is set where there are no GPUs, or each = 0.
    Raises ConfigError where there are too few for one worker.
    """
    if not gpus or not each:
        return [{}] * workers
    if each > len(gpus):
        raise ConfigError(
            f"hydra.launcher.gpus={each}: must be at most {len(gpus)}, which are here"
        )
    groups = [gpus[i : i + each] for i in range(0, len(gpus) - each + 1, each)]
    return [
        {"CUDA_VISIBLE_DEVICES": ",".join(groups[worker % len(groups)])}
        for worker in range(workers)
    ]
