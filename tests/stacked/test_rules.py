"""Every rule against the solo optimizer that theta0 builds from the YAML, in float64 on one thread.

Four members start and learn alike but for their numbers, all of which differ.
"""

import copy
import functools
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import Tensor, nn

from theta0.optim import build_optimizer, cosine, one_cycle
from theta0.stacked.rules import (
    ALONE,
    RULES,
    Setting,
    Stepper,
    Unstackable,
    clip_,
    group,
    loop,
    operations,
    require_rule,
    settings_of,
)
from theta0.stacked.rules.split import split

CONFIGS = Path(__file__).parents[2] / "configs" / "optimizer"
TARGETS = {
    file.stem: OmegaConf.load(file).optimizer._target_ for file in sorted(CONFIGS.glob("*.yaml"))
}
STACKED = [name for name, target in TARGETS.items() if target in RULES]
MEMBERS, STEPS, MIDDLE = 4, 50, 10

NUMBERS: dict[str, list[Any]] = {
    "weight_decay": [0.1, 0.0, 0.03, 0.01],
    "momentum": [0.9, 0.5, 0.95, 0.1],
    "dampening": [0.0, 0.3, 0.9, 0.1],
    "betas": [[0.9, 0.999], [0.8, 0.99], [0.95, 0.9], [0.0, 0.95]],
    "eps": [1e-8, 1e-3, 1e-10, 1e-5],
    "lr_decay": [0.0, 0.1, 0.01, 1.0],
    "initial_accumulator_value": [0.0, 0.1, 1.0, 0.01],
    "alpha": [0.99, 0.9, 0.75, 0.5],
    "rho": [0.9, 0.95, 0.5, 0.99],
    "momentum_decay": [0.004, 0.04, 0.4, 0.0],
    "etas": [[0.5, 1.2], [0.3, 1.1], [0.9, 1.5], [0.5, 1.3]],
    "step_sizes": [[1e-6, 50.0], [1e-4, 1.0], [1e-3, 0.002], [1e-6, 0.01]],
    "lambd": [1e-4, 1e-2, 0.1, 0.0],
    "t0": [1e6, 0.0, 5.0, 20.0],
    "adamw_lr": [0.001, 0.01, 0.003, 0.02],
    "adamw_betas": [[0.9, 0.95], [0.8, 0.99], [0.95, 0.9], [0.0, 0.95]],
    "adamw_eps": [1e-10, 1e-3, 1e-8, 1e-5],
    "adamw_weight_decay": [0.01, 0.1, 0.0, 0.03],
}
"""By setting what the members have, where a YAML has it; of its rate: RATES."""
RATES = [1.0, 0.5, 0.1, 2.0]
SHARED = {
    "plain": {},
    "everything decays": {"decay_bias_and_norm": True},
    "centered": {"centered": True, "momentum": 0.9},
    "amsgrad": {"amsgrad": True},
    "decoupled": {"decoupled_weight_decay": True},
    "by RMS": {"adjust": "match_rms_adamw", "nesterov": False, "newton_schulz_steps": 3},
}
OTHERS = [
    ("adamw", "everything decays"),
    ("rmsprop", "centered"),
    ("adamw", "amsgrad"),
    ("nadam", "decoupled"),
    ("radam", "decoupled"),
    ("muon", "by RMS"),
]
CASES = [(name, "plain") for name in STACKED] + OTHERS


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ----------------------------------------------------------------------------- members and stacks


@functools.cache
def shipped(name: str) -> dict[str, Any]:
    """The YAML's node."""
    node = OmegaConf.load(CONFIGS / f"{name}.yaml")
    return OmegaConf.to_container(node, resolve=True)["optimizer"]


def settings_for(name: str, shared: str) -> list[dict[str, Any]]:
    """Each member's node of the configuration."""
    node = shipped(name) | SHARED[shared]
    if name == "muon":
        node["newton_schulz_dtype"] = "parameter"
    members = [node | {"lr": node["lr"] * rate} for rate in RATES]
    for key, values in NUMBERS.items():
        if node.get(key) or key in ("weight_decay", "lr_decay", "initial_accumulator_value"):
            for member, value in zip(members, values, strict=True):
                if key in node:
                    member[key] = value
    if name == "momentum":
        for member, value in zip(members, NUMBERS["dampening"], strict=True):
            member["dampening"] = value
    return members


@functools.cache
def start() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 7), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(7, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def network(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """With a tall and a wide hidden matrix, for Muon."""
    return copy.deepcopy(start()).to(dtype)


def batches(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(STEPS, 8, 6, generator=generator, dtype=torch.float64)
    y = torch.randn(STEPS, 8, 2, generator=generator, dtype=torch.float64)
    return x.to(dtype), y.to(dtype)


def optimizer_of(node: dict[str, Any], net: nn.Module, **more: Any) -> torch.optim.Optimizer:
    node = copy.deepcopy(node)
    return build_optimizer(get_object(node.pop("_target_")), net, **node, **more)


@functools.cache
def rules_of(node: str) -> dict[str, Setting]:
    """A member's rules and numbers; its node as JSON."""
    net = network()
    return settings_of(optimizer_of(json.loads(node), net), net)


class Solo:
    """One member by itself, as Lightning trains it, under a cosine schedule."""

    def __init__(self, node: dict[str, Any], dtype: torch.dtype = torch.float64, **more: Any):
        self.net = network(dtype)
        self.optimizer = optimizer_of(node, self.net, **more)
        self.schedule: Any = cosine(self.optimizer, total_steps=2 * STEPS)
        self.x, self.y = batches(dtype)

    def step(self, t: int) -> float:
        self.optimizer.zero_grad()
        loss = (self.net(self.x[t]) - self.y[t]).square().mean()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    @property
    def weights(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.net.named_parameters()}


def saved(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Its state, as it comes back from a checkpoint."""
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


class Stack:
    """The members as one: batched matrix products, and the gradient of the sum of their losses."""

    def __init__(self, nodes: list[dict[str, Any]], dtype: torch.dtype = torch.float64):
        net = network(dtype)
        self.p = {
            name: p.detach().expand(len(nodes), *p.shape).clone()
            for name, p in net.named_parameters()
        }
        self.settings = [rules_of(json.dumps(node)) for node in nodes]
        self.stepper = Stepper(self.settings, self.p)
        self.x, self.y = batches(dtype)

    def gradients(self, t: int) -> tuple[Tensor, dict[str, Tensor]]:
        """(losses [members], gradients by name)."""
        leaves = {name: p.detach().requires_grad_() for name, p in self.p.items()}
        h = self.x[t].expand(len(leaves["0.bias"]), *self.x[t].shape)
        for layer in "0246":
            h = torch.baddbmm(leaves[f"{layer}.bias"][:, None], h, leaves[f"{layer}.weight"].mT)
            h = h if layer == "6" else h.tanh()
        losses = (h - self.y[t]).square().mean((1, 2))
        gradients = torch.autograd.grad(losses.sum(), list(leaves.values()))
        return losses.detach(), dict(zip(leaves, gradients, strict=True))

    def step(self, t: int) -> list[float]:
        losses, gradients = self.gradients(t)
        self.stepper.step(gradients, self.factors(t))
        return losses.tolist()

    def factors(self, t: int) -> Tensor:
        angle = torch.tensor(torch.pi * t / (2 * STEPS), dtype=torch.float64)
        return (0.5 * (1 + angle.cos())).expand(len(self.settings))


class Run(NamedTuple):
    """What a solo run went through.

    Attributes:
        losses: of each step.
        weights: before each step, and after the last.
        middle: (optimizer's state, schedule's) after MIDDLE steps, as a checkpoint has them.
    """

    losses: list[float]
    weights: list[dict[str, Tensor]]
    middle: tuple[dict[str, Any], dict[str, Any]]


@functools.cache
def solo_runs(name: str, shared: str) -> list[Run]:
    """Of each member."""
    runs = []
    for node in settings_for(name, shared):
        solo = Solo(node)
        run = Run([], [solo.weights], ({}, {}))
        for t in range(STEPS):
            if t == MIDDLE:
                run = run._replace(middle=(saved(solo.optimizer), solo.schedule.state_dict()))
            run.losses.append(solo.step(t))
            run.weights.append(solo.weights)
        runs.append(run)
    return runs


def assert_at(p: dict[str, Tensor], name: str, shared: str, steps: int) -> None:
    for i, run in enumerate(solo_runs(name, shared)):
        for key, expected in run.weights[steps].items():
            torch.testing.assert_close(p[key][i], expected, rtol=0, atol=1e-9)


# ---------------------------------------------------------------------------------- the catalogue


def test_every_shipped_optimizer_is_stacked_or_has_a_reason():
    assert set(TARGETS.values()) == RULES.keys() | ALONE.keys()
    assert not RULES.keys() & ALONE.keys()


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_what_has_no_rule_says_why(name):
    net = network()
    optimizer = optimizer_of(shipped(name), net)
    if name in STACKED:
        require_rule(TARGETS[name])
        assert list(settings_of(optimizer, net)) == [key for key, _ in net.named_parameters()]
        return
    with pytest.raises(Unstackable) as by_name:
        require_rule(TARGETS[name])
    with pytest.raises(Unstackable) as by_optimizer:
        settings_of(optimizer, net)
    assert str(by_name.value) == str(by_optimizer.value)
    assert ALONE[TARGETS[name]] in str(by_name.value)


def test_an_optimizer_that_nobody_knows_is_named():
    class Mine(torch.optim.SGD):
        pass

    net = network()
    with pytest.raises(Unstackable, match="Mine: no rule is known for it"):
        settings_of(Mine(net.parameters(), lr=0.1), net)
    with pytest.raises(Unstackable, match="maximize"):
        settings_of(torch.optim.SGD(net.parameters(), lr=0.1, maximize=True), net)


def test_members_with_other_rules_are_no_stack():
    node = settings_for("nesterov", "plain")[0]
    with pytest.raises(ValueError, match="one rule"):
        Stack([node, node | {"nesterov": False}])


# --------------------------------------------------------------------------------- the trajectories


@pytest.mark.parametrize("by", ["loop", "operations"])
@pytest.mark.parametrize(("name", "shared"), CASES)
def test_fifty_steps_are_those_of_the_solo_runs(name, shared, by, monkeypatch):
    if by == "operations":
        if name == "muon":
            pytest.skip("its matrices have no loop")
        monkeypatch.setattr(group, "loop", lambda *_: None)
    stack = Stack(settings_for(name, shared))
    steps = STEPS if by == "loop" else 10
    losses = [stack.step(t) for t in range(steps)]
    runs = solo_runs(name, shared)
    for i, run in enumerate(runs):
        assert [row[i] for row in losses] == pytest.approx(run.losses[:steps], rel=0, abs=1e-9)
        assert run.losses[-1] != pytest.approx(run.losses[0], abs=1e-6)
    assert_at(stack.p, name, shared, steps)
    ends = [run.weights[-1]["6.weight"] for run in runs]
    assert all((a - b).abs().max() > 1e-6 for a in ends for b in ends if a is not b)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "nadam"])
def test_each_parameter_has_its_own_share_of_the_rate(name):
    scales = {"2.weight": 0.25, "6.weight": 0.5}
    nodes = settings_for(name, "plain")
    stack = Stack(nodes)
    net = network()
    settings = [settings_of(optimizer_of(node, net, lr_scales=scales), net) for node in nodes]
    stack.stepper = Stepper(settings, stack.p)
    for t in range(5):
        stack.step(t)
    for i, node in enumerate(nodes):
        solo = Solo(node, lr_scales=scales)
        for t in range(5):
            solo.step(t)
        for key, expected in solo.weights.items():
            torch.testing.assert_close(stack.p[key][i], expected, rtol=0, atol=1e-12)
    assert (stack.p["2.weight"][0] - solo_runs(name, "plain")[0].weights[5]["2.weight"]).any()


@pytest.mark.parametrize("name", ["momentum", "nesterov", "adam", "adamw_lh", "lion", "rmsprop"])
def test_one_cycle_moves_momentum_too(name):
    shared = "centered" if name == "rmsprop" else "plain"
    nodes = settings_for(name, shared)
    solos = [Solo(node) for node in nodes]
    for solo, node in zip(solos, nodes, strict=True):
        solo.schedule = one_cycle(optimizer_of(node, solo.net), total_steps=20)
        solo.optimizer = solo.schedule.optimizer
    stack, seen = Stack(nodes), set()
    for t in range(12):
        groups = [solo.optimizer.param_groups[0] for solo in solos]
        factor = [g["lr"] / node["lr"] for g, node in zip(groups, nodes, strict=True)]
        cycled = [g["betas"][0] if "betas" in g else g["momentum"] for g in groups]
        seen.add(cycled[0])
        _, gradients = stack.gradients(t)
        numbers = torch.tensor([factor, cycled], dtype=torch.float64)
        stack.stepper.step(gradients, *numbers)
        for solo in solos:
            solo.step(t)
    assert len(seen) == 12
    for i, solo in enumerate(solos):
        for key, expected in solo.weights.items():
            torch.testing.assert_close(stack.p[key][i], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "shared"), CASES)
def test_in_float32_the_numbers_before_the_tensors_have_all_their_digits(name, shared):
    """1 − 0.999 in float32 is wrong by 1e-5 of itself: coefficients are computed in float64."""
    nodes = settings_for(name, shared)
    stack = Stack(nodes, torch.float32)
    solos = [Solo(node, torch.float32) for node in nodes]
    for t in range(5):
        _, gradients = stack.gradients(t)
        stack.stepper.step(gradients, stack.factors(t))
        for i, solo in enumerate(solos):
            for key, p in solo.net.named_parameters():
                p.grad = gradients[key][i].clone(memory_format=torch.contiguous_format)
            solo.optimizer.step()
            solo.schedule.step()
    for i, solo in enumerate(solos):
        for key, expected in solo.weights.items():
            assert stack.p[key].dtype == torch.float32
            atol = 1e-6 if name == "muon" else 1e-7
            torch.testing.assert_close(stack.p[key][i], expected, rtol=3e-6, atol=atol)


@pytest.mark.parametrize("name", ["momentum", "lion", "rprop"])
def test_the_loop_rounds_as_the_operations_do(name, monkeypatch):
    """Bit for bit, where there is no root, which torch does not round to the nearest."""
    ends = []
    for by in ("loop", "operations"):
        if by == "operations":
            monkeypatch.setattr(group, "loop", lambda *_: None)
        stack = Stack(settings_for(name, "plain"), torch.float32)
        for t in range(10):
            stack.step(t)
        ends.append(stack.p)
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_without_a_compiler_it_goes_by_operations_and_says_so(monkeypatch, caplog):
    monkeypatch.setenv("CC", "/nowhere/cc")
    nodes = settings_for("adadelta", "plain")
    loop._compiled.cache_clear()
    stack = Stack(nodes)
    for t in range(5):
        stack.step(t)
    assert_at(stack.p, "adadelta", "plain", 5)
    assert "without a C compiler" in caplog.text and "/nowhere/cc" in caplog.text
    loop._compiled.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "nadam", "muon"])
def test_compiled_is_the_same(name):
    stack = Stack(settings_for(name, "plain"))
    stack.stepper = Stepper(stack.settings, stack.p, compiled=True)
    for t in range(20):
        stack.step(t)
    assert_at(stack.p, name, "plain", 20)


# -------------------------------------------------------------------------------- members alone


@pytest.mark.parametrize("by", ["loop", "operations"])
@pytest.mark.parametrize(("name", "shared"), CASES)
def test_a_member_with_nan_does_not_touch_the_others(name, shared, by, monkeypatch):
    """Bit for bit, beside it and without it."""
    if by == "operations":
        monkeypatch.setattr(group, "loop", lambda *_: None)
        monkeypatch.setattr(operations, "BLOCK", 60)
    ends = []
    for fate in ("healthy", "nan", "gone"):
        stack = Stack(settings_for(name, shared), torch.float32)
        rows = torch.tensor([0, 2, 3])
        for t in range(6):
            _, gradients = stack.gradients(t)
            if t >= 3 and fate == "nan":
                for g in gradients.values():
                    g[1] = torch.nan
            if t == 3 and fate == "gone":
                stack.p = {key: p[rows] for key, p in stack.p.items()}
                stack.settings = stack.settings[1:]
                gradients = {key: g[rows] for key, g in gradients.items()}
                stack.stepper.keep(rows, stack.p)
            stack.stepper.step(gradients, stack.factors(t))
        ends.append(stack.p)
    healthy, nan, gone = ends
    for key in healthy:
        assert torch.equal(healthy[key][rows], nan[key][rows])
        assert torch.equal(healthy[key][rows], gone[key])
    assert not torch.equal(healthy["0.weight"][1], nan["0.weight"][1])


@pytest.mark.parametrize(("name", "shared"), CASES)
def test_each_number_is_its_members_own(name, shared):
    """Whose number is another goes elsewhere, in weights or in state; its neighbours do not."""
    first, second, *_ = settings_for(name, shared)
    differ = [key for key in first if first[key] != second[key]]
    assert "lr" in differ
    stack = Stack([first, *(first | {key: second[key]} for key in differ), first])
    for t in range(12):
        stack.step(t)
    kept = [x for g in stack.stepper.groups for state in g.state.values() for x in state.values()]
    tensors = [*stack.p.values(), *kept]
    assert all(torch.equal(x[0], x[-1]) for x in tensors)
    for i, key in enumerate(differ, start=1):
        assert any(not torch.equal(x[0], x[i]) for x in tensors), key


@pytest.mark.parametrize(("name", "shared"), CASES)
def test_an_update_changes_none_of_its_arguments(name, shared):
    """And in its two parts it is what it is as a whole."""
    for g in Stack(settings_for(name, shared)).stepper.groups:
        rule, p = g.rule, next(iter(g.parameters.values()))
        shape = p.shape if rule.on_matrices else (MEMBERS, p[0].numel())
        numbers = (MEMBERS, *[1] * (len(shape) - 1))
        tensors = {key: torch.randn(shape, dtype=torch.float64) for key in ("p", "g")}
        state = {key: torch.rand(shape, dtype=torch.float64) for key in rule.state}
        scalars = {key: torch.rand(numbers, dtype=torch.float64) for key in rule.scalars}
        hyper = {key: column.view(numbers) for key, column in g.hyper.items()}
        t = torch.tensor([1.0, 2.0, 6.0, 1000.0], dtype=torch.float64).view(numbers)
        given = [*tensors.values(), *state.values(), *scalars.values(), *hyper.values(), t]
        before = [(x.clone(), x._version) for x in given]
        new_p, new = rule.update(**tensors, state=state | scalars, hyper=hyper, t=t)
        for x, (value, version) in zip(given, before, strict=True):
            assert torch.equal(x, value) and x._version == version
        assert new.keys() == state.keys() | scalars.keys()
        assert not torch.equal(new_p, tensors["p"])

        coefficients, on_tensors = split(rule, tuple(hyper))
        out = coefficients(*hyper.values(), *scalars.values(), t)
        border = len(out) - len(scalars)
        parts = on_tensors(*tensors.values(), *state.values(), *out[:border])
        whole = [new_p, *(new[key] for key in [*state, *scalars])]
        for a, b in zip((*parts, *out[border:]), whole, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
        assert all(c.shape == numbers for c in out)


# ------------------------------------------------------------------------- from and to solo runs


def same_form(a: Any, b: Any) -> bool:
    """The same keys, types and shapes."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_form(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same_form, a, b))
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and a.shape == b.shape
    return type(a) is type(b)


@pytest.mark.parametrize(("name", "shared"), CASES)
def test_a_solo_run_goes_on_where_a_stack_stopped(name, shared):
    nodes = settings_for(name, shared)
    stack = Stack(nodes)
    for t in range(MIDDLE):
        stack.step(t)
    for i, (node, run) in enumerate(zip(nodes, solo_runs(name, shared), strict=True)):
        solo, factor = Solo(node), float(stack.factors(MIDDLE)[i])
        stack.stepper.to_solo(i, solo.optimizer, solo.net, factor)
        stack.stepper.to_solo(i, solo.optimizer, solo.net, factor)  # as often as one likes
        state, (expected, schedule) = saved(solo.optimizer), run.middle
        assert same_form(state["state"], expected["state"])
        for a, b in zip(state["param_groups"], expected["param_groups"], strict=True):
            assert a | {"lr": 0.0} == b | {"lr": 0.0}
            assert a["lr"] == pytest.approx(b["lr"], rel=1e-12)
        later = Solo(node)
        later.net.load_state_dict({key: p[i] for key, p in stack.p.items()})
        later.optimizer.load_state_dict(state)
        later.schedule.load_state_dict(schedule)
        for t in range(MIDDLE, 2 * MIDDLE):
            later.step(t)
        for key, p in later.weights.items():
            torch.testing.assert_close(p, run.weights[2 * MIDDLE][key], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "shared"), CASES)
def test_a_stack_goes_on_where_solo_runs_stopped(name, shared):
    nodes = settings_for(name, shared)
    stack = Stack(nodes)
    for i, (node, run) in enumerate(zip(nodes, solo_runs(name, shared), strict=True)):
        net = network()
        optimizer = optimizer_of(node, net)
        optimizer.load_state_dict(run.middle[0])
        stack.stepper.from_solo(i, optimizer, net)
        for key, p in run.weights[MIDDLE].items():
            stack.p[key][i] = p
    for t in range(MIDDLE, 2 * MIDDLE):
        stack.step(t)
    assert_at(stack.p, name, shared, 2 * MIDDLE)


def test_before_the_first_step_a_solo_optimizer_keeps_nothing():
    node = settings_for("adam", "plain")[0]
    stack, template = Stack([node]), network()
    optimizer = optimizer_of(node, template)
    stack.stepper.to_solo(0, optimizer, template)
    assert not optimizer.state
    stack.stepper.from_solo(0, optimizer, template)
    assert stack.stepper.steps.tolist() == [0]


# ---------------------------------------------------------------------------------------- clipping


@pytest.mark.parametrize("kind", ["norm", "value"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_member_is_clipped_as_torch_clips_it(kind, dtype):
    generator = torch.Generator().manual_seed(0)
    shapes = {"w": (6, 3, 2), "b": (6, 3), "factor": (6,)}
    gradients = {
        name: torch.randn(shape, generator=generator, dtype=dtype) for name, shape in shapes.items()
    }
    for g in gradients.values():
        g[1] *= 1e-4  # within its bound
        g[4] *= 1e-6  # where 1e-6 beside the norm is felt
        g[2] = 0.0
    gradients["b"][3, 0] = torch.nan
    bounds = [0.5, 0.5, 0.1, 1.0, 1e-6, float("inf")]
    clipped = {name: g.clone() for name, g in gradients.items()}
    clip_(clipped, **{kind: torch.tensor(bounds, dtype=torch.float64)})
    for i, bound in enumerate(bounds):
        parameters = [nn.Parameter(g[i].clone()) for g in gradients.values()]
        for p in parameters:
            p.grad = p.detach().clone()
        if kind == "norm":
            nn.utils.clip_grad_norm_(parameters, bound)
        else:
            nn.utils.clip_grad_value_(parameters, bound)
        for p, g in zip(parameters, clipped.values(), strict=True):
            torch.testing.assert_close(g[i], p.grad, rtol=1e-6, atol=0, equal_nan=True)
    assert not torch.equal(clipped["w"][0], gradients["w"][0])
    for i in (1, 2, 5):
        assert all(torch.equal(clipped[name][i], g[i]) for name, g in gradients.items())
