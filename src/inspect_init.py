"""θ₀ layer by layer, without training: python src/inspect_init.py model=... init=..."""

import hydra
from omegaconf import DictConfig

from theta0 import cli


@hydra.main(version_base="1.3", config_path="../configs", config_name="inspect_init")
def main(config: DictConfig) -> None:
    from theta0.inspect_init import inspect_init

    cli.attempt(inspect_init, config)


if __name__ == "__main__":
    cli.main(main)
