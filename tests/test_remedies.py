"""Every option of `remedy`: it composes, alone and with others, runs, and does what it is for."""

from pathlib import Path

import pytest

from theta0.config import check

CONFIGS = Path(__file__).parents[1] / "configs" / "remedy"
NAMES = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
SHORT = ("trainer.max_epochs=2", "trainer.limit_train_batches=5", "model.widths=[16]")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
def test_a_remedy_says_where_it_is_from_and_what_it_does(name):
    first, *header = (CONFIGS / f"{name}.yaml").read_text().splitlines()[:4]
    assert first == "# @package _global_"
    assert [line.partition(":")[0] for line in header] == ["# paper", "# formula", "# differs"]
    assert all(len(line) <= 100 for line in header)


TOGETHER = (
    "[accumulation,batch_norm,clip_adaptive,crop,cutmix,dropout,early_stopping,ema]",
    "[clip_norm,erasing,fgsm,flip,gradient_noise,l1,l2,label_smoothing,layer_norm]",
    "[mixup,noise,pgd,rms_norm,rotation]",
    "[clip_value,mixed_precision,none,shift,swa,weight_norm]",
)


def test_remedies_run_together(in_process, tmp_path):
    """Each in one of four runs, and `monotonic`, which is for a regression, in its own."""
    names = [name for together in TOGETHER for name in together.strip("[]").split(",")]
    assert sorted([*names, "monotonic"]) == NAMES
    in_process(tmp_path, "-m", f"remedy={','.join(TOGETHER)}", "study=s", *SHORT)
    ran = in_process(tmp_path, "remedy=monotonic", "data=saturating", "study=s", *SHORT)
    chosen = {result.choices["remedy"]: result.status for result in ran.results("s")}
    expected = [together.strip("[]").replace(",", "+") for together in TOGETHER]
    assert chosen == dict.fromkeys([*expected, "monotonic"], "done")


@pytest.mark.slow
def test_every_remedy_alone_learns(in_process, tmp_path):
    names = [name for name in NAMES if name != "monotonic"]
    ran = in_process(
        tmp_path, "-m", f"remedy={','.join(names)}", "data=mnist5k", "trainer.max_epochs=2"
    )
    accuracies = {result.choices["remedy"]: result.metrics["test/acc"] for result in ran.results()}
    assert accuracies.keys() == set(names)
    assert min(accuracies.values()) > 0.6, accuracies


def test_remedies_add_up(compose):
    plain = check(compose("remedy=[dropout,l1,shift,mixup,ema,clip_norm,accumulation]"))
    assert plain["model"]["dropout"] == 0.5
    assert list(plain["loss"]) == ["cross_entropy", "l1"]
    assert list(plain["augmentation"]) == ["shift", "mixup"], "in the order of the list"
    assert list(plain["callbacks"]) == ["checkpoint", "ema"]
    assert plain["trainer"]["gradient_clip_val"] == 1.0
    assert plain["trainer"]["accumulate_grad_batches"] == 4
    other = check(compose("remedy=[mixup,shift]"))
    assert list(other["augmentation"]) == ["mixup", "shift"]


def test_a_remedy_patches_and_the_command_line_has_the_last_word(compose):
    plain = check(compose("remedy=[swa,dropout]", "model.dropout=0.2", "callbacks.swa.start=0.8"))
    assert plain["model"]["dropout"] == 0.2
    assert plain["callbacks"]["swa"]["start"] == 0.8
    assert plain["scheduler"]["_target_"] == "theta0.optim.constant", "for weights to go on moving"
    told = check(compose("remedy=swa", "scheduler=step"))
    assert told["scheduler"]["_target_"] == "theta0.optim.step"


def test_a_penalty_is_trained_on_reported_and_not_validated(in_process, tmp_path):
    ran = in_process(tmp_path, "remedy=l2", "loss.l2.scale=0.01", *SHORT)
    metrics = ran.one().metrics
    total = metrics["train/loss_cross_entropy"] + 0.01 * metrics["train/loss_l2"]
    assert metrics["train/loss"] == pytest.approx(total, rel=1e-5)
    for split in ("val", "test"):
        assert metrics[f"{split}/loss"] == metrics[f"{split}/loss_cross_entropy"]
        assert metrics[f"{split}/loss_l2"] > 1


@pytest.mark.parametrize("remedy", ["ema", "swa", "pgd"])
def test_what_was_tested_is_in_the_checkpoint(in_process, tmp_path, remedy):
    """The average, and one robust accuracy: eval.py finds the run's numbers to the last digit."""
    ran = in_process(tmp_path, f"remedy={remedy}", *SHORT)
    result = ran.one()
    again = in_process(tmp_path, f"run={ran.folder(result)}", program="eval.py")
    told = dict(line.split() for line in again.out.splitlines() if line.startswith("test/"))
    assert len(told) == (4 if remedy == "pgd" else 2)
    assert {k: float(v) for k, v in told.items()} == {
        k: v for k, v in result.metrics.items() if k.startswith("test/")
    }


def test_attacks_in_training_make_a_network_robust(in_process, tmp_path):
    """A share of 0 measures, and changes nothing."""
    quick = ("trainer.max_epochs=5", "model.widths=[64]", "optimizer.lr=0.01")
    ran = in_process(tmp_path, "-m", "remedy=fgsm", "adversary.share=0.0,0.5", "study=s", *quick)
    both = sorted(ran.results("s"), key=lambda result: result.config["adversary"]["share"])
    naive, trained = (result.metrics for result in both)
    assert naive["test/acc_robust"] < naive["test/acc"] - 0.2
    assert trained["test/acc_robust"] > naive["test/acc_robust"] + 0.1
    assert trained["test/acc"] > 0.9
    without = in_process(tmp_path, "study=t", *quick).one("t")
    assert without.metrics["test/acc"] == naive["test/acc"]
    assert without.hashes.final == both[0].hashes.final


@pytest.mark.slow
def test_the_monotonic_experiment(in_process, tmp_path):
    ran = in_process(tmp_path, "experiment=monotonic", "data=saturating")
    assert ran.out.count("claim holds") == 2
