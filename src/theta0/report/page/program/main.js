// Everything together: drawn anew when the filter or the data change.

const POLL = 2000; // milliseconds

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
