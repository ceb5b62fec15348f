"""Where runs go, and what checks them, is not to be switched off from a command or a file."""

import pytest

from theta0.config import check
from theta0.errors import ConfigError
from theta0.frame import check_frame, refuse_words

MOVED = "theta0 names the folders of runs"
WATCHED = "checks the configuration"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("hydra.run.dir=/elsewhere", MOVED),
        ("++hydra.run={dir: x}", MOVED),
        ("hydra.sweep.dir=x", MOVED),
        ("hydra.sweep.subdir=x", MOVED),
        ("~hydra", MOVED),
        ("hydra=inspect", MOVED),
        ("~hydra.callbacks", WATCHED),
        ("~hydra.callbacks.study", WATCHED),
        ("hydra.callbacks.study._target_=mine.X", WATCHED),
        ("hydra.callbacks={}", WATCHED),
        ("hydra/sweeper=basic", "checks nothing"),
    ],
)
def test_words_that_move_runs_or_end_the_checks(in_process, tmp_path, word, reason):
    ran = in_process(tmp_path, word)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"theta0: {word}: ")
    assert reason in ran.err
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_other_words_of_hydra_s_are_the_user_s():
    refuse_words(
        [
            "-m",
            "hydra/sweeper=optuna",
            "hydra.sweeper.n_trials=3",
            "hydra/launcher=joblib",
            "hydra.verbose=true",
            "+hydra.callbacks.mine._target_=mine.Callback",
            "+hydra.job.env_set.A=b",
        ]
    )


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("hydra.run.dir=/elsewhere", "hydra.run.dir"),
        ("hydra.sweep.dir=x", "hydra.sweep.dir"),
        ("hydra.sweep.subdir=x", "hydra.sweep.subdir"),
        ("~hydra.callbacks.study", "hydra.callbacks.study"),
        ("hydra.callbacks.study._target_=mine.X", "hydra.callbacks.study"),
    ],
)
def test_a_file_cannot_do_it_either(compose, word, key):
    """(An experiment of one's own may set Hydra's node: the words stand for that here.)"""
    config = compose(word)
    for look in (lambda: check_frame(config.hydra), lambda: check(config)):
        with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
            look()


@pytest.mark.parametrize("value", ["", " ", "a\tb", "a\x1b[2J"])
@pytest.mark.parametrize("key", ["paths.log_dir", "paths.data_dir"])
def test_folders_are_folders(compose, key, value):
    with pytest.raises(ConfigError, match=rf"^{key}=.*must be a folder's path"):
        check(compose(f'{key}="{value}"'))


@pytest.mark.parametrize(
    "study",
    ["..", ".", "a/b", "../x", "/x", "a b", "a\tb", "a\x1b[2J", "x" * 256, "ü" * 128, "a\u202eb"],
)
def test_a_study_s_name_is_a_name(compose, study):
    with pytest.raises(ConfigError, match=r"^study=.*must ") as error:
        check(compose(f'study="{study}"'))
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("study", ["first", "2026-11-28_12.5", "a=b", "größe", "x" * 255])
def test_what_a_study_may_be_called(compose, study):
    assert check(compose(f'study="{study}"'))["study"] == study
