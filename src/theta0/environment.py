"""What a run ran on: enough to tell, later, why two runs differ."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch


def apply(threads: int) -> None:
    """Set what a run before this one, in the same process, may have set otherwise.

    Determinism and cuDNN's benchmark are set by the trainer, explicitly, every time.
    """
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")


def describe(folder: Path | None = None) -> dict[str, Any]:
    """The environment part of result.json; changes that no commit has yet go into `folder`."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": _packages(),
        "git": _git(folder),
        "cpu": {"model": _cpu_model(), "capability": torch.backends.cpu.get_cpu_capability()},
        "gpu": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


@functools.cache
def _packages() -> dict[str, str]:
    found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def _git(folder: Path | None) -> dict[str, Any] | None:
    """Commit, whether tracked files differ from it, and the name of the file in `folder` that says
    how; None outside a repository."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    try:
        sha, changes = git("rev-parse", "HEAD").strip(), git("diff", "HEAD", "--binary", "--", ":/")
    except (OSError, subprocess.CalledProcessError):
        return None
    patch = "changes.patch" if changes and folder is not None else None
    if patch and folder:
        (folder / patch).write_text(changes)
    return {"sha": sha, "dirty": bool(changes), "patch": patch}


@functools.cache
def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
