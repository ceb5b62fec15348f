"""Fixtures for the tests of more than one folder."""

from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
from omegaconf import DictConfig

from theta0.identity import register_resolvers

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="session")
def compose() -> Callable[..., DictConfig]:
    """`compose("seed=1", ...)`: what `python src/train.py seed=1 ...` composes, Hydra's node too.

    Takes 0.1 s; each call is a composition of its own, as each run is.
    """

    def compose(*overrides: str) -> DictConfig:
        register_resolvers()
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return hydra.compose("train", list(overrides), return_hydra_config=True)

    return compose
