// What charts share: scales, ticks, paths.

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
