// The data, unpacked.

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
