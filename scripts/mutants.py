"""Do the tests notice? Put small faults into a copy of the project, one at a time, and see.

    python scripts/mutants.py                 all; exit code 1 where one survives
    python scripts/mutants.py holm ema        those whose name has one of these words
    python scripts/mutants.py --list

A fault whose text is no longer found is an error, too: it is to be written anew. The nearest tests
are run without any fault first, since a test that fails anyway notices nothing.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = "src/theta0"
PARTS = ("configs", "scripts", "src", "tests", "docs", "pyproject.toml", "README.md")


@dataclass(frozen=True)
class Fault:
    """`old`, which the file below src/theta0 has once, becomes `new`; `tests` are to notice."""

    name: str
    file: str
    old: str
    new: str
    tests: str


FAULTS = [
    Fault(
        "Lion's decay grows weights", "optim/lion.py",
        "p.mul_(1 - lr *", "p.mul_(1 + lr *",
        "tests/optim/test_optimizers.py -k lion",
    ),
    Fault(
        "fan in and out exchanged", "init/schemes/variance_scaling.py",
        "fan_in, fan_out = fans(layer)", "fan_out, fan_in = fans(layer)",
        "tests/init/test_schemes.py -k test_variance_scaling",
    ),
    Fault(
        "Holm dropped", "report/statistics/family.py",
        "corrected[known] = holm(p[known])", "corrected[known] = p[known]",
        "tests/report/test_comparisons.py -k one_family",
    ),
    Fault(
        "warm-up off by one", "optim/schedules.py",
        "return (t + 1) / warm", "return t / warm",
        "tests/optim/test_schedules.py -k test_warmup_cosine",
    ),
    Fault(
        "streams exchanged: θ₀ by the noise's seed", "run.py",
        "module.initialise(result.seeds.init,", "module.initialise(result.seeds.noise,",
        "tests/test_run.py -k test_what_each_seed_moves",
    ),
    Fault(
        "val for test", "data/datamodule.py",
        'return self._loader("test",', 'return self._loader("val",',
        "tests/data/test_datamodule.py -k test_loaders",
    ),
    Fault(
        "a claim that is met exactly fails", "sweep/claims.py",
        "return value >= least or math.isclose(value, least, rel_tol=ROUNDING)",
        "return value > least",
        "tests/sweep/test_claims.py -k met_exactly",
    ),
    Fault(
        "NaN as best", "callbacks/checkpoint.py",
        "if not math.isfinite(value):", "if False:",
        "tests/test_objective.py -k never_the_best",
    ),
    Fault(
        "EMA counts each step twice", "callbacks/weight_average.py",
        "self.count += 1", "self.count += 2",
        "tests/callbacks/test_weight_average.py -k validated_and_kept",
    ),
    Fault(
        "μP's rate grows with the width", "init/mup.py",
        "n_in / self.base_width", "self.base_width / n_in",
        "tests/init/test_mup.py -k rates_of_adam_like",
    ),
    Fault(
        "a stack's schedule is a step ahead", "stacked/schedule.py",
        "row = min(step,", "row = min(step + 1,",
        "tests/stacked/test_stacked.py -k one_cycle",
    ),
    Fault(
        "what diverged counts as the best", "report/statistics/cells.py",
        '"min" if mode == "max" else "max"', '"max" if mode == "max" else "min"',
        "tests/report/test_cells.py -k what_is_lost",
    ),
    Fault(
        "the worst objective is the best", "objective.py",
        '{"min": math.inf, "max": -math.inf}', '{"min": -math.inf, "max": math.inf}',
        "tests/test_results.py -k worst_objective",
    ),
    Fault(
        "an interval of 90 %", "report/statistics/bootstrap.py",
        "half = stats.t.ppf(0.975,", "half = stats.t.ppf(0.95,",
        "tests/report/test_bootstrap.py -k few_values",
    ),
    Fault(
        "the population's deviation in the table", "sweep/table.py",
        "statistics.stdev(", "statistics.pstdev(",
        "tests/sweep/test_table.py -k sample_deviation",
    ),
    Fault(
        "F over the additive model's noise", "report/statistics/variance.py",
        "noise = full[0] / full[1] if full[1]", "noise = additive[0] / additive[1] if full[1]",
        "tests/report/test_variance.py -k those_of_statsmodels",
    ),
    Fault(
        "a process's share does not weigh", "data/batches.py",
        "return share, self.world * len(share) / len(batch)", "return share, 1.0",
        "tests/data/test_batches.py -k mean_over_processes",
    ),
    Fault(
        "metrics.csv drops the checkpoint's row", "tracking/csv_logger.py",
        'int(row["step"]) <= continue_from_step', 'int(row["step"]) < continue_from_step',
        "tests/tracking/test_csv_logger.py -k drops_the_rows",
    ),
    Fault(
        "the last of equals is the best", "callbacks/checkpoint.py",
        "sign * value <= sign * self.best", "sign * value < sign * self.best",
        "tests/callbacks/test_checkpoint.py -k earliest_of_the_best",
    ),
    Fault(
        "gradient noise begins at t = 1", "callbacks/gradient_noise.py",
        "(1 + step) ** self.gamma", "(2 + step) ** self.gamma",
        "tests/callbacks/test_gradient_noise.py -k the_variance",
    ),
    Fault(
        "the last worker has fewer GPUs", "launchers/gpus.py",
        "range(0, len(gpus) - each + 1, each)", "range(0, len(gpus), each)",
        "tests/launchers/test_gpus.py",
    ),
    Fault(
        "divergence is not seen where losses are looked at together", "module.py",
        "if first < len(steps):", "if False:",
        "tests/test_module.py -k losses_that_are_looked_at_together",
    ),
    Fault(
        "an epoch's last, shorter step is divided by all batches", "module.py",
        "last = min(first + self._per_step, self._batches)", "last = first + self._per_step",
        "tests/test_accumulation.py -k one_large_batch",
    ),
    Fault(
        "the last weights are tested, not the chosen ones", "run.py",
        "return str(best)\n", "return None\n",
        "tests/test_run.py -k the_chosen_checkpoint_is_tested",
    ),
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="parts of the names of faults; default: all")
    parser.add_argument("--list", action="store_true", help="name the faults, and stop")
    parser.add_argument("--unchecked", action="store_true", help="do not run tests without a fault")
    options = parser.parse_args()
    words = [word.lower() for word in options.words]
    chosen = [f for f in FAULTS if not words or any(word in f.name.lower() for word in words)]
    if options.list:
        print(*(fault.name for fault in chosen), sep="\n")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in PARTS:
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / part)
        print(f"{'fault':60} {'tests':64} {'verdict':8} seconds")
        verdicts = {fault.name: judge(fault, copy, options.unchecked) for fault in chosen}
    bad = [name for name, verdict in verdicts.items() if verdict != "killed"]
    print(f"{len(verdicts) - len(bad)} of {len(verdicts)} killed")
    return 1 if bad or not verdicts else 0


def judge(fault: Fault, copy: Path, unchecked: bool) -> str:
    """Try one fault in the copy, which is as before afterwards; print and return the verdict."""
    start, path = time.monotonic(), copy / SOURCE / fault.file
    text = path.read_text()
    if text.count(fault.old) != 1:
        verdict = "no text"
    elif not unchecked and (code := run(fault.tests, copy)) != 0:
        verdict = f"exit {code}"  # without any fault
    else:
        path.write_text(text.replace(fault.old, fault.new))
        code = run(fault.tests, copy)
        verdict = {0: "SURVIVED", 1: "killed"}.get(code, f"exit {code}")
        path.write_text(text)
    print(
        f"{fault.name:60} {fault.tests:64} {verdict:8} {time.monotonic() - start:7.1f}", flush=True
    )
    return verdict


def run(tests: str, copy: Path) -> int:
    """pytest's exit code: 0 passed, 1 failed, else not run."""
    words = [sys.executable, "-m", "pytest", "-xq", "-m", "not slow", "-p", "no:cacheprovider"]
    return subprocess.run([*words, *tests.split()], cwd=copy, capture_output=True).returncode


if __name__ == "__main__":
    sys.exit(main())
