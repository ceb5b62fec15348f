"""A finished run's test metrics once more, or on other data: eval.py run=DIR [data=...]"""

import hydra
from omegaconf import DictConfig

from theta0 import cli


@hydra.main(version_base="1.3", config_path="../configs", config_name="eval")
def main(config: DictConfig) -> None:
    from theta0.evaluate import evaluate

    cli.attempt(evaluate, config)


if __name__ == "__main__":
    cli.main(main)
