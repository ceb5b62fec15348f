"""The project's `.env`: variables that theta0 knows, where the environment does not hold them."""

import os
import re
import sys
from pathlib import Path

from dotenv import dotenv_values

FILE = Path(__file__).parents[2] / ".env"
"""In the project's own folder, whatever folder a command is given in: one from elsewhere could lead
W&B, with the user's key, to another server."""

KNOWN = re.compile("(WANDB|THETA0)_[A-Z0-9_]+|HYDRA_FULL_ERROR|NETRC|CUDA_VISIBLE_DEVICES")


def load_environment() -> None:
    """Set what the file says of known variables; a line on stderr names the others."""
    for name, value in dotenv_values(FILE).items():
        if not KNOWN.fullmatch(name):
            print(
                f"theta0: {FILE}: {name}: not read; allowed: WANDB_*, THETA0_*, HYDRA_FULL_ERROR,"
                " NETRC, CUDA_VISIBLE_DEVICES",
                file=sys.stderr,
            )
        elif value is not None:
            os.environ.setdefault(name, value)
    if data := os.environ.get("THETA0_DATA"):
        os.environ["THETA0_DATA"] = os.path.expanduser(data)  # no shell has read the file
