"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const FIRST_ROWS = 100; // of the table, before "Show all"
  const MOST_CURVES = 12;
  const MOST_CHOICES = 12; // of a column with more values one filters by a range
  const POLL = 2000; // milliseconds

  const $ = (selector) => document.querySelector(selector);

  // ------------------------------------------------------------------------------ elements, words

  /** An element with attributes, listeners (on…) and children; a text is a text, never markup. */
  function build(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name.startsWith("--")) node.style.setProperty(name, value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  }
  const h = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
  const s = (tag, attributes = {}, ...children) =>
    build(document.createElementNS(SVG, tag), attributes, children);

  const finite = (value) => typeof value === "number" && Number.isFinite(value);
  /** A line does not end between a number and what it belongs to. */
  const tight = (text) => text.replace(/(?<=\d) (?=%)|(?<=\bn) (?==)|(?<=\bn =) |(?<=\[\S+,) /g, "\u00a0");
  const fixed = (value, digits) => (finite(value) ? value.toFixed(digits).replace("-", "−") : "–");
  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  /** Four significant digits. */
  function short(value) {
    if (!finite(value)) return "–";
    const rounded = Number(value.toPrecision(4));
    const size = Math.abs(rounded);
    const text = size && (size < 1e-4 || size >= 1e7) ? rounded.toExponential() : String(rounded);
    return text.replace(/^-/, "−").replace("e+", "e");
  }

  const percent = (column) => (page.percent.has(column) ? 100 : 1);
  const title = (column) => (page.percent.has(column) ? `${column} (%)` : column);

  /** A value as it is shown: accuracies in percent, as many decimals as its column has. */
  function told(column, value) {
    if (value === null || value === "") return "–";
    if (typeof value !== "number") return value;
    const { digits } = page.columns.get(column);
    return digits === null ? short(value) : fixed(value * percent(column), digits);
  }

  /** Decimals for a column that was measured; null where numbers are whole, or were chosen. */
  function decimals(name, values, data) {
    if (data.percent.includes(name)) return 2;
    const known = values.filter((value) => value).map(Math.abs).sort((a, b) => a - b);
    if (data.settings.includes(name) || known.every(Number.isInteger)) return null;
    const size = Math.floor(Math.log10(known[Math.floor(known.length / 2)]));
    return Math.min(8, Math.max(0, 3 - size));
  }

  /** `adam + he (optimizer.lr=0.1)`. */
  function nameOf(run, axes) {
    const first = axes.filter((axis) => axis === "optimizer" || axis === "init");
    const others = axes.filter((axis) => !first.includes(axis)).map((axis) => `${axis}=${of(axis, run)}`);
    const words = first.map((axis) => of(axis, run)).join(" + ");
    if (!others.length) return words;
    return words ? `${words} (${others.join(", ")})` : others.join(", ");
  }

  // ---------------------------------------------------------------------------------------- data

  let page; // the data, unpacked
  const of = (column, run) => page.columns.get(column).values[run];

  function unpack(data) {
    const columns = new Map(
      data.columns.map(({ name, numbers, words, codes }) => {
        const values = numbers ?? codes.map((code) => words[code]);
        const known = [...new Set(values)].filter((value) => value !== null);
        known.sort(compare);
        const digits = numbers ? decimals(name, numbers, data) : null;
        return [name, { name, numeric: Boolean(numbers), values, known, digits }];
      }),
    );
    const decoded = new Map();
    const curve = (name) => {
      if (!decoded.has(name)) {
        const bytes = Uint8Array.from(atob(data.curves.columns[name]), (sign) => sign.charCodeAt(0));
        decoded.set(name, new Float32Array(bytes.buffer));
      }
      return decoded.get(name);
    };
    const runs = columns.get("run").values.map((_, run) => run);
    const texts = [...columns.values()].filter(({ name, numeric }) => !numeric && !/hash|environment/.test(name));
    const haystack = runs.map((run) => texts.map(({ values }) => values[run]).join("\n").toLowerCase());
    const axes = [...data.factors, ...data.settings];
    const varied = (names) => names.filter((name) => columns.get(name)?.known.length > 1);
    return {
      ...data, columns, curve, runs, haystack, axes,
      percent: new Set(data.percent),
      filterable: varied(["status", "study", ...axes, "seed", data.metric]),
      varied: varied(axes),
    };
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  }

  // -------------------------------------------------------------------------------------- filter

  const state = {
    words: [],
    filters: new Map(), // column -> {any: Set of values as text} or {low, high}
    sort: { column: null, ascending: true },
    columns: null, // of the table
    rows: FIRST_ROWS,
    at: null, // of the learning curves' reading, a place on their x-axis
  };
  let shown = []; // runs that pass

  const key = (value) => (value === null ? "none" : String(value));

  function passes(run) {
    for (const [column, { any, low, high }] of state.filters) {
      const value = of(column, run);
      if (any ? !any.has(key(value)) : value === null || value < low || value > high) return false;
    }
    return state.words.every((word) => page.haystack[run].includes(word));
  }

  /** Whether a column is filtered by its values: all words, and settings that have few. */
  function isChoice({ name, numeric, known }) {
    return !numeric || ([...page.axes, "seed"].includes(name) && known.length <= MOST_CHOICES);
  }

  /** Filter a column by a range of its values; null: by nothing. */
  function filterRange(column, low, high) {
    const { known } = page.columns.get(column);
    if (low === null) state.filters.delete(column);
    else if (isChoice(page.columns.get(column))) {
      const any = known.filter((_, place) => place >= low && place <= high).map(key);
      state.filters.set(column, { any: new Set(any) });
    } else state.filters.set(column, { low, high });
    drawPicks();
    refresh();
  }

  function drawPicks() {
    const open = new Set([...document.querySelectorAll("#picks details[open]")].map((d) => d.dataset.column));
    const focused = document.activeElement?.id;
    $("#picks").replaceChildren(...page.filterable.map((name) => pick(page.columns.get(name), open.has(name))));
    if (focused?.startsWith("pick-")) document.getElementById(focused)?.focus();
  }

  function pick(column, open) {
    const { name, known, values } = column;
    const filter = state.filters.get(name);
    const summary = h("summary", { class: filter ? "active" : null, id: `pick-${name}` });
    const all = values.includes(null) ? [...known, null] : known;
    const say = () => {
      const now = state.filters.get(name);
      const some = now?.any ? `: ${now.any.size} of ${all.length}` : now ? ": a range" : "";
      summary.textContent = title(name) + some;
      summary.classList.toggle("active", Boolean(now));
    };
    const changed = (next) => {
      if (next) state.filters.set(name, next);
      else state.filters.delete(name);
      say();
      refresh();
    };
    const options = isChoice(column)
      ? all.map((value) => {
          const id = `pick-${name}-${key(value)}`;
          const box = h("input", { type: "checkbox", id, value: key(value) });
          box.checked = !filter || filter.any.has(key(value));
          box.addEventListener("change", () => {
            const boxes = [...box.closest(".options").querySelectorAll("input")];
            const any = new Set(boxes.filter((each) => each.checked).map((each) => each.value));
            changed(any.size === all.length ? null : { any });
          });
          return h("label", {}, box, " ", told(name, value));
        })
      : ["low", "high"].map((end) => {
          const bound = filter?.[end];
          const input = h("input", { type: "number", step: "any", id: `pick-${name}-${end}` });
          input.value = finite(bound) ? Number((bound * percent(name)).toPrecision(6)) : "";
          input.addEventListener("input", () => {
            const range = { low: -Infinity, high: Infinity, ...state.filters.get(name) };
            const typed = input.valueAsNumber / percent(name);
            range[end] = finite(typed) ? typed : end === "low" ? -Infinity : Infinity;
            changed(finite(range.low) || finite(range.high) ? range : null);
          });
          return h("label", {}, end === "low" ? "from " : "to ", input);
        });
    say();
    const box = h("div", { class: "options", role: "group", "aria-label": name }, options);
    return h("details", { class: "pick", "data-column": name, open }, summary, box);
  }

  // ----------------------------------------------------------------------------------- statistics

  /** What the runs of one cell came to; of a whole cell with the report's own interval. */
  function summarise(cell, runs) {
    const status = (wanted) => runs.filter((run) => wanted.includes(of("status", run))).length;
    const done = runs.filter((run) => of("status", run) === "done" && of(page.metric, run) !== null);
    const values = done.map((run) => of(page.metric, run));
    const [mean, low, high, n] = page.cells[cell];
    const whole = n === done.length;
    const { mean: average, half } = moments(values);
    const diverged = status(["diverged"]);
    return {
      cell, runs, done, diverged,
      n: done.length,
      failed: status(["failed"]),
      unfinished: status(["running", "interrupted"]),
      pruned: status(["pruned"]),
      mean: whole ? mean : average,
      low: whole ? low : average - half,
      high: whole ? high : average + half,
      selection: moments(runs.map((run) => page.selection[run]).filter(finite)).mean,
    };
  }

  /** Mean, and half of its interval of 95 % (Student's), NaN where there is none. */
  function moments(values) {
    const n = values.length;
    const mean = values.reduce((sum, value) => sum + value, 0) / n;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return { mean, half: n > 1 ? (page.student[n] ?? NaN) * Math.sqrt(squares / (n - 1)) : NaN };
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

  // ------------------------------------------------------------------------------- summary, tables

  function drawSummary() {
    const list = (items, name) => (items.length ? h("ul", { class: name }, items.map((item) => h("li", {}, tight(item)))) : null);
    $("#study").textContent = page.study;
    const ends = [...grouped(page.runs, (run) => of("status", run))].map(([status, runs]) => `${runs.length} ${status}`);
    const filtered = page.where ? ` Of ${page.total} those where ${page.where}.` : "";
    $("#facts").textContent = `${count(page.runs.length, "run")}: ${ends.join(", ")}.${filtered} Reported: ${page.metric}. `
      + `Chosen by ${page.objective.metric} (${page.objective.mode}).`;
    $("#summary").replaceChildren(
      h("h2", {}, "Finding"),
      ...page.findings.map((line, place) => h("p", { class: place ? null : "lead" }, tight(line))),
      ...page.recommendations.flatMap((each) => [
        h("h2", {}, `Use ${each.choice}${each.problem ? ` on ${each.problem}` : ""}`),
        list(each.evidence, "plain"),
        h("p", {}, h("strong", { class: `sure ${each.sure}` }, `Confidence: ${each.sure}`),
          each.doubts.length ? tight(` (${each.doubts.join("; ")})`) : ""),
        each.next.length ? h("p", {}, "To try next:") : null,
        list(each.next),
        each.command ? h("pre", { tabindex: "0", "aria-label": "Command" }, h("code", {}, each.command)) : null,
      ].filter(Boolean)),
    );
    $("#warnings").hidden = !page.caveats.length;
    $("#warnings ul").replaceChildren(
      ...page.caveats.map(({ kind, text }) => h("li", {}, h("strong", {}, kind.replace("_", " ")), " ", text)),
    );
    const open = new Set([...document.querySelectorAll("#tables details[open]")].map((d) => d.dataset.title));
    document.querySelectorAll("#tables details").forEach((details) => details.remove());
    $("#tables").append(...page.tables.map((table) => drawTable(table, open.has(table.title))));
  }

  function drawTable({ title: name, header, rows, text, bold }, open) {
    const heavy = new Set(bold.map(([row, column]) => `${row},${column}`));
    const cell = (value, row, column) => h("td", { class: column < text ? null : "number" },
      heavy.has(`${row},${column}`) ? h("strong", {}, value) : value);
    return h("details", { "data-title": name, open },
      h("summary", {}, name),
      h("div", { class: "wide", role: "region", "aria-label": name, tabindex: "0" },
        h("table", {},
          h("thead", {}, h("tr", {}, header.map((each, place) => h("th", { scope: "col", class: place < text ? null : "number" }, each)))),
          h("tbody", {}, rows.map((values, row) => h("tr", {}, values.map((value, column) => cell(value, row, column))))))));
  }

  // ------------------------------------------------------------------------------------- heat map

  function drawHeat() {
    const others = page.factors.filter((factor) => !["optimizer", "init"].includes(factor));
    const unit = page.percent.has(page.metric) ? " (%)" : "";
    $("#heat-note").textContent = `Mean ${page.metric}${unit} of each combination at its best setting, with its interval of 95 %`
      + `${shown.length < page.runs.length ? " (Student’s where the filter takes runs away)" : ""}. Choose one to see its runs alone.`;
    const contexts = grouped(arms(), ({ runs }) => nameOf(runs[0], others));
    $("#heat").replaceChildren(...[...contexts].sort(([a], [b]) => compare(a, b)).map(([context, some]) => heatMap(context, some)));
  }

  function heatMap(context, some) {
    const levels = (factor) => [...new Set(some.map(({ runs }) => of(factor, runs[0])))].sort(compare);
    const [optimizers, inits] = [levels("optimizer"), levels("init")];
    const means = some.map(({ mean }) => mean).filter(finite);
    const best = page.mode === "max" ? Math.max(...means) : Math.min(...means);
    const worst = page.mode === "max" ? Math.min(...means) : Math.max(...means);
    const at = new Map(some.map((arm) => [`${of("init", arm.runs[0])}|${of("optimizer", arm.runs[0])}`, arm]));
    const cell = (init, optimizer) => {
      const arm = at.get(`${init}|${optimizer}`);
      if (!arm) return h("td", { class: "none" }, "no run");
      const tone = best === worst ? 1 : (arm.mean - worst) / (best - worst);
      const digits = page.digits, factor = percent(page.metric);
      const ends = ["diverged", "failed", "pruned", "unfinished"].filter((end) => arm[end]).map((end) => `${arm[end]} ${end}`);
      const settings = page.settings.filter((name) => page.columns.get(name).known.length > 1)
        .map((name) => `${name.split(".").pop()} ${told(name, of(name, arm.runs[0]))}`);
      return h("td", {},
        h("button", {
          type: "button", class: finite(tone) ? "cell" : "cell empty",
          "--tone": `${Math.round(100 * (tone || 0))}%`,
          onclick: () => {
            for (const name of page.factors.filter((each) => page.filterable.includes(each))) {
              state.filters.set(name, { any: new Set([key(of(name, arm.runs[0]))]) });
            }
            drawPicks();
            refresh();
            $("#count").scrollIntoView({ block: "nearest" });
          },
        },
        h("span", { class: "value" }, fixed(arm.mean * factor, digits), arm.mean === best && some.length > 1 ? h("span", { class: "best" }, " best") : null),
        finite(arm.low) ? h("span", {}, `[${fixed(arm.low * factor, digits)}, ${fixed(arm.high * factor, digits)}]`) : null,
        h("span", {}, [`n = ${arm.n}`, ...settings].join(" · ")),
        ends.length ? h("span", { class: "ends" }, `⚠ ${ends.join(", ")}`) : null));
    };
    return h("div", { class: "wide", role: "region", "aria-label": `Heat map ${context}`, tabindex: "0" },
      h("table", { class: "heat" },
        context ? h("caption", {}, context) : null,
        h("thead", {}, h("tr", {}, h("td", {}), optimizers.map((optimizer) => h("th", { scope: "col" }, optimizer)))),
        h("tbody", {}, inits.map((init) => h("tr", {}, h("th", { scope: "row" }, init), optimizers.map((optimizer) => cell(init, optimizer)))))));
  }

  // ---------------------------------------------------------------------------------------- charts

  const HEIGHT = 340;

  /** From a value to its place; `invert` goes back. */
  function scale(low, high, from, to, log) {
    const [forth, back] = log ? [Math.log10, (value) => 10 ** value] : [(value) => value, (value) => value];
    const [a, b] = [forth(low), forth(high)];
    const place = (value) => (a === b ? (from + to) / 2 : from + ((forth(value) - a) / (b - a)) * (to - from));
    place.invert = (at) => back(a + ((at - from) / (to - from)) * (b - a));
    return place;
  }

  /** Round numbers between two. */
  function ticks(low, high, most, log, whole) {
    if (log) {
      const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
      const every = Math.ceil((last - first + 1) / most);
      const powers = [];
      for (let power = first; power <= last; power += every) powers.push(10 ** power);
      if (powers.length > 1) return powers;
    }
    const raw = Math.max((high - low) / most || 1, whole ? 1 : 0);
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw);
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n <= high / step + 1e-9; n++) found.push(n * step);
    return found;
  }

  const path = (points) => points.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  // -------------------------------------------------------------------------------- learning curves

  let reading = () => {}; // shows the values at a place of the x-axis

  /** Rows of a run's curve at which the metric can be drawn. */
  function* points(run, y, drawable) {
    const { starts } = page.curves;
    for (let row = starts[run]; row < starts[run + 1]; row++) if (drawable(y[row])) yield row;
  }

  /** Means over a group's runs that are done, epoch by epoch: [{epoch, x, y, half, n}]. */
  function average(runs, x, y, drawable) {
    const epoch = page.curve("epoch");
    const epochs = new Map();
    for (const run of runs) {
      for (const row of points(run, y, drawable)) {
        const entry = epochs.get(epoch[row]) ?? { epoch: epoch[row], n: 0, x: 0, y: 0, squares: 0 };
        entry.n += 1;
        entry.x += (x[row] - entry.x) / entry.n;
        const difference = y[row] - entry.y;
        entry.y += difference / entry.n;
        entry.squares += difference * (y[row] - entry.y);
        epochs.set(epoch[row], entry);
      }
    }
    const means = [...epochs.values()].sort((a, b) => a.epoch - b.epoch);
    for (const each of means) {
      each.half = each.n > 1 ? (page.student[each.n] ?? NaN) * Math.sqrt(each.squares / (each.n - 1)) : NaN;
    }
    return means;
  }

  function drawCurves() {
    const metric = $("#curve-metric").value, by = $("#curve-by").value, log = $("#curve-log").checked;
    const every = $("#curve-of").value === "cell", each = $("#curve-each").checked;
    const host = $("#curves");
    const factor = percent(metric);
    const groups = (every ? cells() : arms()).sort(rank);
    const axes = every ? page.axes : page.factors;
    // Colours belong to a group whatever the filter, as far as there are any.
    const names = [...new Set(page.runs.map((run) => nameOf(run, axes)))].sort(compare);
    const drawable = log ? (value) => value > 0 && value < Infinity : Number.isFinite;
    const known = metric && groups.length && page.curves.starts.at(-1) > 0;
    const [x, y] = known ? [page.curve(by), page.curve(metric)] : [];
    const lines = (known ? groups.slice(0, MOST_CURVES) : []).map((group) => ({
      ...group,
      name: nameOf(group.runs[0], axes),
      means: average(group.done, x, y, drawable),
      tone: names.indexOf(nameOf(group.runs[0], axes)),
    })).filter((line) => line.means.length || each);
    const ends = [], places = []; // of runs, not of bands: those of two seeds are endless
    for (const { runs, done } of lines) {
      for (const run of each ? runs : done) {
        for (const row of points(run, y, drawable)) {
          ends.push(y[row]);
          places.push(x[row]);
        }
      }
    }
    const more = groups.length - lines.length;
    const averages = "means over the runs that are done and got that far";
    $("#curves-note").textContent = (each
      ? `Lines: runs; a cross: it diverged there. Below: ${averages}, with their intervals of 95 % (Student’s).`
      : `Lines: ${averages}; bands: their intervals of 95 % (Student’s), cut off where no run has been.`)
      + (more > 0 && known ? ` The best ${lines.length} of ${groups.length} on validation are drawn.` : "")
      + (page.curves.stride > 1 ? ` One epoch in ${page.curves.stride} is drawn.` : "");
    if (!ends.length) {
      host.replaceChildren(h("p", { class: "note" }, "No run has a curve to show."));
      $("#legend").replaceChildren();
      reading = () => {};
      return;
    }
    const extent = (values) => values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
    const [left, right, top, bottom] = [52, 12, 26, 40];
    const width = host.clientWidth;
    const [x0, x1] = extent(places), [y0, y1] = extent(ends);
    const toX = scale(x0, x1, left, width - right), toY = scale(y0, y1, HEIGHT - bottom, top, log);
    const drawing = s("svg", { width, height: HEIGHT, "aria-hidden": "true" });
    for (const tick of ticks(y0 * factor, y1 * factor, 5, log)) {
      const at = toY(tick / factor);
      drawing.append(s("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }),
        s("text", { class: "tick end", x: left - 8, y: at + 4 }, short(tick)));
    }
    for (const tick of ticks(x0, x1, Math.max(2, width / 110), false, by !== "seconds")) {
      drawing.append(s("text", { class: "tick middle", x: toX(tick), y: HEIGHT - bottom + 20 }, short(tick)));
    }
    drawing.append(s("text", { class: "tick end", x: width - right, y: HEIGHT - 4 }, by === "seconds" ? "seconds of fit" : by),
      s("text", { class: "tick", x: left, y: 12 }, title(metric)));
    const frame = s("rect", { x: left, y: top - 2, width: width - left - right, height: HEIGHT - top - bottom + 4 });
    drawing.append(s("clipPath", { id: "frame" }, frame));
    const below = log ? y0 / 10 : -Infinity; // a logarithm has no place for less than nothing
    const style = (tone) => ({ "--color": `var(--tone-${tone % 7})`, "stroke-dasharray": ["", "7 4", "2 3"][Math.floor(tone / 7) % 3] });
    for (const { means, tone } of lines) {
      if (each || means.every(({ half }) => !finite(half))) continue;
      const wide = means.filter(({ half }) => finite(half));
      const edge = [...wide.map((m) => [toX(m.x), toY(m.y + m.half)]),
        ...wide.map((m) => [toX(m.x), toY(Math.max(below, m.y - m.half))]).reverse()];
      drawing.append(s("path", { class: "band", "clip-path": "url(#frame)", d: `${path(edge)}Z`, "--color": `var(--tone-${tone % 7})` }));
    }
    for (const { runs, means, tone } of lines) {
      if (each) {
        const d = runs.map((run) => path([...points(run, y, drawable)].map((row) => [toX(x[row]), toY(y[row])]))).join("");
        const lost = runs.filter((run) => of("status", run) === "diverged")
          .flatMap((run) => [...points(run, y, drawable)].slice(-1));
        const crosses = lost.map((row) => `M${toX(x[row]) - 4} ${toY(y[row]) - 4}l8 8m0-8l-8 8`).join("");
        drawing.append(s("path", { class: "thin", d, ...style(tone) }),
          s("path", { class: "line", d: crosses, "--color": style(tone)["--color"] }));
      } else if (means.length === 1) {
        drawing.append(s("circle", { class: "dot", cx: toX(means[0].x), cy: toY(means[0].y), r: 4, ...style(tone) }));
      } else drawing.append(s("path", { class: "line", d: path(means.map((m) => [toX(m.x), toY(m.y)])), ...style(tone) }));
    }
    const cursor = s("line", { class: "cursor", y1: top, y2: HEIGHT - bottom });
    drawing.append(cursor);
    host.replaceChildren(drawing);

    reading = (at) => {
      state.at = at;
      const ahead = at === null ? x1 : at;
      cursor.setAttribute("x1", toX(ahead));
      cursor.setAttribute("x2", toX(ahead));
      cursor.classList.toggle("on", at !== null);
      const read = (value) => (factor === 100 ? fixed(100 * value, 2) : short(value));
      const nearest = (means) => means.reduce((a, b) => (Math.abs(b.x - ahead) < Math.abs(a.x - ahead) ? b : a));
      const where = at === null ? "last" : `at ${short(at)}`;
      $("#legend").replaceChildren(h("table", { class: "legend" },
        h("thead", {}, h("tr", {}, ["", title(metric) + ", " + where, "95 %", "n"].map((name, place) =>
          h("th", { scope: "col", class: place ? "number" : null }, name || h("span", { class: "hidden" }, "combination"))))),
        h("tbody", {}, lines.map(({ name, means, tone, diverged }) => {
          const mean = means.length ? (at === null ? means.at(-1) : nearest(means)) : null;
          const ends = diverged ? ` (${diverged} diverged)` : "";
          return h("tr", {},
            h("th", { scope: "row" }, s("svg", { width: 30, height: 10, "aria-hidden": "true" },
              s("path", { class: "line", d: "M1 5L29 5", ...style(tone) })), ` ${name}`),
            h("td", { class: "number" }, mean ? read(mean.y) : "–"),
            h("td", { class: "number" }, mean && finite(mean.half) ? `± ${read(mean.half)}` : "–"),
            h("td", { class: "number" }, `${mean ? mean.n : 0}${ends}`));
        }))));
    };
    host.onpointermove = (event) => {
      const at = toX.invert(event.clientX - host.getBoundingClientRect().left);
      reading(Math.min(x1, Math.max(x0, at)));
    };
    host.onpointerleave = () => reading(null);
    host.onkeydown = (event) => {
      const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!way) return;
      event.preventDefault();
      const steps = [...new Set(lines.flatMap(({ means }) => means.map((mean) => mean.x)))].sort((a, b) => a - b);
      const now = state.at ?? (way > 0 ? -Infinity : Infinity);
      const next = way > 0 ? steps.find((step) => step > now) : steps.findLast((step) => step < now);
      if (next !== undefined) reading(next);
    };
    reading(state.at === null || state.at < x0 || state.at > x1 ? null : state.at);
  }

  // --------------------------------------------------------------------------- parallel coordinates

  const TONES = 12;

  function drawParallel() {
    const host = $("#parallel");
    const all = [...new Set([...page.varied, page.objective.metric, "cost.fit_seconds", page.metric])];
    const names = all.filter((name) => page.columns.get(name)?.known.length > 1);
    const [left, right, top, bottom] = [20, 56, 34, 34];
    const width = Math.max(host.parentElement.clientWidth, 118 * names.length);
    const floor = HEIGHT - bottom; // of what a run has not
    const axes = names.map((name, place) => {
      const column = page.columns.get(name);
      const x = left + (place / Math.max(1, names.length - 1)) * (width - left - right);
      const choice = isChoice(column);
      const [low, high] = [column.known[0], column.known.at(-1)];
      const log = !choice && low > 0 && high / low > 50;
      const to = choice
        ? scale(0, column.known.length - 1, floor - 26, top)
        : scale(low, high, floor - 26, top, log);
      const places = new Map(column.known.map((value, index) => [value, index]));
      const y = (value) => (value === null ? floor : to(choice ? places.get(value) : value));
      return { name, column, x, choice, to, y, log, low, high };
    });
    if (axes.length < 2) {
      host.replaceChildren(h("p", { class: "note" }, "Nothing varies."));
      return;
    }
    const line = (run) => path(axes.map(({ x, y, column }) => [x, y(column.values[run])]));
    const [worst, best] = page.mode === "max" ? [0, 1] : [1, 0];
    const { known, values } = page.columns.get(page.metric);
    const order = new Map(known.map((value, index) => [value, known.length > 1 ? index / (known.length - 1) : 1]));
    const toneOf = (run) => (values[run] === null ? -1
      : Math.round((worst + (best - worst) * order.get(values[run])) * (TONES - 1)));
    const inside = new Set(shown);
    const drawing = s("svg", { width, height: HEIGHT, role: "img",
      "aria-label": `${count(shown.length, "run")} over ${names.join(", ")}; the table below has the same numbers` });
    drawing.append(s("path", { class: "thin out", d: page.runs.filter((run) => !inside.has(run)).map(line).join("") }));
    for (const [tone, runs] of [...grouped(shown, toneOf)].sort(([a], [b]) => a - b)) {
      const name = tone < 0 ? "thin lost" : "thin tone";
      drawing.append(s("path", { class: name, d: runs.map(line).join(""), "--tone": `${Math.round((100 * tone) / (TONES - 1))}%` }));
    }
    axes.forEach((axis, place) => {
      const { name, column, x, choice, to, log, low, high } = axis;
      const side = place === axes.length - 1 ? "start" : place ? "middle" : "start";
      const anchor = place === axes.length - 1 ? "end" : side;
      const group = s("g", {},
        s("line", { class: "axis", x1: x, x2: x, y1: top, y2: floor - 26 }),
        s("text", { class: `name ${anchor}`, x: anchor === "end" ? x + right - 4 : anchor === "start" ? x - left + 2 : x, y: 16 }, title(name)));
      const labels = choice ? column.known.map((value, index) => [to(index), told(name, value)])
        : ticks(low * percent(name), high * percent(name), 5, log).map((tick) => [to(tick / percent(name)), short(tick)]);
      for (const [y, text] of labels) group.append(s("text", { class: "tick halo", x: x + 6, y: y + 4 }, text));
      if (column.values.includes(null)) group.append(s("text", { class: "tick halo", x: x + 6, y: floor + 4 }, "none"));
      drawing.append(group);
      if (page.filterable.includes(name)) drawing.append(...brush(axis, top, floor - 26));
    });
    host.replaceChildren(drawing);
  }

  /** What is dragged along an axis, and what shows its filter. */
  function brush({ name, x, choice, to, column, low, high }, top, bottom) {
    const filter = state.filters.get(name);
    const chosen = s("rect", { class: "chosen", x: x - 6, width: 12 });
    const mark = (a, b) => {
      chosen.setAttribute("y", Math.min(a, b));
      chosen.setAttribute("height", Math.abs(a - b));
    };
    if (filter && choice) {
      const places = column.known.map((value, index) => [key(value), index]).filter(([value]) => filter.any.has(value)).map(([, index]) => index);
      if (places.length) mark(to(Math.min(...places)) + 6, to(Math.max(...places)) - 6);
    } else if (filter) mark(to(Math.max(low, filter.low)), to(Math.min(high, filter.high)));
    const handle = s("rect", { class: "handle", "data-column": name, x: x - 14, width: 28, y: top - 8, height: bottom - top + 16 });
    const place = (event) => Math.min(bottom + 8, Math.max(top - 8, event.clientY - handle.ownerSVGElement.getBoundingClientRect().top));
    let start = null;
    handle.addEventListener("pointerdown", (event) => {
      start = place(event);
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (start !== null) mark(start, place(event));
    });
    handle.addEventListener("pointerup", (event) => {
      const end = place(event);
      const from = to.invert(Math.max(start, end)), until = to.invert(Math.min(start, end));
      if (Math.abs(start - end) < 4) filterRange(name, null);
      else filterRange(name, from, until);
    });
    return [chosen, handle];
  }

  // ----------------------------------------------------------------------------------- table of runs

  function usualColumns() {
    const metrics = [page.objective.metric, page.metric];
    const wanted = ["run", "status", ...page.axes, "seed", ...metrics, "best.epoch", "cost.fit_seconds", "error"];
    const study = page.columns.get("study").known.length > 1 ? ["study"] : [];
    return [...new Set([...study, ...wanted])].filter((name) => {
      const column = page.columns.get(name);
      return column && column.known.some((value) => value !== "");
    });
  }

  function drawChooser() {
    $("#choose .options").replaceChildren(...[...page.columns.keys()].map((name) => {
      const box = h("input", { type: "checkbox", value: name, disabled: name === "run" });
      box.checked = state.columns.includes(name);
      box.addEventListener("change", () => {
        const wanted = new Set([...$("#choose").querySelectorAll("input:checked")].map((each) => each.value));
        state.columns = [...new Set([...state.columns, ...wanted])].filter((each) => wanted.has(each));
        drawRuns();
      });
      return h("label", {}, box, " ", name);
    }));
  }

  function drawRuns() {
    const focused = document.activeElement.id; // what is drawn anew keeps it
    const columns = state.columns.map((name) => page.columns.get(name)).filter(Boolean);
    const { column, ascending } = state.sort;
    const runs = [...shown];
    if (page.columns.has(column)) {
      const { values } = page.columns.get(column);
      const empty = (value) => value === null || value === "";
      runs.sort((a, b) => empty(values[a]) - empty(values[b])
        || (empty(values[a]) ? 0 : (ascending ? 1 : -1) * compare(values[a], values[b])));
    }
    $("#table thead").replaceChildren(h("tr", {}, columns.map(({ name, numeric }) => {
      const sorted = name === column ? (ascending ? "ascending" : "descending") : null;
      const sort = () => {
        state.sort = { column: name, ascending: name === column ? !ascending : true };
        drawRuns();
      };
      return h("th", { scope: "col", "aria-sort": sorted, class: numeric ? "number" : null },
        h("button", { type: "button", id: `sort-${name}`, onclick: sort }, title(name)));
    })));
    $("#table tbody").replaceChildren(...runs.slice(0, state.rows).map((run) => h("tr", { class: of("status", run) },
      columns.map(({ name, numeric, values }) => {
        if (name !== "run") return h("td", { class: numeric ? "number" : name === "error" ? "message" : null }, told(name, values[run]));
        const id = `run-${label(run)}`;
        return h("th", { scope: "row" }, h("button", { type: "button", class: "link", id, onclick: () => openRun(run) }, values[run]));
      }))));
    if (/^(sort|run)-/.test(focused)) document.getElementById(focused)?.focus({ preventScroll: true });
    $("#more").hidden = runs.length <= state.rows;
    $("#more").textContent = `Show all ${runs.length.toLocaleString("en")}`;
  }

  // ------------------------------------------------------------------------------------------ one run

  /** Dotted keys and their values. */
  function configOf(run) {
    const { common, varied } = page.configs;
    const own = varied.filter(({ codes }) => codes[run] >= 0).map(({ name, words, codes }) => [name, words[codes[run]]]);
    return new Map([...Object.entries(common), ...own].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  const label = (run) => (page.columns.get("study").known.length > 1 ? `${of("study", run)}/` : "") + of("run", run);

  function openRun(run) {
    const dialog = $("#run");
    const error = page.errors[run];
    const config = configOf(run);
    const others = page.runs.filter((other) => other !== run);
    const against = h("select", { id: "against" },
      h("option", { value: "" }, "nothing: all keys"),
      others.map((other) => h("option", { value: other }, label(other))));
    const listing = h("div", { class: "wide", role: "region", "aria-label": "Configuration", tabindex: "0" });
    const list = () => {
      const other = against.value === "" ? null : configOf(Number(against.value));
      const keys = [...new Set([...config.keys(), ...(other ? other.keys() : [])])].sort()
        .filter((each) => !other || config.get(each) !== other.get(each));
      const header = ["key", "this run", ...(other ? ["the other"] : [])];
      listing.replaceChildren(keys.length
        ? h("table", { class: "config" },
          h("thead", {}, h("tr", {}, header.map((each) => h("th", { scope: "col" }, each)))),
          h("tbody", {}, keys.map((each) => h("tr", {}, h("th", { scope: "row" }, each),
            h("td", {}, config.get(each) ?? "–"), other ? h("td", {}, other.get(each) ?? "–") : null))))
        : h("p", { class: "note" }, "They do not differ."));
    };
    against.addEventListener("change", list);
    list();
    const pre = (name, text) => [h("h3", {}, name), h("pre", { tabindex: "0", "aria-label": name }, text)];
    const numbers = [page.objective.metric, page.metric, "best.epoch", "cost.steps", "cost.fit_seconds"];
    const facts = [...new Set(numbers)].filter((name) => page.columns.has(name));
    dialog.replaceChildren(
      h("form", { method: "dialog" }, h("h2", { id: "run-title", tabindex: "-1" }, label(run)), h("button", { "aria-label": "Close" }, "Close")),
      h("p", {}, [of("status", run), ...facts.map((name) => `${name} ${told(name, of(name, run))}${page.percent.has(name) && of(name, run) !== null ? " %" : ""}`)].join(" · ")),
      ...(error ? [h("h3", {}, "Error"), h("p", { class: "error" }, `${error.type}: ${error.message}`)] : []),
      ...(error?.traceback ? [h("pre", { tabindex: "0", "aria-label": "Traceback" }, error.traceback)] : []),
      h("h3", {}, "Configuration"),
      h("label", {}, "difference from ", against), listing,
      ...(page.logs[run] ? pre("End of its log", page.logs[run]) : []));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    $("#run-title").focus();
  }

  // ------------------------------------------------------------------------------------- everything

  let waiting = false;

  /** Draw what the filter changes, once a frame. */
  function refresh() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      shown = page.runs.filter(passes);
      $("#count").textContent = shown.length === page.runs.length
        ? `All ${count(shown.length, "run")}`
        : `${shown.length.toLocaleString("en")} of ${count(page.runs.length, "run")}`;
      drawHeat();
      drawCurves();
      drawParallel();
      drawRuns();
    });
  }

  /** Show other data: filters, order, columns and places stay as they are. */
  function load(data) {
    const usual = state.columns && String(state.columns) === String(usualColumns());
    page = unpack(data);
    if (!state.columns || usual) state.columns = usualColumns();
    if (state.sort.column === null) state.sort = { column: page.metric, ascending: page.mode === "min" };
    for (const column of state.filters.keys()) if (!page.filterable.includes(column)) state.filters.delete(column);
    const metrics = Object.keys(page.curves.columns).filter((name) => !["epoch", "step", "seconds"].includes(name));
    const wanted = $("#curve-metric").value || page.objective.metric;
    $("#curve-metric").replaceChildren(...metrics.map((name) => h("option", { value: name }, name)));
    $("#curve-metric").value = metrics.includes(wanted) ? wanted : (metrics[0] ?? "");
    drawSummary();
    drawPicks();
    drawChooser();
    refresh();
  }

  /** A page that is served asks whether there is something new. */
  async function follow(version) {
    for (;;) {
      await new Promise((wake) => setTimeout(wake, POLL));
      if ($("#run").open) continue; // whoever reads is not disturbed
      try {
        const answer = await fetch("version");
        if (!answer.ok) return; // some other server: nothing follows the study
        const now = await answer.text();
        if (now !== version) {
          load(await (await fetch("data.json")).json());
          version = now;
        }
        $("#live").textContent = "· live";
      } catch {
        $("#live").textContent = "· no longer served";
      }
    }
  }

  $("#filter form").addEventListener("submit", (event) => event.preventDefault());
  $("#filter form").addEventListener("reset", () => {
    state.words = [];
    state.filters.clear();
    drawPicks();
    refresh();
  });
  $("#query").addEventListener("input", () => {
    state.words = $("#query").value.toLowerCase().split(/\s+/).filter(Boolean);
    refresh();
  });
  // A list of choices closes when one goes elsewhere, or leaves it by Escape.
  addEventListener("click", ({ target }) => {
    for (const pick of document.querySelectorAll(".pick[open]")) pick.open = pick.contains(target);
  });
  addEventListener("keydown", (event) => {
    const pick = event.key === "Escape" && event.target.closest(".pick[open]");
    if (!pick) return;
    pick.open = false;
    pick.firstChild.focus();
  });
  for (const id of ["metric", "by", "of", "log", "each"]) $(`#curve-${id}`).addEventListener("change", drawCurves);
  $("#more").addEventListener("click", () => {
    state.rows = Infinity;
    drawRuns();
    $("#runs").focus();
  });
  $("#run").addEventListener("click", (event) => {
    if (event.target === $("#run")) $("#run").close(); // beside it
  });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.style.colorScheme || (dark.matches ? "dark" : "light")) === "dark";
  const sayTheme = () => ($("#theme").textContent = isDark() ? "Light" : "Dark");
  $("#theme").addEventListener("click", () => {
    document.documentElement.style.colorScheme = isDark() ? "light" : "dark";
    sayTheme();
  });
  dark.addEventListener("change", sayTheme);
  sayTheme();

  load(JSON.parse($("#data").textContent));
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) refresh();
    width = innerWidth;
  });
  if (location.protocol.startsWith("http")) follow($("#data").dataset.version);
})();
