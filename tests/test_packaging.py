"""What `make` installs is what was tested: every requirement is in the lock, and nothing else."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

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
