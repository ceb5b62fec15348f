"""A stack of runs, told top to bottom."""

import contextlib
import logging
import shutil
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint as CheckpointBase
from torch import Tensor, nn

from theta0 import environment
from theta0.build import build
from theta0.classwise import write_tables
from theta0.config.effects import overruled
from theta0.data import BatchLoader, DataModule
from theta0.errors import first_line
from theta0.init import table, warnings
from theta0.module import Module, digest, optimizer_of
from theta0.results import Cost, Error, Status
from theta0.run import quiet, record, say_end, watched
from theta0.seeds import seed_global
from theta0.stacked.batches import Rows, dtype_of, zeros
from theta0.stacked.checkpoint import dump, dump_best, write
from theta0.stacked.loops import stacked_loops
from theta0.stacked.member import Member
from theta0.stacked.metrics import StackedMetrics
from theta0.stacked.module import Stack
from theta0.stacked.network import Network
from theta0.stacked.progress import Progress
from theta0.stacked.rules import Unstackable, settings_of
from theta0.tracking import CsvLogger, WandbLogger, finish, replay

log = logging.getLogger("theta0")


class Run:
    """The runs of a stack from θ₀ to their results.

    A single one, of a stack whose others are done or at another place, takes itself along a second
    time: a stack of one would have other last bits (see `Stack`).

    Args:
        members: all of them, at the same place of their training.
        threads: of the CPU.
    """

    def __init__(self, members: Sequence[Member], threads: int) -> None:
        self.members, self.threads = list(members), threads
        self.size = len(self.members)
        if self.size == 1:
            self.members.append(self.members[0].passenger())
        self.started = time.perf_counter()
        self.stack: Stack | None = None
        self._loggers: dict[int, CsvLogger] = {}

    def __call__(self) -> None:
        """Do them. Like `theta0.run.run` it raises only where it is told to stop."""
        try:
            with quiet():
                self.train()
        except Exception as error:
            reason = Error.of(error)
            log.debug("%s", reason.traceback)
            self.end(self._alive, "failed", reason)
        except BaseException:
            self.end(self._alive, "interrupted")
            raise

    @property
    def _alive(self) -> list[Member]:
        return [member for member in self.members if member.alive]

    def train(self) -> None:
        """All that `theta0.run.train` does of one run."""
        config = self.members[0].config
        environment.apply(self.threads)
        data = {member.result.seeds.split: member for member in reversed(self.members)}
        rows = {split: build(member.config["data"]) for split, member in sorted(data.items())}
        for data_module in rows.values():
            data_module.prepare_data()
            data_module.setup("fit")
        module = draw(self.members, rows)
        trainer = self._trainer(config)
        device = trainer.strategy.root_device
        self._describe(device)
        dtype = dtype_of(config)
        seeds = [member.result.seeds for member in self.members]
        networks = network(
            [member.config for member in self.members],
            [member.state for member in self.members],
            [member.rates for member in self.members],
            [member.generator for member in self.members],
            module,
            device,
            dtype,
        )
        for member in self.members:
            init = build(member.config["init"])
            member.optimizer = optimizer_of(member.config["optimizer"], module.network, init)
        splits, orders = [s.split for s in seeds], [s.order for s in seeds]
        self.stack = Stack(
            self.members,
            networks,
            Rows(rows, splits, orders, device, dtype),
            {s: getattr(module, f"{s}_metrics").to(device) for s in ("train", "val", "test")},
            config,
            self.end,
        )
        checkpoint = self.members[0].checkpoint
        if checkpoint is not None:
            trainer.fit_loop.load_state_dict(stacked_loops(checkpoint))
        trainer.fit(self.stack, _Places(self.stack.rows, config["data"], checkpoint))
        if trainer.global_step == 0 and self._alive:
            raise ValueError("not one step was trained")
        if not self.stack.fitting:  # killed after the last step, before the results were written
            self.stack.note_place()
            self.stack.fitting = True
        self.end(self._alive, "done")

    def _describe(self, device: torch.device) -> None:
        first, *others = self._alive
        described = environment.describe(first.folder, [device]) | {"stack": self.size}
        for member in self._alive:
            member.result.environment = described
        if (patch := (described["git"] or {}).get("patch")) is not None:
            for member in others:
                shutil.copyfile(first.folder / patch, member.folder / patch)

    def _trainer(self, config: dict[str, Any]) -> lightning.Trainer:
        trainer = build(
            config["trainer"] | {"gradient_clip_val": None},
            callbacks=[
                _Files(self, config["checkpoint"]["every_n_seconds"]),
                *([Progress(self.members)] if watched(config) else []),
            ],
            logger=False,
            default_root_dir=self.members[0].folder.parent,
            enable_checkpointing=True,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        assert isinstance(trainer, lightning.Trainer)
        return trainer

    # ---------------------------------------------------------------------------------------- files

    def save(self, members: Sequence[Member]) -> None:
        """The files that a run of these members' own would have by now."""
        assert self.stack is not None
        for member in members:
            self.write_rows(member)
            if member.keeper is None:
                continue
            index = self.stack.members.index(member)
            checkpoint = dump(self.stack, index)
            folder = member.folder / "checkpoints"
            if member.best is not None:  # first: where `last` says what the best is, it is there
                is_last = member.metrics and member.best.step == checkpoint["global_step"]
                write(checkpoint if is_last else dump_best(self.stack, index), folder / "best.ckpt")
            write(checkpoint, folder / "last.ckpt")

    def write_rows(self, member: Member) -> None:
        """metrics.csv up to now."""
        if id(member) not in self._loggers:
            step = member.checkpoint["global_step"] if member.checkpoint else None
            self._loggers[id(member)] = CsvLogger(member.folder / "metrics.csv", step)
        self._loggers[id(member)].log_rows(member.rows)
        member.rows = []

    # ----------------------------------------------------------------------------------------- ends

    def end(self, members: Sequence[Member], status: Status, error: Error | None = None) -> None:
        """These members have ended so: their last files, and their results."""
        if not members:
            return
        if self.stack is not None and self.stack.fitting:
            for member in members:
                self._take_stock(member)
            if status in ("done", "pruned"):
                self.save(members)
                self._choose(members, test=status == "done" and members[0].config["test"])
        for member in members:
            member.result.status, member.result.error = status, error
            self._close(member)

    def _close(self, member: Member) -> None:
        """What a member's end leaves besides its checkpoints."""
        result = member.result
        member.alive = False
        if result.cost is not None:
            result.cost.wall_seconds += (time.perf_counter() - self.started) / self.size
        loggers = []
        try:
            self.write_rows(member)
            if result.status != "interrupted":
                loggers = _tracked(member)
        except Exception as error:  # no room on the disk; W&B refuses a project's name
            result.status, result.error = "failed", Error.of(error)
        with recorded(member.folder):
            record(result, member.folder)
            finish(loggers, result)
            say_end(result)

    def _take_stock(self, member: Member) -> None:
        """What is known after fit, however it ended; as `theta0.run` has it."""
        assert self.stack is not None
        stack, result = self.stack, member.result
        index = stack.members.index(member)
        steps, spent = stack.place.step, result.cost.wall_seconds if result.cost else 0.0
        result.hashes.final = digest(stack.network.state(index))
        result.hashes.data = stack.rows.modules[result.seeds.split].digest
        result.last_metrics = dict(member.last_metrics)
        sizes = {name: p[0].numel() for name, p in stack.network.parameters.items()}
        result.cost = Cost(
            steps=steps,
            epochs=stack.place.epochs,
            fit_seconds=member.fit_seconds,
            wall_seconds=spent,
            step_seconds=member.fit_seconds / steps if steps else 0.0,
            parameters=sum(sizes.values()),
            trained=sum(sizes[name] for name in stack.network.trained),
        )

    def _choose(self, members: Sequence[Member], test: bool) -> None:
        """Metrics of the chosen epoch, and of the test rows at its weights."""
        assert self.stack is not None
        # Keeps no checkpoints, or ended before a validation.
        present = [member for member in members if member.best is None]
        if present:
            self.stack.choose_present(present)
            for member, (values, _) in zip(present, self.stack.judge("val", present), strict=True):
                member.best_metrics = {**member.metrics, **values}
        tested: list[Any] = [({}, {}) for _ in members]
        if test:
            tested = self.stack.judge("test", members)
        for member, (values, tables) in zip(members, tested, strict=True):
            write_tables(member.folder, tables, self.stack.classes)
            result = member.result
            result.best = member.best
            result.metrics = {**member.best_metrics, **values}
            result.objective.note(result.metrics)


def _tracked(member: Member) -> list[Any]:
    """The run's logger beside metrics.csv, opened now that all rows are there, and given them."""
    result = member.result
    steps = result.cost.steps if result.cost else 0
    node = member.config["logger"]
    told = {"folder": member.folder, "result": result, "continue_from_step": steps, "late": True}
    logger = build(node, **told)
    if logger is None:
        return []
    if not isinstance(logger, WandbLogger):  # which has read them by itself
        replay(logger, member.folder)
    return [logger]


def draw(members: Sequence[Member], data: Mapping[int, DataModule]) -> Module:
    """Each member's θ₀, or the weights that it goes on with, as in a run of its own.

    `data` is by `seeds.split`. Returns the module that one of them would train.
    """
    module: Module | None = None
    shown: set[str] = set()
    for member in members:
        result = member.result
        seed_global(result.seeds.init, "constructor")
        if module is None:
            module = Module.from_config(member.config)
        else:  # the rest of it is the same for all, but for numbers
            module.network = build(member.config["model"])
            module.init = build(member.config["init"])
        report = module.initialise(result.seeds.init, data[result.seeds.split])
        with recorded(member.folder):
            log.debug("θ₀:\n%s", table(report))
            result.warnings = overruled(member.config, result.overrides) + warnings(report)
            for warning in result.warnings:  # on the screen once a stack
                level = logging.DEBUG if warning in shown else logging.WARNING
                log.log(level, "%s  warning: %s", result.run, warning)
                shown.add(warning)
        result.hashes.init = module.digest()
        member.state = module.network.state_dict()
        member.resume()
        member.rates = rates_of(module.network)
    assert module is not None
    return module


def rules_of(config: dict[str, Any]) -> Hashable:
    """How each parameter is stepped, but for numbers. Raises Unstackable."""
    network = build(config["model"])
    optimizer = optimizer_of(config["optimizer"], network, build(config["init"]))
    return tuple((name, s.rule) for name, s in settings_of(optimizer, network).items())


def network(
    configs: Sequence[dict[str, Any]],
    states: Sequence[dict[str, Tensor]],
    rates: Sequence[Sequence[float]],
    generators: Sequence[torch.Generator],
    module: Module,
    device: torch.device,
    dtype: torch.dtype,
) -> Network:
    """Networks and losses as one; `module` is that of one of them."""
    losses = [config["loss"].items() for config in configs]
    key = "label_smoothing"
    return Network(
        module.network,
        module.loss,
        states,
        [{name: float(node.get("scale", 1.0)) for name, node in loss} for loss in losses],
        [{name: float(node[key]) for name, node in loss if key in node} for loss in losses],
        rates,
        generators,
        device,
        dtype,
    )


def rates_of(network: nn.Module) -> list[float]:
    """Dropout rates, in module order."""
    return [module.p for module in network.modules() if isinstance(module, nn.Dropout)]


def probe(config: dict[str, Any]) -> None:
    """Two runs of this configuration as one, on a batch of zeros.

    Raises Unstackable, with the reason, where that cannot be done.
    """
    module = Module.from_config(config)
    state = module.network.state_dict()
    rates = [rates_of(module.network)] * 2
    generators = [torch.Generator(), torch.Generator()]
    place = torch.device("cpu"), torch.float32
    x, y = zeros(config["data"], (2, 3), *place)
    try:
        pair = network([config] * 2, [state] * 2, rates, generators, module, *place)
        metrics = StackedMetrics(module.train_metrics, 2)
        loss, parts, output = pair.fit(x, y, shared=False)
        loss.sum().backward()
        metrics.add(loss, output, y, False, parts)
        metrics.compute()
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        raise Unstackable(first_line(error)) from error


@contextlib.contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """What is said inside stands in this run's run.log too."""
    handler = logging.FileHandler(folder / "run.log")
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


class _Places(lightning.LightningDataModule):
    """Which places of each member's order, and which rows of a split, make up a batch."""

    def __init__(
        self, rows: Rows, config: dict[str, Any], checkpoint: dict[str, Any] | None
    ) -> None:
        super().__init__()
        self.rows, self.config = rows, config
        self.place = checkpoint["DataModule"]["place"] if checkpoint else None

    def train_dataloader(self) -> BatchLoader:
        loader = self.rows.places("train", self.config["batch_size"], self.config["drop_last"])
        place, self.place = self.place, None  # the first to ask is the trainer
        if place is not None:
            loader.load_state_dict(place)
        return loader

    def val_dataloader(self) -> BatchLoader:
        return self.rows.places("val", self.config["eval_batch_size"])

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        return batch  # it is there already


class _Files(CheckpointBase):
    """Writes every member's files now and then. (A Checkpoint's hooks run after the module's.)"""

    def __init__(self, run: Run, every_n_seconds: float) -> None:
        self.run, self.every_n_seconds = run, every_n_seconds
        self.saved = time.monotonic()

    def on_train_start(self, *args: Any) -> None:
        """A run that is killed has said on what data it was trained."""
        self.saved = time.monotonic()
        stack = self.run.stack
        assert stack is not None
        for member in stack.alive:
            member.result.hashes.data = stack.rows.modules[member.result.seeds.split].digest
            member.result.write(member.folder)

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        if not trainer.is_last_batch:  # the end of the epoch saves anyway
            self._save_if_due()

    def on_train_epoch_end(self, *args: Any) -> None:
        self._save_if_due()

    def _save_if_due(self) -> None:
        if time.monotonic() - self.saved >= self.every_n_seconds:
            stack = self.run.stack
            assert stack is not None
            stack.note_place()
            self.run.save(stack.alive)
            self.saved = time.monotonic()
