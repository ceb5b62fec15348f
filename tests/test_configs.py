"""Every option of every group composes, is sound, and builds what its YAML says."""

import copy
import functools
import inspect
import math
import re
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import torchmetrics
from hydra.utils import get_object
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import OmegaConf

from theta0.build import build
from theta0.callbacks import Checkpoint, SuccessiveHalving
from theta0.config import check
from theta0.errors import ConfigError
from theta0.models import MLP, Linear, ResidualMLP
from theta0.optim import build_optimizer

CONFIGS = Path(__file__).parents[1] / "configs"
# What an option cannot do without.
REQUIRED = {
    "init=pretrained": (f"init.path={__file__}",),  # any file
    "remedy=monotonic": ("data=saturating",),  # features, not images
    "pruning=asha": ("hydra/sweeper=optuna",),
    "trainer=multinode": ("rendezvous=host:29500",),
}


def options(folder: str = "") -> list[str]:
    """`group=option` for each file below configs/, or below one folder of it."""
    files = [file.relative_to(CONFIGS) for file in sorted((CONFIGS / folder).rglob("*.yaml"))]
    return [f"{file.parent.as_posix()}={file.stem}" for file in files if file.parent.name]


def cases(folder: str = "") -> list[Any]:
    """The options of train.py as test cases; finetune=lora needs peft: see `make test-slow`."""
    lora = pytest.param("finetune=lora", marks=pytest.mark.lora)
    mine = [option for option in options(folder) if option != "hydra=inspect"]
    return [lora if option == "finetune=lora" else option for option in mine]


@pytest.fixture(scope="session")
def composed(compose):
    """What `compose` gives, each composition done once and to be left as it is."""

    def composed(*overrides):
        return compose(*overrides, *(o for option in overrides for o in REQUIRED.get(option, ())))

    return functools.cache(composed)


@pytest.fixture(scope="session")
def sound(composed):
    """`sound("seed=1")`: the checked configuration as plain containers, the caller's own copy."""
    return lambda *overrides: copy.deepcopy(check(composed(*overrides)))


def leaves(node, path=()):
    """((key, key, ...), value) of a YAML tree; a list is a value, a defaults list is none."""
    if not isinstance(node, dict) or not node:
        return [(path, node)] if path else []
    pairs = ((k, v) for k, v in node.items() if path or k != "defaults")
    return [leaf for key, value in pairs for leaf in leaves(value, (*path, key))]


# ------------------------------------------------------------------------------------- every option


def test_every_group_of_the_design_is_here():
    found = {option.partition("=")[0].partition("/")[0] for option in options()}
    assert found == {
        *("callbacks", "data", "debug", "diagnostics", "experiment", "finetune", "hydra", "init"),
        *("logger", "loss", "metrics", "model", "optimizer", "paths", "remedy", "scheduler"),
        *("search", "trainer", "pruning"),
    }


@pytest.mark.parametrize("option", cases())
def test_an_option_composes_and_is_sound(composed, option):
    """Each value of its file stands in the configuration: where it belongs, and unchanged."""
    group, _, name = option.partition("=")
    config = composed(option)
    assert config.hydra.runtime.choices[group] == name
    plain = check(config)
    assert "hydra" not in plain
    assert "${" not in str(plain)
    path = CONFIGS / group / f"{name}.yaml"
    is_global = path.read_text().startswith("# @package _global_\n")
    whole = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    place = () if is_global else tuple(group.split("/"))
    told = {o.partition("=")[0] for o in REQUIRED.get(option, ())}
    for keys, value in leaves(OmegaConf.to_container(OmegaConf.load(path), resolve=False)):
        dotted = ".".join((*place, *keys))
        if dotted not in told:
            found = functools.reduce(lambda node, key: node[key], (*place, *keys), whole)
            assert found == value, dotted


def test_a_regression_brings_its_loss_metrics_and_model(composed):
    config = composed("data=linear")
    choices = config.hydra.runtime.choices
    assert {g: choices[g] for g in ("data", "loss", "metrics", "model")} == {
        "data": "linear",
        "loss": "mse",
        "metrics": "regression",
        "model": "linear",
    }
    plain = check(config)
    assert plain["loss"] == {"mse": {"scale": 1.0, "_target_": "theta0.losses.MSE"}}
    assert plain["metrics"].keys() == {"mse", "mae", "r2"}
    assert plain["objective"] == {"metric": "val/loss", "mode": "min"}
    assert plain["model"] == {
        "_target_": "theta0.models.Linear",
        "in_features": 1,
        "out_features": 1,
        "bias": True,
    }


@pytest.mark.parametrize("init", ["weight_norm", "fixup", "rezero"])
def test_an_init_brings_the_model_that_it_needs(composed, init):
    """Before the data's own model, and after the one that is named."""
    for overrides in ([], ["data=linear"]):
        assert composed(f"init={init}", *overrides).hydra.runtime.choices.model == f"{init}_mlp"
    assert composed(f"init={init}", "model=mlp").hydra.runtime.choices.model == "mlp"


def test_rezero_draws_by_another_scheme_where_told(sound):
    assert sound("init=rezero")["init"]["base"] == sound("init=he")["init"]
    assert sound("init=rezero", "init@init.base=xavier")["init"]["base"]["fan"] == "avg"
    with pytest.raises(ConfigError, match=r"^init\.base\.fan=both: allowed: in, out"):
        sound("init=rezero", "init.base.fan=both")


def test_a_regression_takes_another_model_where_told(composed):
    config = composed("data=linear", "model=mlp")
    assert config.hydra.runtime.choices.model == "mlp"
    assert config.hydra.runtime.choices.loss == "mse"
    model = check(config)["model"]
    assert (model["_target_"], model["in_features"], model["out_features"]) == (
        "theta0.models.MLP",
        1,
        1,
    )


# --------------------------------------------------------------------------------------- components


def batch(classes=10):
    """(x [32, 784], labels [32])."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 784, generator=generator)
    return x, torch.randint(classes, (32,), generator=generator)


def small():
    torch.manual_seed(0)
    return MLP(784, 10, widths=(16,))


def told(settings, group):
    """The settings that a parameter group is to hold: SAM's are its base's, Muon has two rules."""
    settings = settings.get("base", settings)
    adamw = group.get("rule") == "adamw"
    keys = {key: value for key, value in settings.items() if key.startswith("adamw_") == adamw}
    plain = {key.removeprefix("adamw_"): value for key, value in keys.items()}
    apart = {"_target_", "fused", "weight_decay", "decay_bias_and_norm", "max_eval"}
    return {key: value for key, value in plain.items() if key not in apart}


@pytest.mark.parametrize("option", options("optimizer"))
def test_optimizer(sound, option):
    """Of the class and with the settings that its YAML names; two steps lower the batch's loss."""
    settings = sound(option)["optimizer"]
    factory = get_object(settings.pop("_target_"))
    torch.manual_seed(0)
    network = MLP(784, 10, widths=(16, 16))
    optimizer = build_optimizer(factory, network, **settings)
    assert type(optimizer) is factory
    covered = [p for group in optimizer.param_groups for p in group["params"]]
    assert sorted(map(id, covered)) == sorted(map(id, network.parameters()))
    for group in optimizer.param_groups:
        for key, value in told(settings, group).items():
            held = group[key]
            assert (list(held) if isinstance(held, tuple) else held) == value, key
    decays = {id(p): g.get("weight_decay") for g in optimizer.param_groups for p in g["params"]}
    decay = settings.get("base", settings).get("weight_decay")
    assert decays[id(network.hidden[2].weight)] == decay
    assert decays[id(network.hidden[2].bias)] == (None if decay is None else 0)
    x, y = batch()

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), y)
        loss.backward()
        return loss

    if hasattr(optimizer, "train"):
        optimizer.train()
    before = optimizer.step(closure)
    optimizer.step(closure)
    assert closure() < before


@pytest.mark.parametrize("option", options("optimizer"))
def test_an_optimizer_is_searched_around_its_default(sound, option):
    plain = sound(option)
    low, high = plain["search_space"]["lr"]
    assert low < plain["optimizer"]["lr"] <= high


@pytest.mark.parametrize("name", ["schedule_free_adamw", "schedule_free_sgd"])
def test_a_schedule_free_optimizer_has_no_schedule_unless_told(composed, name):
    def schedule(*overrides):
        return composed(*overrides).hydra.runtime.choices.scheduler

    assert schedule(f"optimizer={name}") == "none"
    assert schedule(f"optimizer={name}", "scheduler=cosine") == "cosine"
    assert schedule("scheduler=step", f"optimizer={name}") == "step"
    assert schedule("optimizer=adamw") == "cosine"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("optimizer.base.momentum=1.5", "optimizer.base.momentum=1.5: must be less than 1"),
        ("+optimizer.base.momentun=0.5", "did you mean momentum"),
        ("optimizer.base._target_=theta0.optim.Loin", "did you mean theta0.optim.Lion"),
    ],
)
def test_the_optimizer_inside_another_is_checked_like_any(composed, key, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        check(composed("optimizer=sam", key))


def test_a_rate_reaches_the_optimizer_inside(sound):
    assert sound("optimizer=sam", "optimizer.lr=0.3")["optimizer"]["base"]["lr"] == 0.3


@pytest.mark.parametrize("option", options("init"))
def test_init(sound, option, tmp_path):
    """Reports a row a parameter, with what is in it; the generator alone decides the draw."""
    plain = sound(option)
    node, model = plain["init"], plain["model"]
    model |= {"width": 16} if "width" in model else {"widths": [16]}
    saved = build(model)
    if option == "init=pretrained":
        node["path"] = str(tmp_path / "weights.ckpt")
        torch.save(saved.state_dict(), node["path"])
    x, _ = batch()

    def drawn(seed):
        network, init = build(model), build(node)
        inputs = {"inputs": x} if "inputs" in inspect.signature(init).parameters else {}
        reports = init(network, torch.Generator().manual_seed(seed), **inputs)
        assert [r.name for r in reports] == [name for name, _ in network.named_parameters()]
        for report, parameter in zip(reports, network.parameters(), strict=True):
            std = parameter.double().std(correction=0).item()
            assert report.drawn_std == pytest.approx(std, abs=1e-7)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert torch.equal(first, again)
    if option == "init=pretrained":
        assert torch.equal(first, torch.cat([p.detach().flatten() for p in saved.parameters()]))
    elif option == "init=zeros":
        assert not first.any()
    elif option in ("init=identity", "init=identity_hadamard"):  # they draw nothing
        assert torch.equal(first, other)
    else:
        assert not torch.equal(first, other)


@pytest.mark.parametrize("option", cases("finetune"))
def test_finetune(sound, option):
    """Trains as many parameters of 784 -> 16 -> 10 as its method says."""
    node = sound(option)["finetune"]
    network = small()
    if node is not None:
        build(node)(network)
    expected = {
        "finetune=none": 785 * 16 + 17 * 10,
        "finetune=head": 17 * 10,
        "finetune=biases": 16 + 17 * 10,
        "finetune=lora": 8 * (784 + 16) + 17 * 10,
    }
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == expected[option]


def test_an_init_takes_the_activation_of_the_model(sound):
    assert sound("model.activation=tanh")["init"]["activation"] == "tanh"
    assert sound("model=linear")["init"]["activation"] == "relu"
    assert sound("model.activation=tanh", "init.activation=elu")["init"]["activation"] == "elu"


def test_an_init_takes_the_gain_of_a_module_of_ones_own(sound, composed):
    node = sound("init.activation={_target_: torch.nn.Hardswish}", "init.gain=backward")["init"]
    reports = build(node)(small(), torch.Generator().manual_seed(0))
    assert reports[0].gain == pytest.approx(1.6701, abs=1e-4)
    with pytest.raises(ConfigError, match=r"^init\.activation=tahn: allowed: .*mean tanh\?$"):
        check(composed("init.activation=tahn"))


MODELS = {
    "model=mlp": MLP,
    "model=weight_norm_mlp": MLP,
    "model=linear": Linear,
    "model=residual_mlp": ResidualMLP,
    "model=rezero_mlp": ResidualMLP,
    "model=fixup_mlp": ResidualMLP,
}


@pytest.mark.parametrize("data", ["data=mnist5k", "data=cifar10", "data=cifar100", "data=linear"])
@pytest.mark.parametrize("option", options("model"))
def test_model(sound, option, data):
    """Maps a batch of the data's shape to the data's number of outputs."""
    plain = sound(data, option)
    model = build(plain["model"])
    assert type(model) is MODELS[option]
    x = torch.ones(2, *plain["data"]["shape"])
    out = model(x)
    assert out.shape == (2, {"cifar100": 100, "linear": 1}.get(data.partition("=")[2], 10))
    assert torch.allclose(out[0], out[1])
    assert out.abs().sum() > 0


def only_term(plain):
    (node,) = plain["loss"].values()
    assert node.pop("scale") == 1.0
    return build(node)


def test_losses(sound):
    output, labels = torch.zeros(4, 10), torch.tensor([0, 3, 3, 9])
    values = {option: only_term(sound(option))(output, labels) for option in options("loss")}
    assert values == {
        "loss=cross_entropy": pytest.approx(math.log(10)),
        "loss=mse": pytest.approx(0.1),
    }


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["+loss.mse.scal=2.0", "loss=mse"], "loss.mse.scal=2.0: unknown key; allowed: scale"),
        (["remedy=mixup", "augmentation.mixup.alpha=0.0"], "augmentation.mixup.alpha=0.0: must be"),
        (["remedy=pgd", "adversary.share=1.5"], "adversary.share=1.5: must be"),
        (["remedy=ema", "callbacks.ema.decay=1.0"], "callbacks.ema.decay=1.0: must be less than 1"),
        (["remedy=[dropout]", "model=linear"], "model.dropout=0.5: unknown key"),
        (["remedy=monotonic", "loss.monotonic.direction=up"], "loss.monotonic.direction=up: "),
    ],
)
def test_remedies_are_checked_like_any_component(composed, overrides, words):
    with pytest.raises(ConfigError) as error:
        check(composed(*overrides))
    assert str(error.value).startswith(words)


def test_label_smoothing_reaches_the_loss(sound):
    loss = only_term(sound("loss.cross_entropy.label_smoothing=0.2"))
    value = loss(torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([0]))
    assert value.item() == pytest.approx(-0.9 * math.log(0.75) - 0.1 * math.log(0.25))


def test_classification_metrics(sound):
    metrics = sound("metrics=classification")["metrics"]
    assert metrics.keys() == {"acc"}
    accuracy = build(metrics["acc"])
    accuracy.update(torch.eye(10)[[1, 2, 3, 4]], torch.tensor([1, 2, 3, 5]))
    assert accuracy.compute().item() == 0.75
    assert sound("data=cifar100")["metrics"]["acc"]["num_classes"] == 100


def test_regression_metrics(sound):
    values = {}
    for name, node in sound("data=linear", "metrics=regression")["metrics"].items():
        metric = build(node)
        assert isinstance(metric, torchmetrics.Metric)
        metric.update(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 3.0, 6.0]))
        values[name] = metric.compute().item()
    assert values == pytest.approx({"mse": 1.0, "mae": 0.5, "r2": 1 - 4 / 14})


def test_schedulers(sound):
    """The rate of steps 0, 50 and 99 of 100 at the optimizer's own rate 2."""
    rates = {}
    for option in options("scheduler"):
        optimizer = torch.optim.SGD(small().parameters(), lr=2.0)
        node = sound(option)["scheduler"]
        scheduler = build(node, optimizer=optimizer, total_steps=100)
        if option == "scheduler=plateau":
            assert isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
            for accuracy in (0.5, 0.6, 0.6, 0.6, 0.6):  # three epochs without are borne
                scheduler.step(accuracy)
            assert optimizer.param_groups[0]["lr"] == 2.0
            scheduler.step(0.6)
            assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)
            continue
        seen = []
        for _ in range(100):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
        rates[option.partition("=")[2]] = [seen[0], seen[50], seen[99]]

    def cosine(part):
        return 1 + math.cos(math.pi * part)

    def down(part):  # from the peak, 2, to 2 · 4e-6
        return 8e-6 + (2 - 8e-6) * cosine(part) / 2

    expected = {
        "none": [2.0, 2.0, 2.0],
        "cosine": [2.0, 1.0, cosine(0.99)],
        "step": [2.0, 0.2, 0.02],
        "warmup_cosine": [0.2, cosine(40 / 90), cosine(89 / 90)],
        "one_cycle": [0.08, down(21 / 70), 8e-6],
    }
    assert rates.keys() == expected.keys()
    for name, values in expected.items():
        assert rates[name] == pytest.approx(values, rel=1e-6), name


def test_a_plateau_watches_the_objective(sound):
    assert sound("scheduler=plateau")["scheduler"]["mode"] == "max"
    assert sound("scheduler=plateau", "data=linear")["scheduler"]["mode"] == "min"


CALLBACKS = {
    "callbacks=none": [],
    "callbacks=default": [Checkpoint],
    "callbacks=checkpoint": [Checkpoint],
    "callbacks=early_stopping": [Checkpoint, EarlyStopping],
    "callbacks=learning_rate": [Checkpoint, LearningRateMonitor],
}


@pytest.mark.parametrize("option", options("callbacks"))
@pytest.mark.parametrize(
    ("data", "monitor", "mode"),
    [("data=mnist5k", "val/acc", "max"), ("data=linear", "val/loss", "min")],
)
def test_callbacks(sound, option, data, monitor, mode, tmp_path):
    nodes = sound(option, data)["callbacks"].values()
    callbacks = [build(node, folder=tmp_path) for node in nodes]
    assert [type(callback) for callback in callbacks] == CALLBACKS[option]
    for callback in callbacks:
        if isinstance(callback, (Checkpoint, EarlyStopping)):
            assert (callback.monitor, callback.mode) == (monitor, mode)
        if isinstance(callback, Checkpoint):
            assert callback.best_path == tmp_path / "checkpoints" / "best.ckpt"
        if isinstance(callback, EarlyStopping):
            assert callback.patience == 5
    assert list(tmp_path.iterdir()) == []


def test_pruning(sound, compose, tmp_path):
    """Of a search alone."""
    assert sound("pruning=none")["pruning"] is None
    node = sound("pruning=asha", "pruning.min_epochs=2")["pruning"]
    callback = build(node, folder=tmp_path, result=None)
    assert isinstance(callback, SuccessiveHalving)
    assert (callback.min_epochs, callback.reduction_factor) == (2, 3)
    with pytest.raises(ConfigError, match=r"^pruning: stops runs of a search"):
        check(compose("pruning=asha"))


DIAGNOSTICS = {  # price, schedule, samples
    "diagnostics=none": None,
    "diagnostics=economy": ("economy", 100, 256),
    "diagnostics=business": ("business", 500, 256),
    "diagnostics=full": ("full", "log", 256),
}


@pytest.mark.parametrize("option", options("diagnostics"))
def test_diagnostics(sound, option, tmp_path):
    nodes = sound(option, "callbacks=early_stopping")["callbacks"]
    assert nodes.keys() - {"diagnostics"} == {"checkpoint", "early_stopping"}
    if DIAGNOSTICS[option] is None:
        assert "diagnostics" not in nodes
        return
    callback = build(nodes["diagnostics"], folder=tmp_path)
    assert (callback.price, callback.schedule, callback.samples) == DIAGNOSTICS[option]
    assert callback.folder == tmp_path
    with pytest.raises(ConfigError, match=r"^callbacks\.diagnostics\.price=free: allowed: economy"):
        sound(option, "callbacks.diagnostics.price=free")
    with pytest.raises(ConfigError, match=r"schedule=0: must be a number of steps, log or start$"):
        sound(option, "callbacks.diagnostics.schedule=0")


def test_loggers(sound, tmp_path):
    assert build(sound("logger=none")["logger"], folder=tmp_path) is None
    tensorboard = build(sound("logger=tensorboard")["logger"], folder=tmp_path)
    assert isinstance(tensorboard, TensorBoardLogger)
    assert Path(tensorboard.log_dir) == tmp_path / "tensorboard"
    wandb = sound("logger=wandb", "study=mine", "tags=[a,b]")["logger"]  # built in tests/tracking
    assert (wandb["group"], wandb["tags"]) == ("mine", ["a", "b"])


TRAINERS = {  # accelerator, devices, num_nodes, strategy
    "trainer=auto": ("auto", 1, 1, "auto"),
    "trainer=cpu": ("cpu", 1, 1, "auto"),
    "trainer=gpu": ("gpu", 1, 1, "auto"),
    "trainer=mps": ("mps", 1, 1, "auto"),
    "trainer=ddp": ("gpu", "auto", 1, "ddp"),
    "trainer=ddp_cpu": ("cpu", 2, 1, "ddp"),
    "trainer=fsdp": ("gpu", "auto", 1, "fsdp"),
    "trainer=multinode": ("gpu", "auto", 2, "ddp"),
}


@pytest.mark.parametrize("option", options("trainer"))
def test_trainer(sound, option, tmp_path):
    """The YAML everywhere, the object where this machine has its one device."""
    node = sound(option, "precision=64-true", "accumulate=3")["trainer"]
    found = tuple(node[k] for k in ("accelerator", "devices", "num_nodes", "strategy"))
    assert found == TRAINERS[option]
    here = {
        "auto": True,
        "cpu": True,
        "gpu": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if node["strategy"] != "auto" or not here[node["accelerator"]]:
        return
    node["log_every_n_steps"] = 7
    trainer = build(node, logger=False, default_root_dir=tmp_path, enable_checkpointing=False)
    assert isinstance(trainer, lightning.Trainer)
    assert (trainer.num_devices, trainer.num_nodes, trainer.max_epochs) == (1, 1, 10)
    assert (trainer.precision, trainer.accumulate_grad_batches) == ("64-true", 3)
    assert (trainer.limit_train_batches, trainer.log_every_n_steps) == (1.0, 7)
    if option == "trainer=cpu":
        assert trainer.strategy.root_device.type == "cpu"


@pytest.mark.parametrize("option", options("data"))
def test_data(sound, option):
    """Instantiated, without a look at any file; read as well where the rows are at hand."""
    node = sound(option, "data.batch_size=50")["data"]
    data = build(node)
    assert math.prod(data.shape) == data.num_features == node["num_features"]
    assert data.num_outputs == (data.num_classes or 1)
    assert type(data.source) is get_object(node["source"]["_target_"])
    if option not in ("data=mnist5k", "data=digits", "data=linear"):
        return
    data.prepare_data()
    data.setup("fit")
    assert {name: len(x) for name, (x, _) in data.splits.items()} == node["samples"]
    x, y = data.splits["train"]
    assert x.shape[1:] == tuple(node["shape"])
    if data.num_classes:
        assert sorted(set(y.tolist())) == list(range(data.num_classes))
        assert x.mean().item() == pytest.approx(0, abs=1e-4)
        assert x.std().item() == pytest.approx(1, abs=1e-3)
    else:  # y = 3x + 2 + 0.1ε; four standard errors
        assert (y - 3 * x).mean().item() == pytest.approx(2, abs=0.4 / len(x) ** 0.5)
    first = next(iter(data.train_dataloader()))
    assert (len(first.x), len(first.y), first.weight) == (50, 50, 1.0)


# --------------------------------------------------------------------------------------- precedence


@pytest.mark.parametrize(
    ("overrides", "epochs"),
    [
        ([], 10),
        (["experiment=example"], 5),
        (["trainer=cpu", "experiment=example"], 5),
        (["experiment=example", "trainer=cpu"], 5),
        (["experiment=example", "debug=limit"], 1),
        (["debug=limit", "experiment=example"], 1),
        (["trainer.max_epochs=7", "experiment=example", "debug=limit"], 7),
        (["experiment=example", "debug=limit", "trainer.max_epochs=7"], 7),
    ],
)
def test_who_has_the_last_word(sound, overrides, epochs):
    """The command line, then debug, then experiment, then the groups; in whatever order."""
    assert sound(*overrides)["trainer"]["max_epochs"] == epochs


def test_debug_leaves_the_rest_of_an_experiment_alone(composed):
    config = composed("experiment=example", "debug=limit")
    assert config.study == "example"
    assert config.hydra.sweeper.params.optimizer == "momentum,adamw"
    assert config.trainer.limit_train_batches == 8


def test_one_precision_and_one_accumulation_for_all(sound):
    trainer = sound("precision=bf16-mixed", "accumulate=4")["trainer"]
    assert (trainer["precision"], trainer["accumulate_grad_batches"]) == ("bf16-mixed", 4)


# -------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize(
    ("overrides", "split", "init", "order", "noise"),
    [
        ([], 0, 0, 0, 0),
        (["seed=0"], 0, 0, 0, 0),
        (["seed=7"], 0, 7, 7, 7),
        (["seed=7", "seeds.split=3"], 3, 7, 7, 7),
        (["seed=7", "seeds.init=3"], 0, 3, 7, 7),
        (["seed=7", "seeds.order=3"], 0, 7, 3, 7),
        (["seed=7", "seeds.noise=3"], 0, 7, 7, 3),
        (["seed=7", "seeds.init=0"], 0, 0, 7, 7),
        (["seed=0", "seeds.init=7"], 0, 7, 0, 0),
    ],
)
def test_seeds(sound, overrides, split, init, order, noise):
    plain = sound(*overrides)
    assert plain["seeds"] == {"split": split, "init": init, "order": order, "noise": noise}
    assert (plain["data"]["split_seed"], plain["data"]["order_seed"]) == (split, order)
