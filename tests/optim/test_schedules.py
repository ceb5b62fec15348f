"""Each schedule's YAML: the rate of every step against its closed form."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
import schedulefree
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from theta0.build import build

CONFIGS = Path(__file__).parents[2] / "configs" / "scheduler"
NAMES = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
LR = 0.3


def node(name: str, mode: str = "min", **changes) -> dict:
    root = OmegaConf.create({"scheduler": OmegaConf.load(CONFIGS / f"{name}.yaml")})
    root.objective = {"mode": mode}
    return OmegaConf.to_container(root, resolve=True)["scheduler"] | changes


def optimizer(factory=torch.optim.SGD, **settings):
    """Two groups, as with weight decay."""
    groups = [{"params": [nn.Parameter(torch.zeros(2))], "weight_decay": d} for d in (0.1, 0.0)]
    return factory(groups, lr=LR, **settings)


def schedule(name: str, on, total: int, **changes):
    return build(node(name, **changes), optimizer=on, total_steps=total)


def rates(name: str, total: int, **changes) -> list[float]:
    """The rate, as a multiple of the optimizer's, of steps 0 .. total − 1, and the one after."""
    on = optimizer()
    scheduler = schedule(name, on, total, **changes)
    seen = []
    for _ in range(total + 1):
        (rate,) = {group["lr"] for group in on.param_groups}
        seen.append(rate / LR)
        if len(seen) <= total:
            on.step()
            scheduler.step()
    return seen


def cos_from_1(progress: float, final: float) -> float:
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def test_every_yaml_is_tested_here():
    assert set(NAMES) == {"none", "cosine", "warmup_cosine", "step", "one_cycle", "plateau"}


def test_none():
    on = optimizer()
    assert schedule("none", on, 10) is None
    assert schedule("none", on, 0) is None
    assert [group["lr"] for group in on.param_groups] == [LR, LR]


@pytest.mark.parametrize("name", ["cosine", "warmup_cosine", "step", "one_cycle"])
def test_an_unknown_number_of_steps_is_refused(name):
    with pytest.raises(ValueError, match=r"trainer\.max_epochs"):
        schedule(name, optimizer(), 0)


@pytest.mark.parametrize("final", [None, 0.1])
@pytest.mark.parametrize("total", [1, 7, 40])
def test_cosine(total, final):
    got = rates("cosine", total, **({} if final is None else {"final": final}))
    end = final or 0.0
    assert got == pytest.approx([cos_from_1(t / total, end) for t in range(total + 1)], abs=1e-12)
    assert got[0] == 1
    assert got[-1] == pytest.approx(end, abs=1e-12)


@pytest.mark.parametrize("name", ["cosine", "warmup_cosine"])
def test_past_its_end_a_cosine_stays_at_the_final_rate(name):
    on = optimizer()
    scheduler = schedule(name, on, 5, final=0.2)
    for _ in range(12):
        on.step()
        scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.2 * LR] * 2, rel=1e-12)


@pytest.mark.parametrize(
    ("total", "changes", "warm"),
    [
        (40, {}, 4),
        (40, {"final": 0.05}, 4),
        (40, {"warmup": 0.25, "final": 0.1}, 10),
        (7, {}, 1),
        (4, {}, 0),  # too few steps for any
        (40, {"warmup": 0.0}, 0),
        (8, {"warmup": 1.0}, 8),
    ],
)
def test_warmup_cosine(total, changes, warm):
    got = rates("warmup_cosine", total, **changes)
    final = changes.get("final", 0.0)
    up = [(t + 1) / warm for t in range(warm)]
    down = [cos_from_1(t / max(1, total - warm), final) for t in range(total - warm + 1)]
    assert got == pytest.approx(up + down, abs=1e-12)
    assert got[0] == pytest.approx(1 / max(1, warm), abs=1e-12)  # the first step is not lost


def test_step():
    assert rates("step", 40) == pytest.approx([1.0] * 20 + [0.1] * 10 + [0.01] * 11, rel=1e-12)
    assert rates("step", 7) == pytest.approx([1.0] * 4 + [0.1] * 2 + [0.01] * 2, rel=1e-12)
    got = rates("step", 10, milestones=[0.3, 0.6, 0.9], gamma=0.5)
    assert got == pytest.approx([1.0] * 3 + [0.5] * 3 + [0.25] * 3 + [0.125] * 2, rel=1e-12)
    assert rates("step", 5, milestones=[]) == pytest.approx([1.0] * 6)


@pytest.mark.parametrize(("milestone", "at"), [(0.55, 55), (0.07, 7), (0.28, 28)])
def test_a_milestone_that_floats_round_up(milestone, at):
    got = rates("step", 100, milestones=[milestone])
    assert next(t for t, rate in enumerate(got) if rate < 1) == at


# -------------------------------------------------------------------------------------- one cycle


def between(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def cycle(total, low, high, last, warmup=0.3) -> list[float]:
    """low → high → last by half cosines, for steps 0 .. total − 1."""
    top, end = warmup * total - 1, total - 1
    return [
        between(low, high, t / top) if t <= top else between(high, last, (t - top) / (end - top))
        for t in range(total)
    ]


def one_cycle_rates(total: int, **changes) -> list[float]:
    return [row["lr"] / LR for row in cycled(optimizer(), total, **changes)]


def cycled(on, total: int, **changes) -> list[dict]:
    """Both groups' settings at each step, which are the same ones."""
    scheduler = schedule("one_cycle", on, total, **changes)
    rows = []
    for _ in range(total):
        kept = [
            {key: group[key] for key in ("lr", "momentum", "betas") if key in group}
            for group in on.param_groups
        ]
        assert kept[0] == kept[1]
        rows.append(kept[0])
        on.step()
        scheduler.step()
    return rows


@pytest.mark.parametrize("changes", [{}, {"start": 0.1, "final": 0.001, "warmup": 0.5}])
@pytest.mark.parametrize("total", [20, 33, 100])
def test_one_cycle(total, changes):
    settings = {"start": 0.04, "final": 4e-6, "warmup": 0.3} | changes
    got = one_cycle_rates(total, **changes)
    expected = cycle(total, settings["start"], 1.0, settings["final"], settings["warmup"])
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_one_cycle_starts_peaks_and_ends_where_the_yaml_says():
    got = one_cycle_rates(20)
    assert got[0] == pytest.approx(0.04, rel=1e-12)
    assert max(got) == got[5] == pytest.approx(1.0, rel=1e-12)
    assert got[-1] == pytest.approx(4e-6, rel=1e-9)
    assert all(a < b for a, b in pairwise(got[:6])) and all(a > b for a, b in pairwise(got[5:]))


MOMENTUM = cycle(20, 0.95, 0.85, 0.95)


@pytest.mark.parametrize("nesterov", [False, True])
def test_one_cycle_turns_momentum_the_other_way_round(nesterov):
    rows = cycled(optimizer(momentum=0.9, nesterov=nesterov), 20)
    assert [row["momentum"] for row in rows] == pytest.approx(MOMENTUM, abs=1e-12)
    assert MOMENTUM[5] == min(MOMENTUM) == pytest.approx(0.85)


@pytest.mark.parametrize("factory", [torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam])
def test_one_cycle_turns_the_first_beta(factory):
    rows = cycled(optimizer(factory, betas=[0.9, 0.99]), 20)
    assert [row["betas"][0] for row in rows] == pytest.approx(MOMENTUM, abs=1e-12)
    assert {row["betas"][1] for row in rows} == {0.99}


@pytest.mark.parametrize("factory", [torch.optim.SGD, torch.optim.Adagrad, torch.optim.RMSprop])
def test_one_cycle_gives_no_momentum_to_who_has_none(factory):
    rows = cycled(optimizer(factory), 20)
    assert not any(row.get("momentum") for row in rows)
    assert [row["lr"] / LR for row in rows] == pytest.approx(cycle(20, 0.04, 1.0, 4e-6), abs=1e-12)


@pytest.mark.parametrize(
    ("factory", "key"),
    [(schedulefree.SGDScheduleFree, "momentum"), (schedulefree.AdamWScheduleFree, "betas")],
)
def test_one_cycle_leaves_alone_what_says_where_an_average_is(factory, key):
    on = optimizer(factory)
    on.train()
    rows = cycled(on, 20)
    assert {str(row[key]) for row in rows} == {str(on.defaults[key])}
    assert max(row["lr"] for row in rows) == pytest.approx(LR)


def test_one_cycle_with_one_step_of_warmup():
    assert max(one_cycle_rates(10, warmup=0.1)) == pytest.approx(1.0)


def test_one_cycle_with_a_whole_number_as_warmup():
    assert one_cycle_rates(10, warmup=0)[0] > 0.5


@pytest.mark.parametrize("name", ["cosine", "warmup_cosine", "step", "one_cycle"])
def test_a_schedule_goes_on_from_its_state(tmp_path, name):
    """Read as a checkpoint is: with weights_only, into a new optimizer and scheduler."""

    def run(on, scheduler, steps):
        seen = []
        for _ in range(steps):
            seen.append([(group["lr"], group["momentum"]) for group in on.param_groups])
            on.step()
            scheduler.step()
        return seen

    def fresh():
        on = optimizer(momentum=0.9)
        return on, schedule(name, on, 20)

    whole = run(*fresh(), 20)
    on, scheduler = fresh()
    first = run(on, scheduler, 8)
    torch.save([on.state_dict(), scheduler.state_dict()], tmp_path / "a.ckpt")
    on, scheduler = fresh()
    for part, state in zip(
        (on, scheduler), torch.load(tmp_path / "a.ckpt", weights_only=True), strict=True
    ):
        part.load_state_dict(state)
    assert first + run(on, scheduler, 12) == whole
    assert len({rates[0] for rates in whole}) > 1


# ---------------------------------------------------------------------------------------- plateau


def plateau_rates(values, **changes) -> list[float]:
    """The rate after each epoch's value, as a multiple of the optimizer's."""
    on = optimizer()
    scheduler = schedule("plateau", on, 0, **changes)
    assert isinstance(scheduler, ReduceLROnPlateau)
    seen = []
    for value in values:
        scheduler.step(value)
        (rate,) = {group["lr"] for group in on.param_groups}
        seen.append(rate / LR)
    return seen


@pytest.mark.parametrize("mode", ["min", "max"])
def test_plateau_reduces_after_more_than_patience_epochs(mode):
    """torch's count: three epochs without progress are borne, the fourth is not; then anew."""
    losses = [1.0, 0.8, 0.9, 0.8, 0.85, 0.9, 0.9, 0.9, 0.9, 0.9]
    got = plateau_rates([loss if mode == "min" else 1 - loss for loss in losses], mode=mode)
    assert got == pytest.approx([1.0] * 5 + [0.1] * 4 + [0.01], rel=1e-12)


def test_plateau_goes_on_while_the_objective_improves():
    assert plateau_rates([0.9**t for t in range(30)]) == [1.0] * 30
    assert plateau_rates([1 - 0.9**t for t in range(30)], mode="max") == [1.0] * 30
    assert plateau_rates([0.9**t for t in range(30)], mode="max")[-1] < 1e-5


def test_plateau_takes_less_than_a_ten_thousandth_for_no_progress():
    crawling = [1 - 5e-5 * t / 10 for t in range(5)]
    assert plateau_rates(crawling)[-1] == pytest.approx(0.1)
    assert plateau_rates(crawling, threshold=1e-6)[-1] == 1.0


def test_plateau_settings():
    flat = [1.0] * 4
    assert plateau_rates(flat, patience=1, factor=0.5) == pytest.approx([1, 1, 0.5, 0.5])
    assert plateau_rates(flat, patience=0, min_lr=0.02)[1:] == pytest.approx(
        [0.1, 0.02 / LR, 0.02 / LR]
    )
