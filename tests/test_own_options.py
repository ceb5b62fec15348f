"""Other plug-ins may register a launcher or sweeper by the name of one of ours."""

from dataclasses import dataclass

import pytest
from hydra.core.config_store import ConfigStore


@dataclass
class Theirs:
    _target_: str = "hydra_plugins.theirs.Launcher"
    n_jobs: int = -1


@pytest.mark.parametrize(("group", "name"), [("launcher", "joblib"), ("sweeper", "optuna")])
def test_ours_is_used(compose, group, name):
    ConfigStore.instance().store(
        group=f"hydra/{group}", name=name, node=Theirs, provider="hydra-theirs"
    )
    node = compose(f"hydra/{group}={name}").hydra[group]
    assert node._target_ == f"hydra_plugins.{name}_{group}.{name.title()}{group.title()}"
