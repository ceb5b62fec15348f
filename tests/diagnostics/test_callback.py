"""Whole runs with diagnostics: the file, what is said, and that training does not notice."""

import csv
import json
import re
import shutil
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy

from theta0 import seeds
from theta0.build import build
from theta0.diagnostics import (
    QUANTITIES,
    Diagnostics,
    he_activation_stds,
    measure,
    probe,
    training_loss,
    weights,
)
from theta0.module import Module
from theta0.results import Result

SMALL = ("model.widths=[16,12]", "trainer.max_epochs=2", "data.batch_size=128")


def rows(folder):
    """Each row of a run's diagnostics.csv by (step, layer), its blanks left out."""
    with (folder / "diagnostics.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    return {
        (int(row["step"]), row["layer"]): {
            name: float(row[name]) for name in QUANTITIES if row[name]
        }
        for row in read
    }


def start(result):
    """The module of a finished run at θ₀, and its 256 rows."""
    data = build(result.config["data"])
    data.setup()
    module = Module.from_config(result.config)
    module.initialise(result.seeds.init, data)
    return module, probe(data, 256, like=next(module.network.parameters()))


def sentences(ran):
    """(step, sentence) of each line that the run said about itself."""
    (log,) = ran.here.glob("logs/*/*/run.log")
    return [(int(step), text) for step, text in re.findall(r"  step (\d+): (.*)", log.read_text())]


def test_the_file_against_direct_measurement(in_process, tmp_path):
    ran = in_process(
        tmp_path, *SMALL, "diagnostics=full", "callbacks.diagnostics.schedule=5",
        "+loss.l2={_target_: theta0.losses.L2, scale: 0.01, bias_and_norm: false}",
    )  # fmt: skip
    result = ran.one()
    assert result.status == "done", result.error
    found = rows(ran.folder(result))
    steps = result.cost.steps
    assert steps % 5 == 0
    layers = ["", "hidden.0", "hidden.2", "output"]
    assert list(found) == [(step, layer) for step in range(0, steps + 1, 5) for layer in layers]

    module, (x, y) = start(result)
    for row in measure(module.network, training_loss(module), x, y, "full"):
        assert found[0, row.layer] == pytest.approx(row.known, rel=1e-6, abs=1e-12)
    last = ran.folder(result) / "checkpoints" / "last.ckpt"
    module.load_state_dict(torch.load(last, weights_only=True)["state_dict"])
    for row in measure(module.network, training_loss(module), x, y, "full"):
        late = found[steps, row.layer]
        assert ("update_ratio" in late) == (row.layer != "")
        late.pop("update_ratio", None)
        assert late == pytest.approx(row.known, rel=1e-6, abs=1e-12)


def test_the_ratio_of_an_update_to_its_weight(in_process, tmp_path):
    """θ₁ and θ₀ of a run of one step, over three batches."""
    ran = in_process(
        tmp_path, *SMALL, "diagnostics=economy", "callbacks.diagnostics.schedule=1", "accumulate=3",
        "trainer.max_steps=1", "trainer.limit_train_batches=3", "optimizer=sgd", "scheduler=none",
    )  # fmt: skip
    result = ran.one()
    found = rows(ran.folder(result))
    assert {step for step, _ in found} == {0, 1}
    module, _ = start(result)
    before = weights(module.network)
    last = ran.folder(result) / "checkpoints" / "last.ckpt"
    module.load_state_dict(torch.load(last, weights_only=True)["state_dict"])
    for name, weight in weights(module.network).items():
        ratio = (weight - before[name]).norm() / before[name].norm()
        assert found[1, name]["update_ratio"] == pytest.approx(ratio.item(), rel=1e-5)
        assert ratio > 0
        assert "update_ratio" not in found[0, name]


@pytest.mark.parametrize(
    "arguments",
    [
        ("model.norm=batch", "model.dropout=0.2"),
        ("optimizer=momentum", "accumulate=2", "precision=64-true"),
    ],
)
def test_training_does_not_notice(in_process, tmp_path, arguments):
    plain, full = (
        in_process(tmp_path, *SMALL, *arguments, *more, f"study={more[0][12:]}")
        for more in (
            ("diagnostics=none",),
            ("diagnostics=full", "callbacks.diagnostics.schedule=3"),
        )
    )
    one, other = plain.one("none"), full.one("full")
    assert (one.status, other.status) == ("done", "done"), other.error
    assert one.hashes == other.hashes
    assert one.last_metrics == other.last_metrics
    assert not (plain.folder(one) / "diagnostics.csv").exists()
    assert len(rows(full.folder(other))) > 8


def test_a_continued_run_writes_and_says_nothing_twice(in_process, tmp_path):
    setting = (
        *SMALL, "diagnostics=business", "callbacks.diagnostics.schedule=4", "init=normal",
        "init.std=20", "scheduler=none", "model.dropout=0.1", "study=s",
    )  # fmt: skip
    half = in_process(tmp_path / "half", *setting, "trainer.max_epochs=1")
    ran = in_process(tmp_path, *setting)
    result = ran.one()
    folder = ran.folder(result)
    whole, said = (folder / "diagnostics.csv").read_text(), sentences(ran)
    assert len(said) == len({text for _, text in said}) > 0

    shutil.copy(half.folder(half.one()) / "checkpoints" / "last.ckpt", folder / "checkpoints")
    interrupted = json.loads((folder / "result.json").read_text()) | {"status": "interrupted"}
    (folder / "result.json").write_text(json.dumps(interrupted))
    again = in_process(tmp_path, *setting)
    assert again.one().status == "done"
    assert again.one().hashes == result.hashes
    assert (folder / "diagnostics.csv").read_text() == whole
    once_more = sentences(again)[len(said) :]
    assert {step for step, _ in once_more}.isdisjoint({0})
    assert once_more == [pair for pair in said if pair[0] > half.one().cost.steps]


def test_zeros_leave_units_identical(in_process, tmp_path):
    ran = in_process(tmp_path, *SMALL, "init=zeros", "diagnostics=economy")
    line = "layer hidden.0 (and 1 more): all units are identical, and nothing tells them apart"
    assert sentences(ran) == [(0, line)]
    assert f"{ran.one().run}  step 0: {line}" in ran.out + ran.err


DEEP = "model.widths=[64,64,64,64,64,64]"


def test_small_weights_make_activations_vanish(in_process, tmp_path):
    """And He's would not; the number is that of a network with his weights."""
    ran = in_process(
        tmp_path, DEEP, "trainer.max_epochs=1", "init=normal", "init.std=0.02",
        "model.activation=tanh", "diagnostics=economy", "callbacks.diagnostics.schedule=start",
    )  # fmt: skip
    module, (x, _) = start(ran.one())
    stds = {layer: row["activation_std"] for (_, layer), row in rows(ran.folder(ran.one())).items()}
    small = [layer for layer, std in stds.items() if std < 0.01 and layer != "output"]
    he = he_activation_stds(module.network, x)[small[0]]
    assert 0.5 < he < 0.8  # of tanh at its fixed point: 1/1.59
    line = (
        f"layer {small[0]} (and {len(small) - 1} more): activations vanish, "
        f"std {stds[small[0]]:.2g}; He would give {he:.2g}"
    )
    assert (0, line) in sentences(ran)


def test_large_weights_make_activations_explode(in_process, tmp_path):
    ran = in_process(
        tmp_path, DEEP, "trainer.max_epochs=1", "init=normal", "init.std=1", "diagnostics=economy",
        "callbacks.diagnostics.schedule=start",
    )  # fmt: skip
    assert any(
        step == 0 and re.search(r"activations explode, std 1\.\de\+02; He would give 0\.\d+$", text)
        for step, text in sentences(ran)
    ), sentences(ran)


def test_large_tanh_weights_saturate(in_process, tmp_path):
    ran = in_process(
        tmp_path, DEEP, "trainer.max_epochs=1", "init=normal", "init.std=1", "diagnostics=economy",
        "model.activation=tanh", "callbacks.diagnostics.schedule=start",
    )  # fmt: skip
    assert any("of the activations are saturated" in text for _, text in sentences(ran))


def test_tensorboard_gets_the_same_numbers(in_process, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    ran = in_process(
        tmp_path, *SMALL, "diagnostics=full", "callbacks.diagnostics.schedule=10",
        "logger=tensorboard",
    )  # fmt: skip
    result = ran.one()
    events = EventAccumulator(str(ran.folder(result) / "tensorboard"))
    events.Reload()
    for (step, layer), row in rows(ran.folder(result)).items():
        for name, value in row.items():
            tag = "/".join(filter(None, ["diagnostics", layer, name]))
            logged = {event.step: event.value for event in events.Scalars(tag)}
            assert logged[step] == pytest.approx(value, rel=1e-6, nan_ok=True)
    header = (ran.folder(result) / "metrics.csv").read_text().splitlines()[0]
    assert "diagnostics" not in header


def test_weights_in_shards_are_refused(tmp_path):
    trainer = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(ValueError, match="FSDP shards the weights"):
        Diagnostics(folder=tmp_path).setup(trainer, None, "fit")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"price": "cheap"}, "price='cheap': allowed are economy, business, full"),
        ({"schedule": 0}, "schedule=0: allowed are log, start or a number of steps >= 1"),
        ({"samples": 0}, "samples=0: must be at least 1"),
    ],
)
def test_bad_settings(tmp_path, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Diagnostics(folder=tmp_path, **settings)


def test_the_rows_do_not_depend_on_the_epoch_or_the_batches(in_process, tmp_path):
    ran = in_process(tmp_path, *SMALL, "train=false")
    config = Result.read(ran.folder(ran.one())).config["data"]
    found = []
    for batch_size in (7, 128, 5000):
        data = build(config | {"batch_size": batch_size})
        loader = data.train_dataloader()
        loader.set_epoch(3)
        next(iter(loader))
        found.append(probe(data, 100, like=torch.zeros((), dtype=torch.float64)))
    x, y = found[0]
    assert (x.shape, x.dtype, y.dtype) == ((100, 1, 8, 8), torch.float64, torch.int64)
    for other in found[1:]:
        assert torch.equal(x, other[0])
        assert torch.equal(y, other[1])
    everything, _ = probe(build(config), 10**6, like=torch.zeros(()))
    assert len(everything) == config["samples"]["train"]
    order = torch.randperm(
        len(everything), generator=seeds.generator(config["order_seed"], "order", 0)
    )
    assert torch.equal(x.float(), data.splits["train"][0][order[:100]])
