"""One run, told top to bottom."""

import contextlib
import gc
import logging
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console
from rich.syntax import Syntax

from theta0 import devices, environment, launch, seeds
from theta0.build import build
from theta0.callbacks import build_callback
from theta0.checkpoints import CheckpointFiles, read_checkpoint
from theta0.classwise import write_tables
from theta0.config import check_plain
from theta0.config.effects import overruled
from theta0.continuation import PROCESSES, go_on, locked
from theta0.errors import shown
from theta0.frame import check_frame
from theta0.identity import choices_of, config_hash, resolve
from theta0.index import index_of
from theta0.init import table
from theta0.init import warnings as init_warnings
from theta0.module import Diverged, Module
from theta0.objective import direction
from theta0.results import Best, Cost, Error, Result, write_atomically
from theta0.signals import stoppable
from theta0.start import load_weights, start_from
from theta0.sweep.replay import continue_with
from theta0.tracking import CsvLogger, finish

log = logging.getLogger("theta0")


def run(config: DictConfig) -> float:
    """One run of a composed configuration, in Hydra's output folder; returns its objective.

    Never raises for a run that fails or diverges: result.json tells, and the worst objective is
    returned, so that a sweep goes on. A run that is finished already is not done again, and one
    that another process is doing is left to it. Raises ConfigError where the study holds another
    run under the same words, and nothing says what to do with it.
    """
    check_frame(HydraConfig.get())
    folder = Path(HydraConfig.get().runtime.output_dir)
    plain = resolve(config)
    check_plain(plain)
    result = new_result(folder, plain, config_hash(config))
    try:
        return _run(folder, plain, result)
    except OSError as error:  # a full or read-only disk: no result.json can tell of it
        log.error("%s  cannot be done: %s", result.run, error)
        return result.objective.counted


def _run(folder: Path, plain: dict[str, Any], result: Result) -> float:
    if launch.rank() > 0:  # decides as the first process does, which speaks, locks and writes
        decided = _go_on(folder, result, mine=False)
        ended = perform(folder, plain, decided) if decided is result else decided
        return ended.objective.counted
    with locked(folder) as ours:
        with locked(folder, name=PROCESSES) as alone:
            ours = ours and alone
        if not ours:
            log.info("%s  is being done by another process", result.run)
            return result.objective.counted
        decided = decide(folder, result)
        if decided is not result:
            return decided.objective.counted
        begin(folder, plain, result)
        if plain["print_config"]:
            _print_config(plain)
        say_start(folder, result)
        try:
            with stoppable():
                result = perform(folder, plain, result)
        except SystemExit:
            say_end(result)
            if HydraConfig.get().mode == RunMode.RUN:  # a sweep says so when it ends
                log.info("continue with: %s", continue_with(HydraConfig.get(), result.study))
            raise
        say_end(result)
        return result.objective.counted


def decide(folder: Path, result: Result) -> Result:
    """`result` where the run is to be done, else the one that it has already; says so."""
    decided = _go_on(folder, result, mine=True)
    if decided is not result:
        again = "; rerun=failed tries it again" if decided.status == "failed" else ""
        log.info("%s  %s already%s", result.run, decided.status, again)
    return decided


def _go_on(folder: Path, result: Result, mine: bool) -> Result:
    def data() -> str | None:
        return _digest_of(result.config["data"])

    return go_on(folder, result, result.config["rerun"], data, mine)


def perform(folder: Path, config: dict[str, Any], result: Result) -> Result:
    """The run on as many processes as it asks for; returns its result, however it ended."""
    processes = launch.local_processes(config["trainer"])
    if launch.joined() or processes * config["trainer"]["num_nodes"] == 1:
        execute(folder, config, result)
        return result
    return _execute_on(processes, folder, config, result)


def execute(folder: Path, config: dict[str, Any], result: Result) -> None:
    """The run itself, in this process or in each of its processes; fills `result` and writes it."""
    loggers: list[Any] = []
    with _recorded(folder, result, loggers):
        train(folder, config, result, loggers)
    if result.status == "failed":
        gc.collect()  # frees what its frames held, before the next run asks for memory


def train(folder: Path, config: dict[str, Any], result: Result, loggers: list[Any]) -> None:
    """θ₀, fit, and one look at the test rows at the checkpoint that validation chose."""
    environment.apply(config["threads"])
    launch.meet()
    seeds.seed_global(result.seeds.init, "constructor")
    data = build(config["data"])
    module = Module.from_config(config)
    report = module.initialise(result.seeds.init, data)
    log.debug("θ₀:\n%s", table(report))
    result.warnings = overruled(config, result.overrides)
    start = start_of(folder, config, result, module, data)
    if result.start is None or result.start.how == "continue":
        result.warnings += init_warnings(report)
    _say(result, result.warnings)
    result.hashes.init = module.digest()
    if config["compile"]:
        module.network.compile()

    trainer = build_trainer(folder, config, result, start, loggers, data)
    _warn(result, devices.warnings_of(trainer, config["trainer"], module.network, data))
    result.environment = environment.describe(
        folder if trainer.is_global_zero else None, devices.devices_of(trainer)
    )
    seeds.seed_global(result.seeds.noise, "noise", trainer.global_rank)
    try:
        if config["train"]:
            trainer.fit(module, data, ckpt_path=start, weights_only=True)
    finally:
        _take_stock(result, trainer, module, data)
    if config["train"] and result.status == "running":
        _require_trained(config, start, trainer.global_step)

    chosen = choose(folder, config, result, start, trainer, module, data)
    result.objective.note(result.metrics)
    if config["test"] and result.status != "pruned":
        trainer.test(module, data, ckpt_path=chosen, weights_only=True, verbose=False)
        tested = {k: v for k, v in module.epoch_metrics.items() if k.startswith("test/")}
        result.metrics.update(tested)
        if trainer.is_global_zero:
            write_tables(folder, module.tables, module.classes)
    if config["trainer"]["profiler"]:
        log.info(trainer.profiler.summary())  # type: ignore[attr-defined]


def start_of(
    folder: Path, config: dict[str, Any], result: Result, module: Module, data: Any
) -> str | None:
    """The checkpoint that the trainer goes on from, if any; the run's own before `ckpt_path`.

    Of a checkpoint that is fine-tuned the weights are in `module` then, in place of θ₀. What is
    done with `ckpt_path`, and why, is noted in `result`, and said.
    """
    last, path = folder / "checkpoints" / "last.ckpt", config["ckpt_path"]
    if path is None or not config["train"]:
        return str(last) if last.exists() else path
    if last.exists() and result.start is not None:
        return str(last)
    checkpoint = read_checkpoint(path)
    result.start = start = start_from(path, checkpoint, config)
    if last.exists():
        return str(last)
    what = "its weights alone, since" if start.how == "fine-tune" else "optimizer and all, since"
    if launch.rank() == 0:
        verb = "fine-tunes" if start.how == "fine-tune" else "continues"
        log.info("%s  %s %s: %s %s", result.run, verb, path, what, start.why)
    if start.how == "continue":
        return str(path)
    load_weights(module, data, start, checkpoint)
    if checkpoint.get("hyper_parameters", {}).get("init") != config["init"]:
        result.warnings.append("the init has no effect: the weights are those of ckpt_path")
    return None


def _require_trained(config: dict[str, Any], start: str | None, steps: int) -> None:
    """Raises ValueError where no step was done: that is no result. A checkpoint of the run's own
    may be that of its last step."""
    if start is not None and start != config["ckpt_path"]:
        return
    before = read_checkpoint(start)["global_step"] if start is not None else 0
    if steps > before:
        return
    limits = {key: config["trainer"][key] for key in ("max_epochs", "max_steps", "max_time")}
    told = ", ".join(f"trainer.{key}={shown(value)}" for key, value in limits.items())
    done = f"ckpt_path={start}: {before} steps are done already, and " if start else ""
    raise ValueError(f"{done}not one step was trained: {told}")


def choose(
    folder: Path,
    config: dict[str, Any],
    result: Result,
    start: str | None,
    trainer: lightning.Trainer,
    module: Module,
    data: Any,
) -> str | None:
    """The checkpoint to test (None: the weights as they are), its metrics noted in `result`."""
    best = folder / "checkpoints" / "best.ckpt"
    if config["train"] and trainer.checkpoint_callback and best.exists():
        checkpoint = _read(best, folder)
        result.metrics = checkpoint["metrics"]
        result.best = Best(epoch=checkpoint["epoch"], step=checkpoint["global_step"])
        return str(best)
    # Not trained, ended before a validation, or keeps no checkpoints.
    weights = None if config["train"] else start
    result.metrics = dict(module.epoch_metrics)
    trainer.validate(module, data, ckpt_path=weights, weights_only=True, verbose=False)
    result.metrics.update(module.epoch_metrics)
    return weights


def build_trainer(
    folder: Path,
    config: dict[str, Any],
    result: Result,
    start: str | None,
    loggers: list[Any],
    data: Any,
) -> lightning.Trainer:
    """Lightning's Trainer with the run's callbacks and loggers (which are added to `loggers`)."""
    nodes = [*config["callbacks"].values(), *filter(None, [config["pruning"]])]
    callbacks = [build_callback(node, folder=folder, result=result) for node in nodes]
    saves = any(isinstance(c, lightning.pytorch.callbacks.Checkpoint) for c in callbacks)
    callbacks.append(_OnRecord(folder, result))
    if launch.rank() == 0 and not config["trainer"]["fast_dev_run"]:
        step = _read(start, folder)["global_step"] if start else None
        loggers.append(CsvLogger(folder / "metrics.csv", continue_from_step=step))
        logger = build(config["logger"], folder=folder, result=result, continue_from_step=step)
        loggers += [logger] if logger is not None else []
    trainer = build(
        config["trainer"],
        callbacks=callbacks,
        plugins=[CheckpointFiles(), *launch.slurm()],
        logger=loggers or False,
        default_root_dir=folder,
        enable_checkpointing=saves,
        enable_progress_bar=watched(config),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=not devices.takes_its_share(data),
    )
    assert isinstance(trainer, lightning.Trainer)
    return trainer


def _read(path: str | Path, folder: Path) -> dict[str, Any]:
    """A checkpoint; of a damaged one of the run's own it is said how to go on without it."""
    try:
        return read_checkpoint(path)
    except ValueError as error:
        own = Path(path).parent
        if own != folder / "checkpoints":
            raise
        raise ValueError(f"{error}; to begin anew delete {own}, and say rerun=failed") from None


def watched(config: dict[str, Any]) -> bool:
    """Whether to draw a progress bar: as told, or where stderr is a terminal."""
    return sys.stderr.isatty() if config["progress"] == "auto" else config["progress"]


# ------------------------------------------------------------------------- the run's record


def new_result(folder: Path, config: dict[str, Any], digest: str) -> Result:
    """The record of a run that is about to start, in Hydra's present configuration."""
    hydra = HydraConfig.get()
    return Result(
        run=folder.name,
        study=config["study"],
        overrides=list(hydra.overrides.task),
        choices=choices_of(hydra),
        config=config,
        config_hash=digest,
        seeds=config["seeds"],
        objective=config["objective"],
    )


def begin(folder: Path, config: dict[str, Any], result: Result) -> None:
    """On disk as `running`."""
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    write_atomically(folder / "config.resolved.yaml", text)
    result.write(folder)
    index_of(folder.parent).note(folder, result)


def _digest_of(node: dict[str, Any]) -> str | None:
    """sha256 of a configured data set as it is now; None where it is not there to be read."""
    try:
        return getattr(build(node), "digest", None)
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _recorded(folder: Path, result: Result, loggers: list[Any]) -> Iterator[None]:
    """Whatever happens inside becomes the run's status, in result.json and in every logger."""
    spent = result.cost.wall_seconds if result.cost else 0.0  # by earlier starts
    started = time.perf_counter()
    try:
        with quiet():
            yield
        if result.status == "running":  # and not pruned
            result.status = "done"
    except Diverged as error:
        result.status = "diverged"
        result.error = Error(type="Diverged", message=str(error), traceback="")
    except Exception as error:
        result.status = "failed"
        result.error = Error.of(error)
        log.debug("%s", result.error.traceback)
    except BaseException:
        result.status = "interrupted"
        raise
    finally:
        if result.cost is not None:
            result.cost.wall_seconds = spent + time.perf_counter() - started
        if launch.rank() == 0:
            record(result, folder)
            finish(loggers, result)


def _warn(result: Result, warnings: Sequence[str]) -> None:
    """Say each once, here and in result.json."""
    new = [warning for warning in warnings if warning not in result.warnings]
    result.warnings = [*result.warnings, *new]
    _say(result, new)


def _say(result: Result, warnings: Sequence[str]) -> None:
    for warning in warnings:
        log.warning("%s  warning: %s", result.run, warning)


def record(result: Result, folder: Path) -> None:
    """On disk as it is. On a full one the run stays `running` there: the same command will find its
    checkpoint."""
    try:
        result.write(folder)
    except OSError as error:
        log.error("%s  result.json cannot be written: %s", result.run, error)
        return
    index = index_of(folder.parent)
    if index.exists:  # a run that is reproduced belongs to no study
        index.note(folder, result)


class _OnRecord(lightning.Callback):
    """When training begins, result.json gets what is known by then: a run that is killed has said
    on what data it was trained, and is not continued on other data."""

    def __init__(self, folder: Path, result: Result) -> None:
        self.folder, self.result = folder, result

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self.result.hashes.data = _digest(trainer.datamodule)  # type: ignore[attr-defined]
        _warn(self.result, pl_module.warnings)  # type: ignore[arg-type]
        if trainer.is_global_zero:
            self.result.write(self.folder)


def _digest(data: Any) -> str | None:
    """Of data that has been read: asking would read it, and hide why that failed."""
    return data.digest if getattr(data, "splits", None) else None


def _take_stock(result: Result, trainer: lightning.Trainer, module: Module, data: Any) -> None:
    """What is known after fit, however it ended."""
    steps = trainer.global_step
    _warn(result, module.warnings)
    result.hashes.final = module.digest()
    result.hashes.data = _digest(data) or result.hashes.data
    result.last_metrics = dict(module.last_metrics)
    result.cost = Cost(
        steps=steps,
        epochs=trainer.current_epoch,
        fit_seconds=module.fit_seconds,
        wall_seconds=0.0,
        step_seconds=module.fit_seconds / steps if steps else 0.0,
        parameters=sum(p.numel() for p in module.network.parameters()),
        trained=sum(p.numel() for p in module.network.parameters() if p.requires_grad),
    )


def _execute_on(processes: int, folder: Path, config: dict[str, Any], result: Result) -> Result:
    """The run on several processes, which write its result; if they could not, say so there."""
    try:
        code = launch.torchrun(folder, config, processes, show=watched(config))
        result = Result.read(folder)
        _say(result, result.warnings)
        if result.status == "running":
            raise RuntimeError(
                f"a process of the run ended with exit code {code}: see {folder}/run.log"
            )
    except SystemExit:  # told to stop; so were the run's processes, which may have said so
        result.status = "interrupted"
        try:
            if Result.read(folder).status == "running":
                result.write(folder)
        except ValueError:
            result.write(folder)
        raise
    except (RuntimeError, ValueError) as error:
        result.status = "failed"
        result.error = Error(type=type(error).__name__, message=str(error), traceback="")
        result.write(folder)
    return result


# ---------------------------------------------------------------------------- what a person sees


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Lightning's greetings say nothing about the run; Hydra's errors are raised as well."""
    names = ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "hydra.utils")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", module="torchmetrics")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _print_config(config: dict[str, Any]) -> None:
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    Console().print(Syntax(text, "yaml", background_color="default"))


def say_start(folder: Path, result: Result) -> None:
    """That a run begins or goes on, and what of its objective may surprise."""
    last = folder / "checkpoints" / "last.ckpt"
    log.info("%s  %s", result.run, "continued" if last.exists() else "started")
    metric, mode = result.objective.metric, result.objective.mode
    if direction(metric, result.config["metrics"]) not in (None, mode):
        worse = "lowest" if mode == "min" else "highest"
        log.warning("%s  objective.mode=%s: chooses the %s %s", result.run, mode, worse, metric)


def say_end(result: Result) -> None:
    """One line of how a run ended."""
    words: list[str] = [result.status]
    names = [result.objective.metric, result.objective.metric.replace("val/", "test/")]
    values = {name: result.metrics.get(name) for name in names}
    words += [f"{name} {value:.4f}" for name, value in values.items() if value is not None]
    if result.status == "done" and result.objective.value is None:
        metric = result.objective.metric
        measured = "a finite number" if metric in result.metrics else "measured"
        words.append(f"no best: {metric} was never {measured}, which counts as the worst")
    if result.cost is not None:
        words.append(f"{result.cost.wall_seconds:.1f} s")
    if result.error is not None:
        words.append(result.error.line)
    log.info("%s  %s", result.run, "  ".join(words))


def main(folder: Path) -> int:
    """One of a run's processes, started by torchrun; returns the exit code."""
    handler = logging.FileHandler(folder / "run.log")
    handler.setFormatter(logging.Formatter(f"[%(asctime)s][rank {launch.rank()}] %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    config = yaml.safe_load((folder / "config.resolved.yaml").read_text())
    result = Result.read(folder)
    with locked(folder, name=PROCESSES) if launch.rank() == 0 else contextlib.nullcontext():
        execute(folder, config, result)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return 1 if result.status == "failed" else 0
