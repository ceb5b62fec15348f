"""Tables, finding and recommendation of a study: python src/report.py study=logs/first"""

import hydra
from omegaconf import DictConfig

from theta0 import cli


@hydra.main(version_base="1.3", config_path="../configs", config_name="report")
def main(config: DictConfig) -> None:
    from theta0.report.program import report

    cli.attempt(report, config)


if __name__ == "__main__":
    cli.main(main, verbatim=("where",))
