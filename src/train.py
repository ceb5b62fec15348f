"""One run, or with -m a sweep: python src/train.py -m optimizer=adam,adamw init=xavier,he"""

import hydra
from omegaconf import DictConfig

from theta0 import cli


@hydra.main(version_base="1.3", config_path="../configs", config_name="train")
def main(config: DictConfig) -> float:
    from theta0.run import run

    return run(config)


if __name__ == "__main__":
    cli.main(main)
