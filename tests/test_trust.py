"""What may be opened of a stranger's: no code is run, no secret is told, nothing is guessed."""

import copy
import json
import os
import re
import shutil
from itertools import product
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from theta0 import reproduce as reproducing
from theta0.build import build
from theta0.checkpoints import read_checkpoint
from theta0.config import check
from theta0.errors import ConfigError
from theta0.results import Result
from theta0.trust import SHIPPED, place_of, targets, trusted

ROOT = Path(__file__).parents[1]
SHORT = ("trainer.max_epochs=1", "study=s", "model.widths=[16]")
SECRET = "s3cr3t-0123456789"


@pytest.fixture(scope="module")
def finished(in_process, tmp_path_factory):
    ran = in_process(tmp_path_factory.mktemp("finished"), *SHORT)
    return ran.folder(ran.one())


@pytest.fixture
def stranger(finished, tmp_path):
    """`stranger(edit)`: a run's folder in which `edit` has changed the content of result.json."""

    def stranger(edit=lambda told: None):
        folder = tmp_path / "stranger"
        shutil.copytree(finished, folder, dirs_exist_ok=True)
        told = json.loads((finished / "result.json").read_text())
        edit(told)
        (folder / "result.json").write_text(json.dumps(told))
        return folder

    return stranger


@pytest.fixture
def opened(in_process, tmp_path):
    """`opened(program, folder)`: eval.py's or reproduce.py's answer; what it wrote is in `here`."""
    here = tmp_path / "here"
    return lambda program, folder, *words, **more: in_process(
        here, f"run={folder}", *words, program=f"{program}.py", **more
    )


def one_line(ran, code=2):
    assert ran.code == code
    assert ran.out == ""
    assert re.fullmatch("theta0: .*\n", ran.err), ran.err
    return ran.err


def written(folder):
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    ("program", "target"),
    [
        ("eval", "os.system"),
        ("reproduce", "os.system"),
        ("reproduce", "torch.hub.load"),
        ("eval", "torch.load"),
        ("reproduce", "torch.utils.collect_env.run"),
    ],
)
def test_what_a_stranger_would_have_built_is_refused(stranger, opened, tmp_path, program, target):
    def edit(told):
        told["config"]["model"] = {"_target_": target, "command": f"touch {tmp_path}/touched"}

    line = one_line(opened(program, stranger(edit)))
    assert f"builds {target}, which theta0 does not ship; if you know what that does: " in line
    assert not (tmp_path / "touched").exists()


def places(config, path=()):
    """Where a node could stand: every key and every place of a list, at every depth."""
    if isinstance(config, dict):
        for key, value in config.items():
            yield (*path, key)
            yield from places(value, (*path, key))
        for extra in ("_args_", "_partial_", "_recursive_", "plugins", "strange"):
            yield (*path, extra)
    elif isinstance(config, list):
        for index, value in enumerate(config):
            yield (*path, index)
            yield from places(value, (*path, index))


NODES = (
    {"_target_": "os.system"},
    {"_target_": "theta0.models.MLP", "x": {"_target_": "os.system"}},
    [1, [{"_target_": "os.system"}]],
    {"_target_": "theta0.models.MLP", "_args_": [{"_target_": "os.system", "_partial_": True}]},
    {"a": {"b": {"_target_": "os.system", "_recursive_": False}}},
)


def test_it_is_refused_wherever_it_stands(finished, stranger):
    config = Result.read(finished).config
    found = [path for path in places(config) if path[-1] != "_target_"]
    assert len(found) > 100
    whole = json.loads((finished / "result.json").read_text())
    folder = stranger()
    (folder / "config.resolved.yaml").unlink()
    for node, path in product(NODES, found):
        told = copy.deepcopy(whole)
        *parents, last = path
        parent = told["config"]
        for key in parents:
            parent = parent[key]
        parent[last] = node
        (folder / "result.json").write_text(json.dumps(told))
        with pytest.raises(ConfigError, match=r"builds [\w.]+, which theta0 does not ship"):
            trusted(folder, [])


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load",
        "torch.load",
        "torch.utils.collect_env.run",
        "functools.partial",
        "builtins.eval",
        "theta0.build.build",
        "theta0.models",
        "theta0.models.mlp.MLP",
        "theta0.models.MLP.__init__",
        "theta0.models.MLP ",
        "theta0.models.MLP:forward",
        "torch.nn.Linear",
        "${oc.env:TARGET}",
        "",
        None,
        7,
        ["os.system"],
        {"_target_": "theta0.models.MLP"},
    ],
)
def test_only_exact_names_are_trusted(stranger, target):
    folder = stranger(lambda told: told["config"]["model"].update(_target_=target))
    with pytest.raises(ConfigError, match="which theta0 does not ship"):
        trusted(folder, [])


def test_what_is_trusted_beside(stranger):
    folder = stranger(lambda told: told["config"]["model"].update(_target_="mine.nets.Net"))
    for enough in (["mine"], ["mine.nets"], ["mine.nets.Net"], ["other", "mine"]):
        assert trusted(folder, enough).config["model"]["_target_"] == "mine.nets.Net"
    for other in (["min"], ["mine.net"], ["mine.nets.Net.x"], ["nets"], [""]):
        with pytest.raises(ConfigError, match=r"'trust=\[mine\]'"):
            trusted(folder, other)


def test_shipped_is_what_the_configurations_name():
    """At each place what the files have there, and nothing else."""
    named = {}
    for path in (ROOT / "configs").rglob("*.yaml"):
        group, *inside = path.relative_to(ROOT / "configs").parent.parts or [""]
        if group == "hydra":
            continue
        text = path.read_text()
        above = [] if not group or text.startswith("# @package _global_") else [group, *inside]
        for keys, target in targets(yaml.safe_load(text)):
            named.setdefault(place_of([*above, *keys]), set()).add(target)
    assert named == {place: names for place, names in SHIPPED.items() if names}


@pytest.mark.parametrize(
    ("keys", "target"),
    [
        ("callbacks.x", "theta0.tracking.wandb_logger"),
        ("callbacks.x", "lightning.Trainer"),
        ("model", "torch.optim.SGD"),
        ("model.activation", "theta0.models.MLP"),
        ("init.base", "theta0.models.MLP"),
        ("callbacks", "theta0.callbacks.EMA"),
        ("data", "theta0.data.Digits"),
        ("metrics.x", "torchvision.transforms.v2.RandomCrop"),
        ("augmentation.x", "torchvision.transforms.v2.RandomCrop"),
        ("callbacks.x", "hydra_plugins.ray_launcher.RayLauncher"),
        ("pruning", "hydra_plugins.ray_launcher.RayLauncher"),
        ("x", "theta0.models.MLP"),
        ("tags.0", "theta0.models.MLP"),
    ],
)
def test_a_target_is_allowed_in_its_own_group_only(stranger, keys, target):
    """A logger that passed as a callback would send the user's key to a server."""

    def edit(told):
        *above, last = keys.split(".")
        node = told["config"]
        for key in above:
            node = node[key] if isinstance(node, dict) else node[int(key)]
        if isinstance(node, list):
            node.insert(0, {"_target_": target})
        else:
            node[last] = {"_target_": target}

    with pytest.raises(ConfigError, match=f"builds {re.escape(target)}, which theta0 does not shi"):
        trusted(stranger(edit), [])


@pytest.mark.parametrize("key", ["data", "paths", "threads", "model", "loss", "seeds", "trainer"])
@pytest.mark.parametrize("program", ["eval", "reproduce"])
def test_a_configuration_that_lacks_something(stranger, opened, program, key):
    folder = stranger(lambda told: told["config"].pop(key))
    line = one_line(opened(program, folder))
    assert line.endswith(f"{folder}/result.json: config.{key}: Field required\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threads", 0),
        ("threads", 10**9),
        ("threads", "all"),
        ("paths", {"data_dir": ""}),
        ("paths", {"data_dir": 3}),
        ("data", []),
        ("data", {}),
        ("model", {}),
        ("loss", {"x": 3}),
        ("trainer", {"_target_": "lightning.Trainer"}),
        ("trainer", {}),
        ("metrics", {"acc": {}}),
        ("seeds", {"init": "x"}),
    ],
)
@pytest.mark.parametrize("program", ["eval", "reproduce"])
def test_a_configuration_of_other_values(stranger, opened, program, key, value):
    folder = stranger(lambda told: told["config"].update({key: value}))
    if (program, key, value) == ("eval", "trainer", {"_target_": "lightning.Trainer"}):
        assert opened(program, folder).code == 0  # it says nothing that a test needs
    else:
        one_line(opened(program, folder))


@pytest.mark.parametrize(
    "content", ["[" * 20_000, "{a: " * 20_000, "- " * 20_000, "a: &a [*a]", "x" * 5_000_000]
)
def test_a_copy_without_end(stranger, content):
    folder = stranger()
    (folder / "config.resolved.yaml").write_text(content)
    with pytest.raises(ConfigError) as error:
        trusted(folder, [])
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


LAUGHS = "\n".join(
    [
        "a0: &a0 {x: 1}",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)),
    ]
)


def test_yaml_that_grows_in_memory(stranger):
    folder = stranger()
    (folder / "config.resolved.yaml").write_text(LAUGHS)
    with pytest.raises(ConfigError, match="nested too deeply, or too large"):
        trusted(folder, [])


@pytest.mark.parametrize("program", ["eval", "reproduce"])
@pytest.mark.parametrize(
    "name", ["result.json", "config.resolved.yaml", "metrics.csv", "checkpoints", "x"]
)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_are_not_opened(stranger, opened, tmp_path, program, name, kind):
    folder = stranger()
    path = folder / name
    if path.exists():
        path.rename(tmp_path / name)
    if kind == "link":
        path.symlink_to(tmp_path / name)
    else:
        os.mkfifo(path)
    what = "is a link" if kind == "link" else "is no plain file"
    assert f"{path}: {what}" in one_line(opened(program, folder))


@pytest.mark.parametrize("program", ["eval", "reproduce"])
def test_the_copy_in_yaml_is_plain_data(stranger, opened, tmp_path, program):
    folder = stranger()
    copy = folder / "config.resolved.yaml"
    copy.write_text(f'model: !!python/object/apply:os.system ["touch {tmp_path}/touched"]')
    assert "is not plain YAML: could not determine a constructor" in one_line(
        opened(program, folder)
    )
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"model: {_target_: os.system}", r"builds os\.system"),
        (b"model: {", "is not plain YAML: .*expected"),
        (b"\xff\xfe\x00", "can't decode byte"),
    ],
)
def test_the_copy_in_yaml_is_looked_at_too(stranger, content, line):
    folder = stranger()
    (folder / "config.resolved.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=line):
        trusted(folder, [])


def test_yaml_in_a_ring(stranger):
    folder = stranger()
    (folder / "config.resolved.yaml").write_text("a: &a [*a, {b: &b {c: *b, _target_: os.system}}]")
    with pytest.raises(ConfigError, match=r"builds os\.system"):
        trusted(folder, [])


def test_what_hydra_left_is_not_read(stranger, opened):
    folder = stranger()
    for path in (folder / ".hydra").iterdir():
        path.write_text('!!python/object/apply:os.system ["false"]')
    assert opened("reproduce", folder).out.startswith("IDENTICAL: ")


HIDDEN = "${oc.decode:'{_target_: os.system, command: touch touched}'}"


@pytest.mark.parametrize(
    ("program", "key", "value"),
    [
        ("eval", "study", "${oc.env:THETA0_SECRET}"),
        ("reproduce", "tags", ["${oc.env:THETA0_SECRET}"]),
        ("eval", "model", {"activation": "${oc.env:THETA0_SECRET}"}),
        ("reproduce", "model", {"widths": ["${oc.env:THETA0_SECRET}"]}),
        ("eval", "model", {"norm": HIDDEN}),
        ("reproduce", "init", {"bias": HIDDEN}),
    ],
)
def test_interpolations_stay_text(stranger, opened, tmp_path, program, key, value):
    """Hydra's own `instantiate` would resolve them, and build what they hold."""

    def edit(told):
        old = told["config"][key]
        told["config"][key] = old | value if isinstance(old, dict) else value

    ran = opened(program, stranger(edit), env={"THETA0_SECRET": SECRET})
    assert SECRET not in ran.out + ran.err + written(tmp_path)
    assert not (ran.here / "touched").exists()
    if isinstance(value, dict):
        assert ran.code in (1, 2)
    else:
        assert (ran.code, ran.err) == (0, "")


def test_what_has_been_resolved_is_not_resolved_again():
    assert build({"_target_": "builtins.dict", "a": "${b}", "c": [{"d": "${oc.env:HOME}"}]}) == {
        "a": "${b}",
        "c": [{"d": "${oc.env:HOME}"}],
    }


def test_build_speaks_hydra_s_words():
    node = {"_target_": "builtins.dict", "n": {"_target_": "builtins.int", "_args_": ["7"]}}
    assert build(node) == {"n": 7}
    assert build(node | {"_recursive_": False, "_convert_": "all"}) == {"n": node["n"]}
    assert build(node | {"_partial_": True})(m=8) == {"n": 7, "m": 8}
    assert build({"_target_": "builtins.list", "_args_": [[node, [node]]]}) == [
        {"n": 7},
        [{"n": 7}],
    ]


def test_where_nodes_meet_is_not_a_stranger_s_to_say(stranger, opened, monkeypatch):
    """torch's rendezvous unpickles what it is told there."""

    def edit(told):
        told["config"]["rendezvous"] = "evil.example:29500"
        told["config"]["trainer"]["num_nodes"] = 2

    ran = opened("reproduce", stranger(edit), "folder=again")
    assert ran.code == 1
    assert "tell every node where to meet: rendezvous=HOST:PORT" in ran.out
    assert "evil" not in written(ran.here)
    monkeypatch.setattr("theta0.run.perform", lambda folder, config, result: result)
    ran = opened("reproduce", stranger(edit), "folder=third", "rendezvous=mine:1")
    assert Result.read(ran.here / "third").config["rendezvous"] == "mine:1"


def test_files_are_written_and_read_where_we_say(stranger, opened, tmp_path):
    def edit(told):
        told["config"]["paths"] = {"data_dir": "/their/data", "log_dir": f"{tmp_path}/their/logs"}
        told["config"]["data"]["source"] = {
            "_target_": "theta0.data.TorchvisionSet", "name": "MNIST", "root": "/their/data",
        }  # fmt: skip

    folder = stranger(edit)
    ran = opened("reproduce", folder, "folder=again", "paths.data_dir=data", "threads=1")
    assert ran.code == 2  # reproduce has no such key
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("theta0.data.TorchvisionSet.prepare", lambda self: None)
        ran = opened("reproduce", folder, "folder=again", "paths.data_dir=data")
        assert "missing in data/MNIST/raw (no download was tried)" in ran.out
        told = one_line(opened("eval", folder, "paths.data_dir=data"), code=1)
    assert "missing in data/MNIST/raw (no download was tried)" in told
    assert not (tmp_path / "their").exists()
    source = {"_target_": "theta0.data.OpenML", "root": "/elsewhere"}
    config = {"paths": {"data_dir": "a"}, "b": "a", "data": {"source": source}}
    assert reproducing.with_data_in(config, {"data_dir": "c"}) == {
        "paths": {"data_dir": "c"},
        "b": "c",
        "data": {"source": source | {"root": "c"}},
    }


# ------------------------------------------------------------------------------------- checkpoints


class Pickled:
    """A class in a file, whose reading would leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def spoil(finished, tmp_path):
    """`spoil(path)` puts a run's checkpoint there, with a class in it; `spoil.ran()`: whether its
    code has been run."""
    touched = tmp_path / "touched"

    def spoil(path):
        whole = read_checkpoint(finished / "checkpoints" / "last.ckpt")
        torch.save(whole | {"more": Pickled(touched)}, path)
        return path

    spoil.ran = touched.exists
    return spoil


NOT_PLAIN = "is truncated or holds more than plain tensors"


def test_the_class_would_be_run_by_a_reader_that_trusts(spoil, tmp_path):
    torch.load(spoil(tmp_path / "a.ckpt"), weights_only=False)
    assert spoil.ran()


@pytest.mark.parametrize("name", ["best", "last", "path"])
def test_eval_refuses_a_pickled_class(stranger, opened, spoil, tmp_path, name):
    folder = stranger()
    path = tmp_path / "x.ckpt" if name == "path" else folder / "checkpoints" / f"{name}.ckpt"
    path.unlink(missing_ok=True)
    spoil(path)
    line = one_line(opened("eval", folder, f"checkpoint={path if name == 'path' else name}"))
    assert f"{path} {NOT_PLAIN}" in line
    assert not spoil.ran()


def test_eval_refuses_the_weights_of_another_network(stranger, opened):
    folder = stranger(lambda told: told["config"]["model"].update(widths=[17]))
    assert one_line(opened("eval", folder)) == "theta0: checkpoint=best: not of this network\n"


def test_eval_refuses_values_that_make_no_sense(stranger, opened):
    folder = stranger(lambda told: told["config"]["trainer"].update(no="such key"))
    assert one_line(opened("eval", folder)).startswith("theta0: run: it cannot be built: ")


def test_reproduce_refuses_a_pickled_class(stranger, opened, spoil, tmp_path):
    path = spoil(tmp_path / "x.ckpt")
    ran = opened("reproduce", stranger(lambda told: told["config"].update(ckpt_path=str(path))))
    assert ran.code == 1
    assert ran.out == f"DIFFERENT: it was done and is failed: {path} {NOT_PLAIN}\n"
    assert not spoil.ran()


def test_pretrained_refuses_a_pickled_class(in_process, spoil, tmp_path):
    path = spoil(tmp_path / "x.ckpt")
    ran = in_process(tmp_path, *SHORT, "init=pretrained", f"init.path={path}")
    assert ran.code == 1
    assert ran.one().error.line.startswith(f"{path}: not readable as plain tensors")
    assert not spoil.ran()


@pytest.mark.parametrize("words", [(), ("train=false",)])
def test_ckpt_path_refuses_a_pickled_class(in_process, spoil, tmp_path, words):
    path = spoil(tmp_path / "x.ckpt")
    ran = in_process(tmp_path, *SHORT, f"ckpt_path={path}", *words)
    assert ran.code == 1
    assert ran.one().error.line == f"{path} {NOT_PLAIN}"
    assert "Traceback" not in ran.out + ran.err
    assert not spoil.ran()


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_stranger_s_study_is_not_continued_from_a_pickled_class(
    in_process, finished, spoil, tmp_path, name
):
    study = tmp_path / "logs" / "s"
    shutil.copytree(finished, study / finished.name)
    checkpoints = study / finished.name / "checkpoints"
    (checkpoints / f"{name}.ckpt").unlink()
    spoil(checkpoints / f"{name}.ckpt")
    told = json.loads((study / finished.name / "result.json").read_text())
    told["status"] = "interrupted"
    (study / finished.name / "result.json").write_text(json.dumps(told))
    ran = in_process(tmp_path, *SHORT)
    assert ran.code == 1
    line = ran.one().error.line
    assert line.startswith(f"{checkpoints / name}.ckpt {NOT_PLAIN}; to begin anew delete ")
    assert line in ran.out
    assert not spoil.ran()


def test_every_reader_of_torch_s_files_reads_weights_only():
    calls = [
        call
        for path in (ROOT / "src").rglob("*.py")
        for call in re.findall(r"torch\.load\(\w.*", path.read_text())
    ]
    assert len(calls) == 2  # theta0.checkpoints and theta0.init.pretrained
    assert all("weights_only=True" in call for call in calls)


# ----------------------------------------------------------------------------------------- secrets

KEYS = {
    "WANDB_API_KEY": "0123456789abcdef-wandb",
    "HF_TOKEN": "hf_0123456789abcdef",
    "AWS_SECRET_ACCESS_KEY": "aws/0123456789abcdef",
}


@pytest.mark.parametrize("end", ["done", "failed"])
def test_keys_of_the_environment_are_not_told(in_process, tmp_path, broken_model, end):
    model, _ = broken_model
    words = {
        "done": (),
        "failed": (model, "++model.raise_at=5"),
    }[end]
    password = {"MY_DATABASE_PASSWORD": "in-environment-0123456789"}
    ran = in_process(tmp_path, "-m", *SHORT, *words, env=KEYS | password)
    assert ran.one().status == end
    told = ran.out + ran.err + written(tmp_path)
    assert len(told) > 10_000
    for secret in (*KEYS.values(), "in-environment-0123456789"):
        assert secret not in told


def test_git_s_remote_and_what_it_ignores_are_not_told(finished):
    git = Result.read(finished).environment["git"]
    assert git is None or git.keys() == {"sha", "dirty", "patch"}
    assert ".env" in (ROOT / ".gitignore").read_text().split()


@pytest.mark.parametrize(
    ("many", "typed"),
    [((), "x-${oc.env:HF_TOKEN}"), (("-m",), "${oc.env:HF_TOKEN}"), ((), KEYS["HF_TOKEN"])],
)
def test_a_configuration_that_holds_a_key_is_refused(in_process, tmp_path, many, typed):
    words = (*SHORT, f"tags=[a,'{typed}']")
    ran = in_process(tmp_path, *many, *words, env=KEYS)
    line = one_line(ran)
    assert line.startswith("theta0: tags: holds the value of the environment's HF_TOKEN, and a ")
    assert KEYS["HF_TOKEN"] not in line
    assert list(tmp_path.iterdir()) == []


AWKWARD = 'it\'s\\a "secret" 0123'
NAMES = {
    "GITHUB_PAT": "ghp-0123456789",
    "SSHPASS": "pass-0123456789",
    "KEY_PASSPHRASE": "words-0123456789",
    "AWS_ACCESS_KEY_ID": "AKIA0123456789",
    "GOOGLE_CREDENTIALS": "creds-0123456789",
    "DATABASE_URL": "postgres://me:dbpass-0123@host/db",
    "HTTPS_PROXY": "http://proxyuser-0123@host:1",
    "LONG_TOKEN": AWKWARD,
}


HELD = [*NAMES.items(), ("DATABASE_URL", "dbpass-0123"), ("HTTPS_PROXY", "proxyuser-0123")]


@pytest.mark.parametrize("place", ["text", "list", "deep", "key", "env_set", "setup", "word"])
def test_a_secret_is_found_wherever_it_stands(monkeypatch, compose, place):
    """In values as they are: repr has other letters for a quote. Hydra's node is written, too."""
    config = compose("hydra/launcher=submitit_slurm")
    OmegaConf.set_struct(config, False)
    OmegaConf.set_readonly(config.hydra, False)
    check(config)
    for name, value in NAMES.items():
        monkeypatch.setenv(name, value)
    for name, held in HELD:
        match place:
            case "text":
                config.study = f"a{held}"
            case "list":
                config.tags = ["a", held]
            case "deep":
                config.model = {"_target_": "mine.Net", "a": [{"b": [held]}]}
            case "key":
                config.claims = [{held: 1}]
            case "env_set":
                config.hydra.job.env_set = {"ANY": held}
            case "setup":
                config.hydra.launcher.setup = [f"export ANY='{held}'"]
            case "word":
                config.hydra.overrides.hydra = [f"hydra.x={held}"]
        with pytest.raises(ConfigError, match=f"holds the value of the environment's {name}") as e:
            check(config)
        assert held not in str(e.value)


@pytest.mark.parametrize(
    "word",
    [
        "+hydra.job.env_set.WANDB_API_KEY=0123456789",
        "hydra.launcher.setup=['export MY_PASSWORD=0123456789']",
        "hydra.launcher.setup=[\"HF_TOKEN='0123456789' run\"]",
        "+hydra.launcher.additional_parameters={export: 'A=1,GH_PAT=0123456789'}",
    ],
)
def test_a_secret_is_known_by_its_name_where_hydra_sets_it(compose, word):
    config = compose("hydra/launcher=submitit_slurm", word)
    with pytest.raises(ConfigError, match=r"sets \w+, and a configuration is written") as error:
        check(config)
    assert "0123456789" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("WANDB_BASE_URL", "http://127.0.0.1:1"), ("PWD", "/tmp/a/folder"), ("A_KEY", "short")],
)
def test_what_is_no_secret(monkeypatch, compose, name, value):
    monkeypatch.setenv(name, value)
    check(compose(f"tags=['{value}']", "study=first"))


def test_what_was_left_is_plain_yaml(finished):
    copy = yaml.safe_load((finished / "config.resolved.yaml").read_text())
    assert copy == Result.read(finished).config
