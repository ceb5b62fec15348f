"""A finished run done again in a new folder, and compared: reproduce.py run=DIR"""

import sys

import hydra
from omegaconf import DictConfig

from theta0 import cli


@hydra.main(version_base="1.3", config_path="../configs", config_name="reproduce")
def main(config: DictConfig) -> None:
    def reproduce(config: DictConfig) -> None:
        from theta0.reproduce import reproduce

        if not reproduce(config):
            sys.exit(1)

    cli.attempt(reproduce, config)


if __name__ == "__main__":
    cli.main(main)
