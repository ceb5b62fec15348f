// Init × optimizer.

function drawHeat() {
  const others = page.factors.filter((factor) => !["optimizer", "init"].includes(factor));
  $("#heat-note").textContent = `Mean ${title(page.metric)} of each combination at its best setting, with its own interval of 95 %, uncorrected`
    + `${shown.length < page.runs.length ? " (Student’s where the filter takes runs away)" : ""}. Which differ significantly is in the tables below, over all runs. Choose one to see its runs alone.`;
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
      h("span", { class: "value" }, fixed(arm.mean * factor, digits), arm.mean === best && some.length > 1 ? h("span", { class: "best" }, page.mode === "max" ? " highest" : " lowest") : null),
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
