"""What `make` installs is what was tested: every requirement is in the lock, and nothing else."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from theta0.configurations import configurations

ROOT = Path(__file__).parents[1]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_holds_a_version_that_each_requirement_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    required = [Requirement(r) for r in sum(extras, project["dependencies"])]
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {
        normal(name): version for name, _, version in (line.partition("==") for line in lines)
    }
    assert len(required) > 20
    for requirement in required:
        version = locked.get(normal(requirement.name))
        assert version, f"{requirement.name} is not in requirements.lock"
        assert requirement.specifier.contains(version), requirement


COMPOSE = """
import sys
sys.path.insert(0, sys.argv[1])
import hydra
import theta0
from theta0.config import check
from theta0.configurations import configurations
from theta0.identity import register_resolvers

assert theta0.__file__.startswith(sys.argv[1])
assert str(configurations()).startswith(sys.argv[1])
register_resolvers()
with hydra.initialize_config_dir(str(configurations()), version_base="1.3"):
    words = ["optimizer=sgd", "hydra/launcher=joblib"]
    config = hydra.compose("train", words, return_hydra_config=True)
print(check(config)["optimizer"]["_target_"])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The folder of an unpacked wheel, built without a network from a copy of the project."""
    pytest.importorskip("setuptools", minversion="77")
    here = tmp_path_factory.mktemp("project")
    for name in ("src", "configs"):
        shutil.copytree(
            ROOT / name, here / name, symlinks=True, ignore=shutil.ignore_patterns("*.egg-info")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, here)
    build = "import setuptools.build_meta as backend; print(backend.build_wheel('dist'))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=here, capture_output=True, text=True, check=True
    )
    unpacked = here / "unpacked"
    zipfile.ZipFile(here / "dist" / done.stdout.splitlines()[-1]).extractall(unpacked)
    return unpacked


@pytest.mark.slow
def test_an_installed_theta0_brings_its_configurations_along(wheel, tmp_path):
    ours = {str(path.relative_to(ROOT / "configs")) for path in (ROOT / "configs").rglob("*.yaml")}
    packaged = wheel / "theta0" / "configs"
    assert {str(path.relative_to(packaged)) for path in packaged.rglob("*.yaml")} == ours
    assert (packaged / "train.yaml").read_text() == (ROOT / "configs" / "train.yaml").read_text()
    code = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src" / "theta0").rglob("*.py")}
    assert code <= {str(path.relative_to(wheel)) for path in wheel.rglob("*.py")}
    done = subprocess.run(
        [sys.executable, "-c", COMPOSE, str(wheel)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "torch.optim.SGD\n", done.stderr


def test_a_checkout_has_its_own_configurations():
    assert configurations() == ROOT / "configs"
    assert (ROOT / "src" / "theta0" / "configs").resolve() == ROOT / "configs"
