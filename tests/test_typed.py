"""Words as people type them, before and after Hydra's grammar."""

import os
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from theta0.config import check
from theta0.errors import ConfigError
from theta0.typed import as_typed, how_to_quote, is_path, left_to_cells


def read(word):
    return OverridesParser.create().parse_override(word).value()


@pytest.mark.parametrize(
    "word",
    ["study=20261128", "study=1_1", "study=1.10", "study=1e5", "study=inf", "study=true",
     "run=2026", "ckpt_path=1_0"],
)  # fmt: skip
def test_a_text_that_looks_like_a_number_stays_what_was_typed(word):
    assert str(read(as_typed(word))) == word.partition("=")[2]
    assert not isinstance(read(as_typed(word)), int | float)


def test_texts_in_a_list_stay_what_was_typed():
    assert [str(tag) for tag in read(as_typed("tags=[2026,x,1_1]"))] == ["2026", "x", "1_1"]


@pytest.mark.parametrize("word", ["study=first", "seed=1_1", "study='1'", "ckpt_path=null", "-m"])
def test_other_words_are_left_alone(word):
    assert as_typed(word) == word


def test_the_home_folder_is_found_in_paths():
    for key in ("paths.log_dir", "paths.data_dir", "ckpt_path", "init.path", "run"):
        assert as_typed(f"{key}=~/x") == f"{key}={Path(os.path.expanduser('~')) / 'x'}"
    assert as_typed("optimizer=~/x") == "optimizer=~/x"


@pytest.mark.parametrize(
    ("word", "fixed"),
    [
        ("seed=1=2", "\"seed='1=2'\""),
        ("seed=1=2,3", "\"seed='1=2',3\""),
        ("tags=[#1]", "\"tags=['#1']\""),
        ("tags=[a,b=c]", "\"tags=[a,'b=c']\""),
        ("logger.project=it's", "'logger.project=\"it'\\''s\"'"),
        ("seed", None),
    ],
)
def test_it_is_said_how_a_word_is_quoted(word, fixed):
    assert how_to_quote(word) == fixed


def test_a_path_is_taken_as_it_is():
    assert is_path("init.path=ck/epoch=1-step=2.ckpt")
    assert not is_path("ckpt_path=[a=b]")
    assert not is_path("seed=1=2")


def test_a_key_is_left_to_the_cells_once():
    words = ["-m", "optimizer=momentum,nesterov", "optimizer.momentum=0.8"]
    changed = left_to_cells(words, "optimizer.momentum")
    assert changed == [*words[:2], "optimizer.momentum=choice(0.8)"]
    assert left_to_cells(changed, "optimizer.momentum") is None


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("optimizer=sgd.yaml", "optimizer=sgd.yaml: must be the name of an option: sgd"),
        ("optimizer=./sgd", "optimizer=./sgd: must be the name of an option: sgd"),
        ("remedy=[ema.yaml]", "remedy=ema.yaml: must be the name of an option: ema"),
    ],
)
def test_an_option_has_one_name(compose, word, line):
    with pytest.raises(ConfigError) as refused:
        check(compose(word))
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["finetune=[[]]"], "finetune=[[]]: must be the name of an option, or a list of them"),
        (["tags=[#1]"], "in quotes: \"tags=['#1']\""),
        (["init=pretrained", "init.path=a=1.ckpt"], "init.path=a=1.ckpt: no such file"),
        (["-m", "seed=range(0)"], "seed=range(0): holds no value"),
        (
            ["-m", "optimizer=momentum,adam", "optimizer.momentum=0.8"],
            "optimizer.momentum=0.8: optimizer=adam: no such key; optimizer=momentum: there it is",
        ),
    ],
)
def test_a_bad_word_is_one_line(in_process, tmp_path, words, line):
    ran = in_process(tmp_path, *words)
    assert ran.code == 2
    assert ran.err.startswith("theta0: ")
    assert line in ran.err
    assert ran.err.count("\n") == 1
