"""Ratios, measured side by side in one process: python scripts/bench.py overhead

overhead: milliseconds a training step of a whole run (metrics, metrics.csv, W&B offline,
validation, a checkpoint each epoch) over a bare PyTorch loop of the same model, batches and fused
AdamW.
stacked: runs an hour of hydra/launcher=stacked over those of the ordinary launcher, everything
included (the ordinary launcher's time for so many runs is that of one and of each further one), and
milliseconds of a member's step over the bare loop's. Stacks side by side: a step counts once.
growth: milliseconds of a stack's step by the number of members, on one thread; with `--figure` also
drawn.
diagnostics: the share of a run's step that diagnostics=economy adds on its schedule, and the
seconds that each price takes at θ₀.
report: seconds and memory of src/report.py on a study of 1,000 runs (trained first, as stacks),
with `--data digits --epochs 100`.
growth-of-study: processor milliseconds of a new run, a skipped one, an interrupt and a sweep's end
in studies of 100, 1,000 and 10,000 runs, and the ratio of the last to the first.
startup: processor seconds of `--help`, of a refusal and of the way to the first training step, over
those of importing hydra, and of importing torch and lightning.

784-256-256-10 (stacked on digits: 64-64-64-10), batch 64, one thread (a stack: all cores), in turn;
the median of the repetitions counts.
"""

import argparse
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "scripts")]

import torch  # noqa: E402
from benchmarks.growth_of_study import growth_of_study  # noqa: E402
from benchmarks.startup import startup  # noqa: E402
from hydra import compose, initialize_config_dir  # noqa: E402
from hydra.core.hydra_config import HydraConfig  # noqa: E402
from joblib import cpu_count  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from torch.nn import functional  # noqa: E402

from theta0.build import build  # noqa: E402
from theta0.data import DataModule  # noqa: E402
from theta0.diagnostics import measure, probe, training_loss  # noqa: E402
from theta0.diagnostics.statistics import PRICES  # noqa: E402
from theta0.identity import register_resolvers, resolve  # noqa: E402
from theta0.module import Module  # noqa: E402
from theta0.results import Result, read_study  # noqa: E402
from theta0.run import run  # noqa: E402


def bare_loop(config: dict, data: DataModule, epochs: int) -> float:
    """Seconds a step of the shortest loop that trains the same network on the same batches."""
    network = build(config["model"])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    loader = data.train_dataloader()
    started = time.perf_counter()
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        for x, y, _ in loader:
            loss = functional.cross_entropy(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return (time.perf_counter() - started) / (epochs * len(loader))


def whole_run(overrides: list[str], folder: Path) -> float:
    """Seconds a step of one run, from the start of its fit to the end."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("train", overrides=overrides, return_hydra_config=True)
    folder.mkdir()
    config.hydra.runtime.output_dir = str(folder)
    HydraConfig.instance().set_config(config)
    run(config)
    result = Result.read(folder)
    if result.status != "done" or result.cost is None:
        sys.exit(f"the run is {result.status}: {result.error.message if result.error else ''}")
    return result.cost.step_seconds


def setting(data: str, epochs: int) -> list[str]:
    """The overrides of the run that is measured."""
    overrides = [f"data={data}", "data.batch_size=64", f"trainer.max_epochs={epochs}"]
    return [*overrides, "trainer=cpu", "optimizer=adamw", "scheduler=none"]  # as the bare loop does


def composed(overrides: list[str]) -> dict:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return resolve(compose("train", overrides=overrides, return_hydra_config=True))


def overhead(data: str, epochs: int, repetitions: int) -> None:
    """Print the milliseconds of both, and their ratio."""
    overrides = setting(data, epochs)
    config = composed(overrides)
    torch.set_num_threads(1)
    module = build(config["data"])
    module.setup()
    bare_loop(config, module, 1)  # the first calls load and allocate
    bare, whole = [], []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(repetitions):
            bare.append(bare_loop(config, module, epochs))
            whole.append(whole_run(overrides, Path(folder) / str(i)))
            print(f"bare {bare[-1] * 1e3:.3f} ms  run {whole[-1] * 1e3:.3f} ms", flush=True)
    ratios = [w / b for w, b in zip(whole, bare, strict=True)]
    steps = epochs * len(module.train_dataloader())
    print(
        f"{data}, {steps} steps: a bare step {statistics.median(bare) * 1e3:.3f} ms, a run's step "
        f"{statistics.median(whole) * 1e3:.3f} ms, ratio {statistics.median(ratios):.2f} "
        f"(median of {repetitions})"
    )


def diagnostics(data: str, epochs: int, repetitions: int) -> None:
    """Print the milliseconds of a step with and without, their ratio, and the seconds at θ₀."""
    overrides = setting(data, epochs)
    without, economy = [], []
    with tempfile.TemporaryDirectory() as folder:
        whole_run([*overrides, "trainer.max_epochs=1"], Path(folder) / "first")  # loads, allocates
        for i in range(repetitions):
            without.append(whole_run(overrides, Path(folder) / f"none{i}"))
            more = [*overrides, "diagnostics=economy"]
            economy.append(whole_run(more, Path(folder) / f"economy{i}"))
            print(
                f"none {without[-1] * 1e3:.3f} ms  economy {economy[-1] * 1e3:.3f} ms", flush=True
            )
    shares = [e / w - 1 for e, w in zip(economy, without, strict=True)]
    print(
        f"{data}: a step without {statistics.median(without) * 1e3:.3f} ms, with economy "
        f"{statistics.median(economy) * 1e3:.3f} ms, {statistics.median(shares):+.1%} "
        f"(median of {repetitions})"
    )
    config = composed(overrides)
    rows = build(config["data"])
    rows.setup()
    module = Module.from_config(config)
    module.initialise(0, rows)
    for price in PRICES:
        seconds = []
        for _ in range(repetitions):
            started = time.perf_counter()
            x, y = probe(rows, 256, like=next(module.parameters()))
            measure(module.network, training_loss(module), x, y, price)
            seconds.append(time.perf_counter() - started)
        print(f"{price} at θ₀: {statistics.median(seconds):.3f} s (median of {repetitions})")


def sweep(overrides: list[str], folder: Path, runs: int) -> tuple[float, float]:
    """Seconds of a whole command of so many seeds, and what a step of a run has cost.

    Stacks that are trained side by side share the time: it counts once for all of them.
    """
    shutil.rmtree(folder / "bench", ignore_errors=True)
    words = ["-m", *overrides, f"seed=range({runs})", f"paths.log_dir={folder}", "study=bench"]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(ROOT / "src" / "train.py"), *words], capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    results, _ = read_study(folder / "bench")
    if done.returncode or {result.status for result in results} != {"done"}:
        sys.exit(done.stdout + done.stderr)
    stacks = sum(1 / result.environment.get("stack", 1) for result in results)
    beside = min(stacks, cpu_count()) if "stack" in results[0].environment else 1
    return seconds, statistics.fmean(r.cost.step_seconds for r in results if r.cost) / beside


def small(data: str, epochs: int) -> list[str]:
    """A network of the data's size."""
    return setting(data, epochs) + (["model.widths=[64,64]"] if data == "digits" else [])


def stacked(data: str, epochs: int, repetitions: int, members: int) -> None:
    """Print seconds a run of both launchers, their ratio, and a step's against the bare loop."""
    overrides = small(data, epochs)
    config = composed(overrides)
    torch.set_num_threads(1)
    module = build(config["data"])
    module.setup()
    bare_loop(config, module, 1)
    launcher = "hydra/launcher=stacked"
    ratios, costs = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for _ in range(repetitions):
            bare = bare_loop(config, module, min(epochs, 10))
            one, _ = sweep(overrides, folder, 1)
            three, solo_step = sweep(overrides, folder, 3)
            ordinary = one + (members - 1) * (three - one) / 2
            together, step = sweep([*overrides, launcher], folder, members)
            ratios.append(ordinary / together)
            costs.append(step / bare)
            print(
                f"{members} runs: ordinary {ordinary:.1f} s, stacked {together:.1f} s, ratio "
                f"{ratios[-1]:.1f}; step: bare {bare * 1e3:.3f} ms, run {solo_step * 1e3:.3f} ms, "
                f"member {step * 1e3:.3f} ms, {costs[-1]:.2f} of bare",
                flush=True,
            )
        print(
            f"{data}, {members} members, {epochs} epochs: {statistics.median(ratios):.1f} times "
            f"the runs an hour, a member's step {statistics.median(costs):.2f} of a bare one "
            f"(median of {repetitions})"
        )


def growth(data: str, epochs: int, repetitions: int, figure: str | None) -> None:
    """Print the time of a step of 1 to 1024 members together, and of each; draw it."""
    alone = ["hydra.launcher.workers=1", "hydra.launcher.threads=1", "logger=none"]
    counts = [2**k for k in range(11)]
    together = []
    with tempfile.TemporaryDirectory() as temporary:
        for count in counts:
            words = ["hydra/launcher=stacked", *alone] if count > 1 else ["logger=none"]
            each = statistics.median(
                sweep([*small(data, epochs), *words], Path(temporary), count)[1]
                for _ in range(repetitions)
            )
            together.append(each * count * 1e3)
            print(f"{count:5d} members: {together[-1]:8.2f} ms a step, {each * 1e3:.3f} each")
    if figure:
        drawing = Figure(figsize=(5, 3.2), layout="constrained")
        axes = drawing.subplots()
        axes.loglog(counts, together, "o-", base=2, label="a step of all")
        each = [ms / count for ms, count in zip(together, counts, strict=True)]
        axes.loglog(counts, each, "s--", base=2, label="divided by the members")
        axes.set(xlabel="members", ylabel="milliseconds", title=f"A stack's step ({data})")
        axes.grid(alpha=0.3)
        axes.legend()
        drawing.savefig(figure, dpi=150)


def report(data: str, epochs: int, repetitions: int) -> None:
    """Print how long `src/report.py` takes for 1,000 runs, and the most memory that it had."""
    grid = ["optimizer=adam,sgd", "init=he,xavier", "optimizer.lr=1e-4,3e-4,1e-3,3e-3,1e-2"]
    command = [sys.executable, str(ROOT / "src" / "report.py")]
    with tempfile.TemporaryDirectory() as temporary:
        words = ["hydra/launcher=stacked", "logger=none"]
        swept = [*small(data, epochs), *grid, *words]
        trained, _ = sweep([w for w in swept if w != "optimizer=adamw"], Path(temporary), 50)
        print(f"1,000 runs of {epochs} epochs trained in {trained:.0f} s", flush=True)
        seconds, memory = [], []
        for _ in range(repetitions):
            started = time.perf_counter()
            process = subprocess.Popen(
                [*command, f"study={temporary}/bench"], stdout=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"report.py ended with {os.waitstatus_to_exitcode(status)}")
            seconds.append(time.perf_counter() - started)
            memory.append(usage.ru_maxrss / 2**20)  # Linux: kibibytes
        print(
            f"report.py: {statistics.median(seconds):.1f} s, {max(memory):.2f} GiB "
            f"(median of {repetitions})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ["overhead", "diagnostics", "stacked", "growth", "report", "growth-of-study", "startup"]
    parser.add_argument("what", choices=names)
    parser.add_argument("--data", help="mnist where THETA0_DATA is set, else mnist5k")
    parser.add_argument("--epochs", type=int, help="1 for mnist, 16 for mnist5k")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--members", type=int, default=128, help="of the stack")
    parser.add_argument("--figure", help="file for that of growth")
    arguments = parser.parse_args()
    data = arguments.data or ("mnist" if os.environ.get("THETA0_DATA") else "mnist5k")
    epochs = arguments.epochs or (1 if data == "mnist" else 16)
    os.environ.setdefault("WANDB_MODE", "offline")
    logging.getLogger("theta0").setLevel(logging.WARNING)
    register_resolvers()
    if arguments.what == "startup":
        return startup(arguments.repetitions)
    if arguments.what == "growth-of-study":
        return growth_of_study(ROOT / "configs")
    if arguments.what == "stacked":
        return stacked(data, epochs, arguments.repetitions, arguments.members)
    if arguments.what == "growth":
        return growth(data, epochs, arguments.repetitions, arguments.figure)
    measured = {"overhead": overhead, "diagnostics": diagnostics, "report": report}[arguments.what]
    measured(data, epochs, arguments.repetitions)


if __name__ == "__main__":
    main()
