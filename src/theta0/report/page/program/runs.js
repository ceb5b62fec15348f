// The table of runs.

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
