"""What W&B would refuse is refused before the start, in a line that names it."""

import pytest

from theta0.config import check
from theta0.errors import ConfigError, first_line, shown

LONG = "x" * 65


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (f"tags=[{LONG}]", f"tags.0={LONG}: must have at most 64 characters"),
        ("tags=[good,'']", "tags.1='': must have at least 1 character"),
        ("logger.project=a/b", "logger.project=a/b: must have at most 128 characters, and none of"),
        (f"logger.project={2 * LONG}", f"logger.project={2 * LONG}: must have at most 128"),
    ],
)
def test_a_value_that_w_and_b_refuses(compose, word, line):
    with pytest.raises(ConfigError) as refused:
        check(compose("data=digits", "study=s", "logger=wandb", word))
    assert str(refused.value).startswith(line)


def test_a_mode_that_w_and_b_has_not(compose, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "ofline")
    check(compose("data=digits", "study=s", "logger=none"))
    with pytest.raises(ConfigError, match=r"WANDB_MODE=ofline: allowed: online, .* mean offline\?"):
        check(compose("data=digits", "study=s", "logger=wandb"))


def test_the_line_that_says_what_is_wrong_is_picked():
    pydantic = (
        "1 validation error for Settings\nmode\n  Input should be 'online' or 'offline' "
        "[type=literal_error, input_value='x', input_type=str]\n    For further information visit y"
    )
    assert first_line(pydantic) == "Settings.mode: Input should be 'online' or 'offline'"
    assert first_line("Error(s) in loading:\n\tMissing key") == "Error(s) in loading: Missing key"
    assert first_line("one\ntwo") == "one"
    assert shown("") == "''"
