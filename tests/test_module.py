"""What the module adds: inits that see data, rates a layer, points, frozen parts, attacks."""

import pytest
import torch

from theta0.build import build
from theta0.config import check
from theta0.data import training_inputs
from theta0.module import Module


@pytest.fixture
def module_of(compose):
    """`module_of("init=mup", ...)`: the module and the data of a configuration."""

    def module_of(*overrides):
        config = check(compose("data=digits", *overrides))
        return Module.from_config(config), build(config["data"])

    return module_of


def state(ran, result, name="last"):
    path = ran.folder(result) / "checkpoints" / f"{name}.ckpt"
    return torch.load(path, weights_only=True)


# ------------------------------------------------------------------------------------------- start


def test_an_init_that_asks_for_inputs_gets_all_training_inputs(module_of):
    module, data = module_of("init=lsuv", "init.samples=1257")
    module.initialise(0, data)
    x = training_inputs(data)
    assert x.shape == (1257, 1, 8, 8)
    with torch.no_grad():
        first = module.network.hidden[0](x.flatten(1))
    assert first.var().item() == pytest.approx(1, abs=0.1)


def test_the_same_seed_gives_the_same_start_and_another_another(module_of):
    digests = []
    for seed in (0, 0, 1):
        module, data = module_of("init=lsuv")
        module.initialise(seed, data)
        digests.append(module.digest())
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.lora
def test_adapters_are_drawn_from_the_init_stream(in_process, tmp_path):
    hashes = []
    for folder, seeds in (("a", ()), ("b", ("seeds.noise=5",)), ("c", ("seeds.init=5",))):
        ran = in_process(tmp_path / folder, "finetune=lora", "trainer.max_epochs=1", *seeds)
        hashes.append(ran.one().hashes.init)
    assert hashes[0] == hashes[1] != hashes[2]


def test_mup_steps_with_a_rate_a_layer(in_process, tmp_path):
    """Adam's rate is divided by the width's ratio to the base, in all layers but the first."""
    words = ("init=mup", "init.base_width=64", "optimizer=adam", "scheduler=none")
    ran = in_process(tmp_path, *words, "model.widths=[256,256]", "trainer.max_epochs=1")
    groups = state(ran, ran.one())["optimizer_states"][0]["param_groups"]
    assert sorted(group["lr"] for group in groups) == pytest.approx([0.001 / 4, 0.001])


# ------------------------------------------------------------------------------------------ frozen


def test_only_the_head_is_trained(in_process, tmp_path, module_of):
    ran = in_process(tmp_path, "finetune=head", "trainer.max_epochs=1")
    result = ran.one()
    assert result.cost.trained == 256 * 10 + 10
    assert result.cost.parameters > result.cost.trained
    module, data = module_of()
    module.initialise(0, data)
    trained = state(ran, result)["state_dict"]
    changed = {
        name
        for name, value in module.network.state_dict().items()
        if not torch.equal(value, trained[f"network.{name}"])
    }
    assert changed == {"output.weight", "output.bias"}


@pytest.mark.lora
def test_eval_reads_a_checkpoint_with_adapters(in_process, tmp_path):
    ran = in_process(tmp_path, "finetune=lora", "trainer.max_epochs=1", "study=s")
    result = ran.one()
    again = in_process(tmp_path, f"run={ran.folder(result)}", program="eval.py")
    assert again.code == 0, again.err
    assert f"test/acc {result.metrics['test/acc']}" in again.out


# -------------------------------------------------------------------------------------- divergence


def test_losses_that_are_looked_at_together_show_the_first_that_is_not_finite(
    in_process, tmp_path, monkeypatch
):
    """As on a GPU, where looking at each makes the host wait."""
    words = ("optimizer=sgd", "optimizer.lr=1e9", "model.activation=identity")
    alone = in_process(tmp_path / "alone", *words).one()
    begin = Module.on_train_start

    def elsewhere(module):
        begin(module)
        module._alone_on_cpu = False

    monkeypatch.setattr(Module, "on_train_start", elsewhere)
    monkeypatch.setattr("theta0.module.EpochMetrics.FLUSH_EVERY", 4)
    together = in_process(tmp_path / "together", *words).one()
    assert alone.status == together.status == "diverged"
    assert together.error.message == alone.error.message
    assert alone.cost.steps < together.cost.steps == 3


# ------------------------------------------------------------------------------------------ points


def test_a_schedule_free_run_is_judged_and_kept_at_the_average(in_process, tmp_path):
    ran = in_process(
        tmp_path, "optimizer=schedule_free_sgd", "optimizer.lr=0.5", "trainer.max_epochs=2"
    )
    result = ran.one()
    kept = state(ran, result)
    optimizer = kept["optimizer_states"][0]
    assert {group["train_mode"] for group in optimizer["param_groups"]} == {False}
    module = Module.from_config(result.config)
    module.load_state_dict(kept["state_dict"])
    data = build(result.config["data"])
    data.setup()
    x, y = data.splits["val"]
    with torch.no_grad():
        accuracy = (module.network(x).argmax(1) == y).float().mean().item()
    assert accuracy == pytest.approx(result.last_metrics["val/acc"])
    # z, where the gradient steps lead, is another point
    z = [entry["z"] for entry in optimizer["state"].values()]
    weights = list(module.network.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(z, weights, strict=True))


# ------------------------------------------------------------------------------- what batches meet


def test_mixed_labels_count_by_their_largest_share(in_process, tmp_path):
    ran = in_process(tmp_path, "remedy=mixup", "trainer.max_epochs=3")
    result = ran.one()
    assert result.status == "done", result.error
    assert 0.5 < result.last_metrics["train/acc"] < result.last_metrics["val/acc"]


def test_several_remedies_are_one_choice(in_process, tmp_path):
    ran = in_process(tmp_path, "-m", "remedy=none,[l2,dropout]", "trainer.max_epochs=1", "study=s")
    assert ran.code == 0, ran.err
    runs = {result.choices["remedy"]: result for result in ran.results()}
    assert set(runs) == {"none", "l2+dropout"}
    both = runs["l2+dropout"]
    assert both.config["model"]["dropout"] == 0.5
    total, scale = both.last_metrics["train/loss"], both.config["loss"]["l2"]["scale"]
    parts = {name: both.last_metrics[f"train/loss_{name}"] for name in ("cross_entropy", "l2")}
    assert total == pytest.approx(parts["cross_entropy"] + scale * parts["l2"], rel=1e-5)
    assert both.last_metrics["val/loss"] == pytest.approx(
        both.last_metrics["val/loss_cross_entropy"]
    )


def test_attacked_inputs_have_metrics_of_their_own(in_process, tmp_path):
    ran = in_process(
        tmp_path, "remedy=pgd", "objective.metric=val/acc_robust", "trainer.max_epochs=2"
    )
    result = ran.one()
    assert result.status == "done", result.error
    for split in ("val", "test"):
        assert result.metrics[f"{split}/acc_robust"] < result.metrics[f"{split}/acc"]
        assert result.metrics[f"{split}/loss_robust"] > result.metrics[f"{split}/loss"]
    assert result.objective.value == result.metrics["val/acc_robust"]
