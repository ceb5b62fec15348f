// One run: its configuration, its difference from another's, its error and log.

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
