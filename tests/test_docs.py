"""docs/catalogue.md says what configs/ says, and every option has a header to say it with."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_catalogue_is_current():
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "docs.py"), "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("group", ["init", "optimizer", "remedy"])
def test_every_option_is_in_the_catalogue(group):
    page = (ROOT / "docs" / "catalogue.md").read_text()
    for path in (ROOT / "configs" / group).glob("*.yaml"):
        if path.stem != "none":
            assert f"| `{path.stem}` |" in page
