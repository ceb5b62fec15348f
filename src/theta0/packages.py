"""Installed packages: some 300 versions, stored once a study and named in each run's result.json.

`result.json` holds the versions of NAMED and the sha256 of all; all are in the study's
`environments/<sha256>.json`, whose bytes have that hash. A run's folder that was copied alone can
be read all the same: the other packages are unknown.
"""

import functools
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from theta0.files import read_plain

FOLDER = "environments"
"""In a study's folder."""

NAMED = ("hydra-core", "lightning", "numpy", "omegaconf", "torch", "torchmetrics", "torchvision")
"""Packages whose versions stand in each result.json."""

SHA256 = "packages_sha256"
"""Key of an environment, beside `packages`, where those are NAMED only."""

LARGEST = 2**20
"""Bytes: a file of versions that is longer is something else."""


def stored(
    environment: dict[str, Any], study: Path, write: Callable[[Path, bytes], None]
) -> dict[str, Any]:
    """The environment for a result.json, once `write` has stored its packages in the study.

    It is the same one where they are NAMED already, or cannot be stored.
    """
    short = shortened(environment)
    if short is not environment:
        path = study / FOLDER / f"{short[SHA256]}.json"
        if not path.exists():
            try:
                path.parent.mkdir(exist_ok=True)
                write(path, _text(environment["packages"]))
            except OSError:
                return environment
    return short


def shortened(environment: dict[str, Any]) -> dict[str, Any]:
    """The environment with NAMED packages and the sha256 of all."""
    packages = environment.get("packages")
    if SHA256 in environment or not isinstance(packages, dict) or not packages.keys() - NAMED:
        return environment
    named = {name: packages[name] for name in NAMED if name in packages}
    digest = hashlib.sha256(_text(packages)).hexdigest()
    return environment | {"packages": named, SHA256: digest}


def restored(environment: dict[str, Any], run: Path) -> dict[str, Any]:
    """The environment of a result.json with all packages, where they can be found.

    They are looked for beside the run's folder, and beside `.replaced`, if it lies there.
    """
    digest = environment.get(SHA256)
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        return environment
    for study in run.absolute().parents[:2]:
        try:
            packages = _read(study / FOLDER / f"{digest}.json")
        except (OSError, ValueError):
            continue
        return {k: v for k, v in environment.items() if k != SHA256} | {"packages": packages}
    return environment


@functools.lru_cache(maxsize=64)
def _read(path: Path) -> dict[str, str]:
    """One dictionary for all runs of a study. Raises OSError, and ValueError for other bytes than
    the name promises."""
    text = read_plain(path, LARGEST)
    if hashlib.sha256(text.encode()).hexdigest() != path.stem:
        raise ValueError(f"{path}: is not what its name says")
    packages = json.loads(text)
    if not isinstance(packages, dict) or not all(isinstance(v, str) for v in packages.values()):
        raise ValueError(f"{path}: holds no versions")
    return packages


def _text(packages: dict[str, str]) -> bytes:
    return (json.dumps(packages, indent=1, sort_keys=True) + "\n").encode()
