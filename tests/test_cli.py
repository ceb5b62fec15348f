"""The command line as a person meets it: processes in an empty folder, without torch.

A package named torch that notes its import and exits with 97 stands before the real one: whatever
answers here with another exit code has answered without torch.
"""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import clean_environment
from fork_server import fork_server
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import ConfigKeyError

from theta0.cli import one_line
from theta0.config import COMPONENTS, TrainConfig
from theta0.errors import ConfigError

ROOT = Path(__file__).parents[1]
TORCH_WAS_IMPORTED = 97
REMEDIES = sorted(file.stem for file in (ROOT / "configs" / "remedy").glob("*.yaml"))
OPTIMIZERS = sorted(file.stem for file in (ROOT / "configs" / "optimizer").glob("*.yaml"))
ADAMW = COMPONENTS["optimizer"]["torch.optim.AdamW"].schema.model_fields
SETTINGS = {field.alias or name for name, field in ADAMW.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that has imported what a start imports, and the file that tells of torch."""
    fake = tmp_path_factory.mktemp("fake")
    (fake / "torch").mkdir()
    (fake / "torch" / "__init__.py").write_text(
        f"import os\nopen({str(fake / 'imported')!r}, 'w').close()\n"
        f"os._exit({TORCH_WAS_IMPORTED})\n"
    )
    path = os.pathsep.join([str(fake), str(ROOT / "src")])
    imports = "import hydra, theta0.cli, theta0.config, theta0.identity, theta0.sweep.callback"
    with fork_server(fake, imports, os.environ | {"PYTHONPATH": path}) as server:
        yield server, fake / "imported"


@pytest.fixture
def train(server, tmp_path):
    """`train("seed=1", ...)`: what the program did in the empty folder `tmp_path/here`: returncode,
    stdout, stderr, whether torch was `imported`, and what it left behind as `made`."""
    run, imported = server
    here = tmp_path / "here"
    here.mkdir()

    def train(*arguments, **environment):
        imported.unlink(missing_ok=True)
        before = set(here.rglob("*"))
        words = [str(ROOT / "src" / "train.py"), *arguments]
        done = run(here, words, clean_environment() | environment)
        return SimpleNamespace(
            returncode=done.returncode,
            stdout=done.stdout,
            stderr=done.stderr,
            imported=imported.exists(),
            made=sorted(p.relative_to(here) for p in set(here.rglob("*")) - before),
        )

    return train


def told(process) -> str:
    """The one line of a refused configuration, its `theta0: ` taken off; nothing else is there."""
    assert process.returncode == 2, process.stderr
    assert process.stdout == ""
    assert process.stderr.startswith("theta0: ")
    assert process.stderr.endswith("\n")
    assert process.stderr.count("\n") == 1
    assert not process.imported
    assert process.made == []
    return process.stderr.removeprefix("theta0: ").removesuffix("\n")


# --------------------------------------------------------------------------------------- bad input

ALLOWED_REMEDIES = f"allowed: {', '.join(REMEDIES)}"
ALLOWED_OPTIMIZERS = f"allowed: {', '.join(OPTIMIZERS)}"
ACTIVATIONS = (
    "relu, leaky_relu, tanh, sigmoid, gelu, silu, elu, selu, mish, softplus, softsign, sin, "
    "identity"
)
PRECISIONS = "64-true, 32-true, 16-mixed, bf16-mixed, 16-true, bf16-true"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            "optimizer=adamm",
            f"optimizer=adamm: no such option; {ALLOWED_OPTIMIZERS}; did you mean adam?",
        ),
        ("optimizer.lr=-1", "optimizer.lr=-1: must be greater than 0"),
        ("optimizer.lr=fast", "optimizer.lr=fast: must be a valid number"),
        ("model.widths=[]", "model.widths=[]: must have at least 1 item, not 0"),
        (
            "model.activation=rellu",
            f"model.activation=rellu: allowed: {ACTIVATIONS}; did you mean relu?",
        ),
        ("data.batch_size=0", "data.batch_size=0: must be greater than or equal to 1"),
        ("seed=x", "seed=x: must be a valid integer"),
        ("init=pretrained", "init.path: a value is required: init.path=..."),
        (
            "model._target_=theta0.models.MPL",
            "model._target_=theta0.models.MPL: theta0 has no such model; allowed: "
            "theta0.models.MLP, theta0.models.ResidualMLP, theta0.models.Linear; "
            "did you mean theta0.models.MLP?",
        ),
        (
            "data=linear loss=cross_entropy",
            "data.num_classes=null: this data set is a regression: use loss=mse metrics=regression",
        ),
        (
            "objective.metric=val/f1",
            "objective.metric=val/f1: allowed: val/loss, val/acc; did you mean val/acc?",
        ),
        (
            "seed=1=2",
            "seed=1=2: cannot be read as key=value: mismatched input '=' expecting <EOF>;"
            " in quotes: \"seed='1=2'\"",
        ),
        (
            "remedy=[dropout,dropuot]",
            f"remedy=dropuot: no such option; {ALLOWED_REMEDIES}; did you mean dropout?",
        ),
        ("remedy=null", "remedy=null: must be the name of an option, or a list of them"),
        (
            "remedy=[dropout,null]",
            "remedy=[dropout,null]: must be the name of an option, or a list of them",
        ),
        (
            "remedy=[ema,batch_norm,layer_norm]",
            "remedy=[ema,batch_norm,layer_norm]: batch_norm and layer_norm both set model.norm",
        ),
        ("init=[he,xavier]", "init=[he,xavier]: he and xavier both set fan"),
        (
            "optimizer=adam,sgd",
            "optimizer=adam,sgd: several values are a sweep, which -m asks for; a list is [...]",
        ),
        ("finetune.rank=8", "finetune.rank=8: finetune is empty: choose something for it first"),
        ("init@init.base=xavier", "init@init.base: the chosen init brings no init.base along"),
        (
            "remedy=label_smoothing data=linear",
            "loss.cross_entropy.label_smoothing=0.1: loss has no cross_entropy to change; "
            "allowed: mse",
        ),
        (
            "+augmentation.mixup.alpha=1",
            "augmentation.mixup.alpha=1: augmentation has no mixup to change",
        ),
        (
            "remedy=cutmix data=linear",
            "augmentation.cutmix.num_classes=null: must be a number of classes, which a "
            "regression has not",
        ),
        (
            "remedy=rotation data=linear",
            "augmentation.rotation: needs images, but data.shape=[1]",
        ),
        (
            "remedy=crop data=linear",
            "augmentation.crop.transform.size[0]: needs data.shape.1, which is not there",
        ),
        (
            "remedy=monotonic",
            "loss.monotonic.feature=0: there is none in rows of data.shape=[1,28,28]",
        ),
        (
            "remedy=monotonic data=linear loss.monotonic.feature=1",
            "loss.monotonic.feature=1: there is none in rows of data.shape=[1]",
        ),
        (
            "callbacks=early_stopping callbacks.early_stopping.patience=-1",
            "callbacks.early_stopping.patience=-1: must be greater than or equal to 0",
        ),
        ("ckpt_path=nowhere.ckpt", "ckpt_path=nowhere.ckpt: no such file"),
        (
            "diagnostics=economy trainer=fsdp",
            "diagnostics: trainer=fsdp shards the weights, so none can be measured",
        ),
        (
            "trainer.devices=0",
            "trainer.devices=0: must be auto, a number of devices or a list of their indices",
        ),
    ],
)
def test_bad_input(train, arguments, line):
    assert told(train(*arguments.split())) == line


@pytest.mark.parametrize("argument", ["optimizer.lrr=1", "+optimizer.lrr=1"])
def test_an_unknown_key_of_a_component(train, argument):
    line = told(train(argument))
    start, _, rest = line.partition("; allowed: ")
    names, _, suggestion = rest.partition("; ")
    assert start == "optimizer.lrr=1: unknown key"
    unset = set() if argument.startswith("+") else {"foreach", "maximize"}
    assert set(names.split(", ")) == SETTINGS - unset
    assert suggestion == "did you mean lr?"


@pytest.mark.parametrize(
    ("argument", "suggestion"),
    [
        ("+foo=1", ""),
        ("optimiser=adam", "did you mean optimizer?"),
        ("optimiser.lr=1", "did you mean optimizer?"),
    ],
)
def test_an_unknown_key_at_the_top(train, argument, suggestion):
    line = told(train(argument))
    start, _, rest = line.partition("; allowed: ")
    names, _, found = rest.partition("; ")
    assert start == f"{argument.removeprefix('+')}: unknown key"
    assert set(names.split(", ")) == set(TrainConfig.model_fields)
    assert found == suggestion


def test_a_precision_that_is_none(train):
    line = told(train("precision=31"))
    assert line.startswith(f"precision=31: allowed: {PRECISIONS}")
    assert "did you mean" not in line  # nothing comes near


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            "optimizer=adam,adamm",
            f"optimizer=adamm: no such option; {ALLOWED_OPTIMIZERS}; did you mean adam?",
        ),
        ("seed=1,x", "seed=x: must be a valid integer"),
        ("optimizer.lr=0.1,-1", "optimizer.lr=-1: must be greater than 0"),
        ("optimizer=sgd,adam optimizer.lr=0.1 seed=range(3) data.batch_size=8,0",
         "data.batch_size=0: must be greater than or equal to 1"),
        ("init=he,pretrained", "init.path: a value is required: init.path=..."),
        ("remedy=dropout,[dropout,dropuot]",
         f"remedy=dropuot: no such option; {ALLOWED_REMEDIES}; did you mean dropout?"),
        ("remedy=[dropout,ema],[batch_norm,rms_norm]",
         "remedy=[batch_norm,rms_norm]: batch_norm and rms_norm both set model.norm"),
        ("optimizer=adam,null",
         "optimizer=adam,null: must be the name of an option, or a list of them"),
        ("seed=1=2,3",
         "seed=1=2,3: cannot be read as key=value: mismatched input '=' expecting <EOF>;"
         " in quotes: \"seed='1=2',3\""),
    ],
)  # fmt: skip
def test_bad_input_inside_a_sweep(train, arguments, line):
    """Not only the first value of an axis; and no job starts, nor is a multirun.yaml written."""
    assert told(train("-m", *arguments.split())) == line


def test_bad_input_in_the_axes_of_an_experiment(train):
    line = told(train("experiment=example", "init=he,hee"))
    assert line.startswith("init=hee: no such option; allowed: delta_orthogonal, ")
    assert line.endswith("; did you mean he?")


@pytest.mark.parametrize("arguments", ["optimizer=adam", "-m optimizer=adam,adamw"])
def test_good_input_goes_on_to_torch(train, arguments):
    """So the fake torch is found first, and its silence elsewhere proves something."""
    process = train(*arguments.split(), "study=mine")
    assert process.returncode == TORCH_WAS_IMPORTED
    assert process.imported
    assert process.stderr == ""
    started = [p for p in process.made if p.parent == Path("logs/mine") and "-he-s0-" in p.name]
    assert [p.name.partition("-")[0] for p in started] == ["adam"]
    assert (Path("logs/mine/multirun.yaml") in process.made) == ("-m" in arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("optimizer=adamm", "hydra.errors.MissingConfigException: "),
        ("optimizer.lr=-1", "theta0.errors.ConfigError: optimizer.lr=-1: "),
        ("-m optimizer.lr=0.1,-1", "theta0.errors.ConfigError: optimizer.lr=-1: "),
    ],
)
def test_the_traceback_where_asked_for(train, arguments, error):
    process = train(*arguments.split(), HYDRA_FULL_ERROR="1")
    assert process.returncode not in (0, TORCH_WAS_IMPORTED)
    assert "Traceback (most recent call last):\n" in process.stderr
    assert f"\n{error}" in process.stderr
    assert process.made == []


# ------------------------------------------------------------------------------------ asking for it


def test_help(train):
    process = train("--help")
    assert (process.returncode, process.stderr, process.made) == (0, "", [])
    assert not process.imported
    lines = process.stdout.splitlines()
    assert f"optimizer: {', '.join(OPTIMIZERS)}" in lines
    inits = sorted(file.stem for file in (ROOT / "configs" / "init").glob("*.yaml"))
    assert f"init: {', '.join(inits)}" in lines
    assert "  lr: 0.001" in lines


def test_cfg_job(train):
    process = train("--cfg", "job", "optimizer=momentum", "init=xavier")
    assert (process.returncode, process.stderr, process.made) == (0, "", [])
    assert not process.imported
    assert "\noptimizer:\n  _target_: torch.optim.SGD\n  lr: 0.05\n" in process.stdout
    assert "\ninit:\n  _target_: theta0.init.VarianceScaling\n  scale: 1.0\n" in process.stdout
    assert "\nhydra:" not in process.stdout


# --------------------------------------------------------------------------------------------- .env


def test_dotenv(monkeypatch, tmp_path, capsys):
    """`.env` of the project sets what the environment does not, of variables that theta0 knows."""
    from theta0 import env_file

    monkeypatch.setattr(env_file, "FILE", tmp_path / ".env")
    for name in ("THETA0_DATA", "WANDB_PROJECT", "LD_PRELOAD", "MY_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    env_file.load_environment()  # none there
    (tmp_path / ".env").write_text(
        "# where data sets lie\nTHETA0_DATA=/from/dotenv\nWANDB_PROJECT=p\nWANDB_MODE=online\n"
        "LD_PRELOAD=x.so\nMY_KEY=secret-0123456789\n"
    )
    env_file.load_environment()
    assert os.environ["THETA0_DATA"] == "/from/dotenv"
    assert os.environ["WANDB_PROJECT"] == "p"
    assert os.environ["WANDB_MODE"] == "offline"
    assert "LD_PRELOAD" not in os.environ
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in told] == ["LD_PRELOAD", "MY_KEY"]
    assert "secret" not in "".join(told)


def test_dotenv_of_another_folder_is_not_read(train, tmp_path):
    """It could lead W&B, with the user's key, to another server."""
    (tmp_path / ".env").write_text("THETA0_DATA=/from/elsewhere\n")
    process = train("--cfg", "job", "--resolve", "--package", "paths")
    assert "/from/elsewhere" not in process.stdout


# ----------------------------------------------------------------------------------------- one_line


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("init=hee", "init=hee: no such option; allowed: "),
        ("optimiser=adam", "optimiser=adam: unknown key; allowed: "),
        ("data.samples.trian=3",
         "data.samples.trian=3: unknown key; allowed: train, val, test; did you mean train?"),
        ("seed=[1", "seed=[1: cannot be read as key=value: "),
        ("loss.cross_entropy.weight=[1,2]",
         "loss.cross_entropy.weight=[1,2]: not set yet, so add it: "
         "+loss.cross_entropy.weight=[1,2]"),
    ],
)  # fmt: skip
def test_one_line_of_what_hydra_raises(compose, override, line):
    with pytest.raises(HydraException) as error:
        compose(override)
    assert "\n" in str(error.value)  # so it is not one line by itself
    told = one_line(error.value)
    assert told.startswith(line)
    assert "\n" not in told


def test_one_line_of_made_up_errors():
    error = MissingConfigException("a\nb", "optimizer/adamm", options=["adam", "sgd"])
    assert one_line(error) == (
        "optimizer=adamm: no such option; allowed: adam, sgd; did you mean adam?"
    )
    assert one_line(MissingConfigException("a\nb", "train")) == "a"
    parse = OverrideParseException("seed=1=2", "mismatched input\nSee https://hydra.cc")
    assert one_line(parse) == (
        "seed=1=2: cannot be read as key=value: mismatched input; in quotes: \"seed='1=2'\""
    )
    assert one_line(ConfigError("seed=x: must be a valid integer")) == (
        "seed=x: must be a valid integer"
    )
    assert one_line(ConfigKeyError("Key 'a' is not in struct\n    full_key: a")) == (
        "Key 'a' is not in struct"
    )
    wrapped = HydraException("Error executing job")
    wrapped.__cause__ = ConfigError("study: processes started together need one name: study=...")
    assert one_line(wrapped) == "study: processes started together need one name: study=..."
    merging = ConfigCompositionException("Error merging override seeds=[1]")
    merging.__cause__ = ConfigKeyError("Cannot merge a list\ninto a dict")
    assert one_line(merging) == "seeds=[1]: Cannot merge a list"
    announced = HydraException("Error loading 'torch.nn.Hardwish':\n  no such attribute\n  more")
    assert one_line(announced) == "Error loading 'torch.nn.Hardwish': no such attribute"
    empty = HydraException("")
    empty.__cause__ = ValueError("what was wrong\nand where")
    assert one_line(empty) == "what was wrong"
