// Learning curves.

const MOST_CURVES = 12;

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
  for (const each of means) each.half = halfInterval(each.squares, each.n);
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
  const lines = (known ? groups.slice(0, MOST_CURVES) : []).map((group) => {
    const name = nameOf(group.runs[0], axes);
    return { ...group, name, means: average(group.done, x, y, drawable), tone: names.indexOf(name) };
  }).filter((line) => line.means.length || each);
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
    ? `Lines: runs; a cross: it diverged there. Below: ${averages}, with their intervals of 95 % (Student’s, uncorrected).`
    : `Lines: ${averages}; bands: their intervals of 95 % (Student’s, uncorrected), cut off where no run has been.`)
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
