"""`python src/train.py -m study=X`: the study's commands once more, and what is not to be done."""

import copy
import json
import shutil
from pathlib import Path
from unittest import mock

import hydra
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

import theta0.run
from theta0.errors import ConfigError
from theta0.sweep.compose import Composer
from theta0.sweep.replay import commands_to_replay

CONFIGS = Path(__file__).parents[2] / "configs"
TRAIN = str(Path(__file__).parents[2] / "src" / "train.py")
SHORT = ("model.widths=[8]", "study=s")


@pytest.fixture(scope="module", autouse=True)
def instant():
    """Runs take no time: what is asked here is which ones are done."""

    def perform(folder, config, result):
        result.status = "done"
        result.write(folder)
        return result

    with mock.patch.object(theta0.run, "perform", perform):
        yield


@pytest.fixture
def replay(in_process):
    """`replay(folder, "study=s")`: with -m and these words, and no others."""
    return lambda here, *words: in_process(here, "-m", *words, program=TRAIN)


@pytest.fixture(scope="module")
def original(in_process, tmp_path_factory):
    """A study of a sweep and a single run, which was said twice; a run of them is missing."""
    here = tmp_path_factory.mktemp("original")
    sweep = ("-m", *SHORT, "optimizer=adam,sgd", "hydra/launcher=basic", "rerun=failed")
    single = (*SHORT, "optimizer=adam", "init=xavier")
    for words in (sweep, single, single):
        ran = in_process(here, *words)
        assert ran.code == 0, ran.err
    for result in ran.results("s"):
        if result.choices["optimizer"] == "sgd":
            edit(ran.folder(result), status="interrupted")
    return ran


@pytest.fixture
def twice(original, tmp_path):
    shutil.copytree(original.here, tmp_path / "copy")
    copied = copy.copy(original)
    copied.here = tmp_path / "copy"
    return copied


def edit(run, **changes):
    path = run / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def said(ran):
    """The commands that a replay did, without the words that all have."""
    everywhere = {"python", TRAIN, "'model.widths=[8]'", "data=digits", "trainer=cpu"}
    lines = [line.split() for line in ran.out.splitlines() if line.startswith("$ ")]
    return [" ".join(w for w in words if w not in everywhere) for words in lines]


def entries(ran):
    return yaml.safe_load((ran.here / "logs" / "s" / "commands.yaml").read_text())


def test_each_command_is_done_once_and_in_order(replay, twice):
    before = (twice.here / "logs" / "s" / "commands.yaml").read_text()
    ran = replay(twice.here, "study=s")
    assert ran.code == 0, ran.err
    assert said(ran) == [
        "$ -m logger=none optimizer=adam,sgd hydra/launcher=basic study=s",
        "$ logger=none optimizer=adam init=xavier study=s",
    ]
    assert [result.status for result in ran.results("s")] == ["done"] * 3
    assert ran.out.count("done already") == 2
    assert "1 continued" in ran.out
    assert (twice.here / "logs" / "s" / "commands.yaml").read_text().startswith(before)
    assert [entry["multirun"] for entry in entries(ran)] == [True, False, False, True, False]


def test_what_is_said_now_is_said_to_each(replay, twice):
    edit(twice.folder(twice.results("s")[0]), status="failed")
    left = replay(twice.here, "study=s")  # the rerun=failed of then has been done
    assert "failed already" in left.out
    assert left.code == 1
    ran = replay(twice.here, "study=s", "rerun=failed", "logger=tensorboard")
    assert said(ran) == [
        "$ -m optimizer=adam,sgd hydra/launcher=basic study=s rerun=failed logger=tensorboard",
        "$ optimizer=adam init=xavier study=s rerun=failed logger=tensorboard",
    ]
    assert ran.code == 0
    assert [result.status for result in ran.results("s")] == ["done"] * 3


def test_a_study_that_was_moved_and_renamed(replay, twice):
    (twice.here / "elsewhere").mkdir()
    (twice.here / "logs" / "s").rename(twice.here / "elsewhere" / "t")
    ran = replay(twice.here, "study=t", "paths.log_dir=elsewhere")
    assert ran.code == 0, ran.err
    assert ran.out.count("done already") == 2
    assert "1 continued" in ran.out
    assert not list((twice.here / "logs").iterdir())


def test_an_unknown_study_is_a_bad_configuration(replay, twice):
    ran = replay(twice.here, "study=st")
    assert ran.code == 2
    assert ran.err == "theta0: study=st: no such study in logs; nearest: s\n"
    assert not (twice.here / "logs" / "st").exists()


def test_nothing_is_left_where_there_are_no_studies(replay, tmp_path):
    ran = replay(tmp_path, "study=s")
    assert ran.code == 2
    assert ran.err == "theta0: study=s: no such study in logs; there is none yet\n"
    assert not list(tmp_path.iterdir())


def test_the_worst_exit_code_counts_and_the_others_are_done(replay, twice):
    path = twice.here / "logs" / "s" / "commands.yaml"
    path.write_text(path.read_text().replace("optimizer=adam,sgd", "optimizer=gone,sgd"))
    ran = replay(twice.here, "study=s")
    assert ran.code == 2
    assert ran.err.startswith("theta0: optimizer=gone: no such option; allowed: ")
    assert ran.err.count("\n") == 1
    assert "done already" in ran.out  # the second


def test_a_replay_that_is_told_to_stop_starts_no_more(replay, twice, monkeypatch):
    def stopped(*_):
        raise SystemExit(143)

    monkeypatch.setattr(theta0.run, "perform", stopped)
    ran = replay(twice.here, "study=s")
    assert ran.code == 143
    assert len(said(ran)) == 1
    assert ran.err == "theta0: stopped by SIGTERM\n"
    assert f"continue with: python {TRAIN} -m study=s\n" in ran.out


@pytest.mark.parametrize(
    "words",
    [("-m", "study=s", "seed=1"), ("-m", "study=s", "threads=1,2"), ("-m",), ("study=s",)],
    ids=" ".join,
)
def test_other_words_are_runs_as_ever(in_process, tmp_path, words):
    """(The data and the trainer that `in_process` says make a run what it is.)"""
    ran = in_process(tmp_path, *words, SHORT[0])
    assert ran.code == 0, ran.err
    assert "$ " not in ran.out
    assert len(ran.results()) == 1


def test_a_folder_of_one_s_own_options_is_named_again(in_process, replay, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    text = "# @package _global_\nseed: 3\n"
    (tmp_path / "mine" / "experiment" / "mine.yaml").write_text(text)
    folder = f"--config-dir={tmp_path / 'mine'}"
    first = in_process(tmp_path, "-m", *SHORT, "experiment=mine", folder)
    assert first.code == 0, first.err
    refused = replay(tmp_path, "study=s")
    assert refused.code == 2
    assert refused.err == f"theta0: study=s: was run with {folder}: say so again\n"
    ran = replay(tmp_path, "study=s", folder)
    assert ran.code == 0, ran.err
    assert "done already" in ran.out


@pytest.fixture(scope="module")
def study(compose, tmp_path_factory):
    """A function that writes a study's commands.yaml, and the configuration that replays it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "s").mkdir()
    config = compose(f"paths.log_dir={folder}", "study=s")
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        hydra.compose("train")
        composer = Composer(GlobalHydra.instance().config_loader(), config)
    return (folder / "s" / "commands.yaml").write_text, lambda: commands_to_replay(config, composer)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a list of commands"),
        ("multirun: true", "not a list of commands"),
        ("- 3", "Input should be"),
        ("- {multirun: true, overrides: seed=1, time: now}", "overrides Input should be"),
        ("- {multirun: true, overrides: [1], time: now}", "overrides.0 Input should be"),
        ("- {multirun: true, overrides: [seed=1]}", "time Field required"),
        ("- {multirun: true, overrides: [], time: now, shell: rm}", "shell Extra inputs"),
        ("- multirun: true\n  overr", "could not find expected ':'"),
        ("- !!python/object/apply:os.system [exit]", "could not determine a constructor"),
    ],
)
def test_a_file_that_holds_something_else(study, text, reason):
    write, replayed = study
    write(text)
    with pytest.raises(ConfigError, match=r"s/commands\.yaml: cannot be read: ") as error:
        replayed()
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "word",
    [
        "model._target_=os.system",
        "+callbacks.x={_target_: os.system, command: id}",
        "optimizer.lr=${oc.decode:1}",
        "model=../../elsewhere/model",
        "+model@x.y=../../elsewhere/model",
        "remedy=[ema,../../elsewhere]",
        "--config-dir=elsewhere",
        "-cdelsewhere",
        "hydra.searchpath=[elsewhere]",
        "hydra.run.dir=elsewhere",
        "+hydra.callbacks.x=1",
        "hydra.launcher.setup=[id]",
        "hydra/job_logging=mine",
        r"optimizer.lr=$\{oc.decode:1\}",
        r"+x=$\{oc.env:HOME\}",
        r"tags=[$\{oc.env:HOME\}]",
        r"tags=[a],[$\{oc.env:HOME\}]",
        r"model.activation=relu,$\{oc.env:HOME\}",
        r"+model.x={a:[$\{oc.env:HOME\}]}",
        "hydra.launcher.address=evil:1",
        "hydra.launcher={address:evil}",
        "+hydra.launcher.additional_parameters.export=ALL",
        "hydra.launcher.srun_args=x",
        "+hydra.sweeper.params.x=1",
        "hydra.sweeper.params=x",
        "+hydra.job.env_set.X=1",
        "hydra.sweep.dir=x",
        "hydra.sweep.subdir=x",
        "~hydra.callbacks.study",
        "+optimizer@hydra.callbacks.x=adam",
        "optimizer@hydra=adam",
        "hydra/launcher=../x",
    ],
)
def test_what_could_run_code_is_for_a_person_to_say(study, word):
    """A study may come from a stranger, whose commands nobody has read."""
    write, replayed = study
    entry = {"multirun": True, "overrides": ["seed=1", word], "time": "now"}
    write(yaml.safe_dump([entry]))
    with pytest.raises(
        ConfigError, match=r"s/commands\.yaml says .*, which (may|names no)"
    ) as error:
        replayed()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "word",
    [
        "paths.data_dir=/elsewhere",
        "paths={data_dir: /elsewhere}",
        "logger.entity=stranger",
        "logger={entity: stranger}",
        "+data.source.root=/elsewhere",
        "++data.source={root: /elsewhere}",
    ],
)
def test_where_files_go_is_for_a_person_to_say(study, word):
    write, replayed = study
    write(yaml.safe_dump([{"multirun": True, "overrides": [word], "time": "now"}]))
    with pytest.raises(
        ConfigError, match=r"which (says where files are written or sent|names no option)"
    ):
        replayed()


@pytest.mark.parametrize(
    "word",
    [
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "hydra.sweeper.n_trials=32",
        "init.path=../other/best.ckpt",
        "remedy=none,[ema,l2]",
        "~scheduler",
        "optimizer.lr=interval(1e-4, 1)",
        "optimizer.lr=tag(log,interval(1e-4, 1))",
        "optimizer.lr=search_space",
        "seed=range(10)",
        "optimizer=glob(ada*)",
        "hydra/sweeper=optuna",
        "search=optimizer_lr",
        "experiment=he2015",
        "init@init.base=xavier",
        "logger=none",
        "tags=['a {b} $ c']",
    ],
)
def test_what_says_how_a_study_is_done(study, word):
    write, replayed = study
    entry = {"multirun": True, "overrides": [word, "study=s"], "time": "now"}
    write(yaml.safe_dump([entry]))
    (arguments,) = replayed()
    assert arguments[:2] == ["-m", word]
