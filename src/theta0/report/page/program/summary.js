// Finding, recommendation, warnings and the report's tables.

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
