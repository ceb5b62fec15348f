"""What a run ran on: enough to tell, later, why two runs differ."""

import functools
import importlib.metadata
import logging
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

log = logging.getLogger("theta0")

Fact = TypeVar("Fact")

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux tells of the processor; elsewhere Python knows."""

PATCH = "changes.patch"
"""In a run's folder: how the code differed from its commit."""

LARGEST_PATCH = 20 * 2**20
"""Bytes: a longer patch holds data rather than code, and is not kept."""

GIT_SECONDS = 30.0
"""How long git may take to answer, on a slow network disk say."""


def apply(threads: int) -> None:
    """Set what a run before this one, in the same process, may have set otherwise.

    Determinism and cuDNN's benchmark are set by the trainer, explicitly, every time.
    """
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")


def describe(
    folder: Path | None = None, devices: Sequence[torch.device] = (torch.device("cpu"),)
) -> dict[str, Any]:
    """The environment part of result.json. A fact that the machine does not tell is None.

    Args:
        folder: where changes that no commit has yet are written, if anywhere.
        devices: those that the run's processes on this machine use.
    """
    on_gpu = [device for device in devices if device.type == "cuda"]
    facts: dict[str, Callable[[], Any]] = {
        "python": platform.python_version,
        "platform": platform.platform,
        "packages": _packages,
        "git": lambda: _git(folder),
        "cpu": lambda: {
            "model": known("the CPU's model", _cpu_model),
            "capability": torch.backends.cpu.get_cpu_capability(),
        },
        "device": lambda: devices[0].type,
        "gpu": lambda: [torch.cuda.get_device_name(device) for device in on_gpu],
        "cuda": lambda: _cuda_versions() if on_gpu else None,
        "threads": torch.get_num_threads,
        "deterministic": torch.are_deterministic_algorithms_enabled,
        "cudnn_benchmark": lambda: torch.backends.cudnn.benchmark,
    }
    return {name: known(name, look) for name, look in facts.items()}


def known(fact: str, look: Callable[[], Fact]) -> Fact | None:
    """What `look` finds out about the machine, or None, with the reason in run.log.

    Bookkeeping never ends a run: every fact about the machine is asked for through this function.
    """
    try:
        return look()
    except Exception as error:
        log.debug("not recorded: %s (%s: %s)", fact, type(error).__name__, error)
        return None


@functools.cache
def _packages() -> dict[str, str]:
    """Versions by name. Of several installed copies the first one on the path, which is imported;
    a folder that an interrupted installation has left has no name, and is passed over."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        told = known("an installed package", lambda d=distribution: (d.name, d.version))  # type: ignore[misc]
        if told is not None and isinstance(told[0], str):
            found.setdefault(*told)
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def _git(folder: Path | None) -> dict[str, Any] | None:
    """Commit, whether tracked files differ from it, and the name of the file in `folder` that shows
    the difference; None outside a repository."""
    if (commit := _ask_git("rev-parse", "HEAD")).returncode:
        return None
    dirty = known("whether the code has changed", _is_dirty)
    patch = None
    if dirty and folder is not None:
        patch = known("how the code has changed", lambda: _write_patch(folder / PATCH))
    return {"sha": commit.stdout.decode().strip(), "dirty": dirty, "patch": patch}


def _is_dirty() -> bool:
    code = _ask_git("diff", "--no-ext-diff", "--quiet", "HEAD", "--", ":/").returncode
    if code not in (0, 1):
        raise OSError(f"git diff ended with exit code {code}")
    return code == 1


def _write_patch(path: Path) -> str:
    """Write the difference from the commit as git prints it; returns the file's name.

    Raises OSError, and leaves no file, where git fails or the patch is too long to keep.
    """
    try:
        with path.open("wb") as file:
            arguments = ("diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD", "--", ":/")
            code = _ask_git(*arguments, stdout=file).returncode
        if code or path.stat().st_size > LARGEST_PATCH:
            raise OSError(f"git diff ended with exit code {code}, {path.stat().st_size} bytes")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path.name


def _ask_git(
    *arguments: str, stdout: Any = subprocess.PIPE
) -> "subprocess.CompletedProcess[bytes]":
    """git in the folder of the code. Raises OSError where there is none, or no answer in time."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        timeout=GIT_SECONDS,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"},
    )


@functools.cache
def _cpu_model() -> str:
    lines = CPUINFO.read_text(errors="replace").splitlines() if CPUINFO.exists() else []
    names = (x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _cuda_versions() -> dict[str, Any]:
    return {
        "cuda": torch.version.cuda,
        "cudnn": known("cuDNN's version", torch.backends.cudnn.version),
        "nccl": known("NCCL's version", lambda: ".".join(map(str, torch.cuda.nccl.version()))),
    }
