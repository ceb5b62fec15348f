// What passes the filter, and the lists to choose by.

const MOST_CHOICES = 12; // of a column with more values one filters by a range
const FIRST_ROWS = 100; // of the table, before "Show all"

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
