// Parallel coordinates.

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
    const anchor = place === axes.length - 1 ? "end" : place ? "middle" : "start";
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
