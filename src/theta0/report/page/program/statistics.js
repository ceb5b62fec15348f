// What the runs that are shown came to: means and their own intervals, uncorrected. Differences are
// asserted by the report's tables alone, over all runs.

/** What the runs of one cell came to; of a whole cell with the report's own interval. */
function summarise(cell, runs) {
  const status = (wanted) => runs.filter((run) => wanted.includes(of("status", run))).length;
  const done = runs.filter((run) => of("status", run) === "done" && of(page.metric, run) !== null);
  const values = done.map((run) => of(page.metric, run));
  const [mean, low, high, n] = page.cells[cell];
  const whole = n === done.length;
  const { mean: average, half } = moments(values);
  const [least, most] = page.limits;
  const diverged = status(["diverged"]);
  return {
    cell, runs, done, diverged,
    n: done.length,
    failed: status(["failed"]),
    unfinished: status(["running", "interrupted"]),
    pruned: status(["pruned"]),
    mean: whole ? mean : average,
    low: whole ? low : Math.max(average - half, least ?? -Infinity),
    high: whole ? high : Math.min(average + half, most ?? Infinity),
    selection: moments(runs.map((run) => page.selection[run]).filter(finite)).mean,
  };
}

/** Mean, and half of its interval of 95 % (Student's), NaN where there is none. */
function moments(values) {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, half: halfInterval(squares, n) };
}

/** From the sum of n squared differences from their mean. */
function halfInterval(squares, n) {
  return n > 1 ? (page.student[n] ?? NaN) * Math.sqrt(squares / (n - 1)) : NaN;
}

const better = (a, b, mode) => (mode === "max" ? b - a : a - b) || 0;

/** The best first: done at all, then validation, then fewer diverged runs. */
function rank(a, b) {
  return (a.n === 0) - (b.n === 0) || better(a.selection, b.selection, page.objective.mode)
    || a.diverged - b.diverged;
}

function grouped(runs, keyOf) {
  const groups = new Map();
  for (const run of runs) {
    const group = keyOf(run);
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(run);
  }
  return groups;
}

const armOf = (run) => page.factors.map((factor) => of(factor, run)).join("|");

function cells() {
  return [...grouped(shown, (run) => of("cell", run))].map(([cell, runs]) => summarise(cell, runs));
}

/** Of each combination of factors the cell that validation chooses among the runs shown. */
function arms() {
  const chosen = new Map();
  for (const cell of cells()) {
    const arm = armOf(cell.runs[0]);
    if (!chosen.has(arm) || rank(cell, chosen.get(arm)) < 0) chosen.set(arm, cell);
  }
  return [...chosen.values()];
}
