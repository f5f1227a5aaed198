// The page of all results: what is shown, sorted and left out, the charts, the list and the drawer, all out of the one block of data.

const DATA = JSON.parse($("#data").textContent);
const { places: P, cells: CELLS, tables: TABLES, curves: CURVES } = DATA;
const PARTS = ["published", "recorded", "computed", "spread", "seeds", "difference"];
const WORDS = { published: "printed", recorded: "recorded", computed: "here", difference: "difference" };
const SERIES = { recorded: "series1", computed: "series0" };   // classes of the points of the scatter
const COLOURS = Number($("#curves").dataset.colours);   // how many such classes there are
const MARKED = ["running", "failed", "damaged"];   // states of cells that tables show
const LINES = 100;   // of the list, drawn at a time
const PANELS = 12;   // of curves, drawn at first

const word = (index) => (index == null ? "" : DATA.strings[index]);
const naturally = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;
/** Compares by `key`; what has none comes last in either direction, and what is equal stays in the order of `place`. */
const ordered = (key, sign, place) => (one, other) => {
  const [a, b] = [key(one), key(other)];
  const between = a == null || b == null ? (a == null) - (b == null) : sign * (typeof a === "number" ? a - b : naturally(a, b));
  return between || place(one) - place(other);
};

const difference = { recorded: (i) => P.recorded_difference[i], computed: (i) => P.difference[i] };
const shade = { recorded: (i) => P.recorded_shade[i], computed: (i) => P.shade[i] };
const tint = (step) => (step ? `tint ${step > 0 ? "better" : "worse"}${Math.abs(step)}` : null);
const latest = (i) => (difference.computed(i) != null ? "computed" : "recorded");   // whose difference stands for both
const number = (i, value) => fixed(value, P.decimals[i]);

const firstOf = TABLES.map((_, table) => P.table.indexOf(table));
const shortTitle = (table) => table.title.split(":")[0];
const nameOf = (i) => {
  const table = TABLES[P.table[i]], place = [P.group[i], P.row[i], P.column[i], P.metric[i]].map(word).filter(Boolean);
  return `${table.short} ${shortTitle(table)}: ${place.join(", ")}`;
};
const METHODS = P.cells.map((cells) => unique(cells.map((cell) => word(CELLS[cell].title))));
const STATES = P.cells.map((cells) => MARKED.filter((state) => cells.some((cell) => CELLS[cell].state === state)));
const STATUSES = P.table.map((_, i) => {
  const found = [P.computed[i] != null && word(P.status[i]), P.recorded[i] != null && word(P.recorded_status[i]), ...STATES[i]].filter(Boolean);
  return found.length ? unique(found) : ["missing"];
});

// -------------------------------------------------------------------------------------------------- what is chosen, kept in the address

const form = $("#controls");
const FIELDS = ["q", "paper", "dataset", "method", "status", "values", "by"];
const LEFT_OUT = ["seeds"];   // parts of a cell that are shown only if they are asked for
const SORTED_BY = ["computed", "recorded", "published"].find((side) => P[side].some((value) => value != null)) ?? "published";

const fresh = () => ({
  ...Object.fromEntries(FIELDS.map((field) => [field, ""])), by: SORTED_BY,
  metrics: new Set(), parts: new Set(LEFT_OUT), sort: new Map(), cell: "", log: "",
});
let state = fresh();

/** The state that the fragment of the address tells; metrics and parts are those that are left out. */
function readState() {
  const given = new URLSearchParams(location.hash.slice(1)), found = fresh();
  for (const field of [...FIELDS, "cell", "log"]) {
    const value = given.get(field), { options } = form.elements[field] ?? {};
    if (value && (!options || [...options].some((option) => option.value === value))) found[field] = value;
  }
  for (const field of ["metrics", "parts"]) if (given.has(field)) found[field] = new Set(given.get(field).split("~").filter(Boolean));
  for (const each of given.getAll("sort")) {
    const [table, column, order] = each.split("~");
    if (["ascending", "descending"].includes(order)) found.sort.set(table, [Number(column), order]);
  }
  return found;
}

function writeState() {
  const text = new URLSearchParams(), usual = fresh(), written = (chosen) => (chosen instanceof Set ? [...chosen].join("~") : chosen);
  for (const field of [...FIELDS, "metrics", "parts", "log", "cell"]) {
    if (written(state[field]) !== written(usual[field])) text.set(field, written(state[field]));
  }
  for (const [table, [column, order]] of state.sort) text.append("sort", [table, column, order].join("~"));
  history.replaceState(null, "", `#${text}`);
}

/** Controls, and cells, as the state says. */
function showState() {
  for (const field of FIELDS) form.elements[field].value = state[field];
  for (const box of $$("#metrics input")) box.checked = !state.metrics.has(box.value);
  for (const box of $$("#parts input")) box.checked = !state.parts.has(box.value);
  for (const part of PARTS) document.body.classList.toggle(`without-${part}`, state.parts.has(part));
  $("#log").checked = Boolean(state.log);
  const filtered = ["paper", "dataset", "method", "status", "values"].some((field) => state[field]) || state.metrics.size;
  $("#choose").textContent = filtered ? "Filters ●" : "Filters";
}

function prepareControls() {
  const fill = (name, values) => form.elements[name].append(...values.map(([value, text]) => make("option", { value }, text)));
  const plain = (values) => unique(values).filter(Boolean).sort(naturally).map((value) => [value, value]);
  fill("paper", [...new Map(TABLES.map((table) => [table.paper, table.short]))]);
  fill("dataset", plain(P.dataset.map(word)));
  fill("method", plain(METHODS.flat()));
  fill("status", plain(STATUSES.flat()));
  const metrics = unique(models.flatMap((model) => model.columns.map((column) => column.metric)));
  $("#metrics").append(...metrics.map((name) => make("label", {}, make("input", { type: "checkbox", value: name }), ` ${name}`)));
  for (const part of PARTS.slice(0, 3)) $(`#parts [value=${part}]`).parentElement.hidden = !$(`.${part}-part`);

  form.addEventListener("input", ({ target }) => {
    if (target.type === "checkbox") (target.closest("#metrics") ? state.metrics : state.parts)[target.checked ? "delete" : "add"](target.value);
    else state[target.name] = target.value;
    refresh(target.name === "by");
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    state = { ...fresh(), log: state.log };
    refresh(true);
  });
  for (const button of $$("[data-all]")) button.addEventListener("click", () => {
    state.metrics = new Set(button.dataset.all ? [] : metrics);
    refresh();
  });
  $("#choose").addEventListener("click", () => {
    $("#choices").hidden = !$("#choices").hidden;
    $("#choose").setAttribute("aria-expanded", String(!$("#choices").hidden));
  });
}

// -------------------------------------------------------------------------------------------------- tables

/** What sorting and filtering need to know of a table of the page, whose headings become buttons. */
function modelOf(section, at) {
  const table = $("table", section), [body] = table.tBodies, above = [...table.tHead.rows], head = above.pop();
  const titles = [...head.cells], stub = $$(".stub", head).length;
  let heading = section.previousElementSibling;
  while (!heading.matches("h2")) heading = heading.previousElementSibling;
  const about = [TABLES[at].short, TABLES[at].name, TABLES[at].title, heading.textContent];
  const rows = [...body.rows].map((row, order) => {
    const cells = [...row.cells], places = cells.slice(stub).map((cell) => (cell.dataset.i === undefined ? null : Number(cell.dataset.i)));
    places.forEach((i, column) => {
      if (i === null) return;
      cells[stub + column].tabIndex = -1;
      if (STATES[i].length) cells[stub + column].dataset.state = STATES[i][0];
    });
    const names = cells.slice(0, stub).map((cell) => cell.textContent), there = places.filter((i) => i !== null);
    const found = there.flatMap((i) => [word(P.column[i]), word(P.dataset[i]), ...METHODS[i]]);
    return { row, order, names, places, text: unique([...about, ...names, ...found]).join(" ").toLowerCase() };
  });
  const columns = titles.slice(stub).map((cell, column) => {
    const places = rows.map((each) => each.places[column]).filter((i) => i !== null);
    return { metric: cell.textContent, datasets: new Set(places.map((i) => word(P.dataset[i]))), places, shown: true };
  });
  const model = { id: section.id, about: TABLES[at], section, heading, table, body, above, head, titles, stub, rows, columns };
  titles.forEach((cell, column) => {
    cell.replaceChildren(make("button", { type: "button", click: () => nextOrder(model, column) }, cell.textContent));
    cell.setAttribute("aria-sort", "none");
  });
  return model;
}

const valueOf = (side, i) => (side === "difference" ? difference[latest(i)](i) : P[side][i]);

/** A heading was pressed: best first (names from A), then the other way round, then the paper's order. */
function nextOrder(model, column) {
  const of = model.columns[column - model.stub], orders = ["descending", "ascending"];
  if (!of || P.better[of.places[0]] < 0) orders.reverse();
  const [now, order] = state.sort.get(model.id) ?? [];
  if (now !== column) state.sort.set(model.id, [column, orders[0]]);
  else if (order === orders[0]) state.sort.set(model.id, [column, orders[1]]);
  else state.sort.delete(model.id);
  sortTable(model);
  writeState();
}

/** A column is sorted by the side that was chosen, or else by the first that has a value there. */
function sortTable(model) {
  const [column, order] = state.sort.get(model.id) ?? [];
  const title = model.titles[column], at = column - model.stub, of = model.columns[at];
  if (!title && !model.table.classList.contains("sorted")) return;
  let rows = model.rows, said = "in the paper's order";
  if (title) {
    const side = of && unique([state.by, "computed", "recorded", "published"]).find((each) => of.places.some((i) => valueOf(each, i) != null));
    const key = ({ places, names }) => (!of ? names[column] : places[at] === null || !side ? null : valueOf(side, places[at]));
    rows = [...rows].sort(ordered(key, order === "descending" ? -1 : 1, (each) => each.order));
    said = `sorted by ${title.textContent}${side ? ` (${WORDS[side]})` : ""}, ${order}`;
  }
  model.body.append(...rows.map((each) => each.row));
  model.table.classList.toggle("sorted", Boolean(title));
  for (const cell of model.titles) cell.setAttribute("aria-sort", cell === title ? order : "none");
  $("#count").textContent = `${shortTitle(model.about)} ${said}`;
}

/** Whether a place has the dataset, method, status and kind of value that were chosen. */
const matches = (i) =>
  (!state.dataset || word(P.dataset[i]) === state.dataset) && (!state.method || METHODS[i].includes(state.method))
  && (!state.status || STATUSES[i].includes(state.status))
  && (!state.values || (P.computed[i] != null || P.recorded[i] != null) === (state.values === "with"));

function showColumns(model) {
  let changed = false;
  model.columns.forEach((column, at) => {
    const shown = !state.metrics.has(column.metric) && (!state.dataset || column.datasets.has(state.dataset));
    if (shown === column.shown) return;
    column.shown = shown;
    changed = true;
    for (const row of [model.head, ...model.body.rows]) row.cells[model.stub + at].hidden = !shown;
  });
  if (!changed) return;
  for (const row of model.above) {
    let at = 0;
    for (const cell of $$("[scope=colgroup]", row)) {
      const wide = Number((cell.dataset.columns ??= cell.colSpan));
      const shown = model.columns.slice(at, at + wide).filter((column) => column.shown).length;
      cell.hidden = !shown;
      cell.colSpan = shown || 1;
      at += wide;
    }
  }
}

let visible = [];   // places that pass all filters
function filterTables() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean), shown = [];
  visible = [];
  for (const model of models) {
    showColumns(model);
    const wanted = !state.paper || model.about.paper === state.paper;
    let count = 0;
    for (const each of model.rows) {
      const found = wanted && words.every((part) => each.text.includes(part))
        ? each.places.filter((i, at) => i !== null && model.columns[at].shown && matches(i)) : [];
      each.row.hidden = !found.length;
      count += Boolean(found.length);
      visible.push(...found);
    }
    model.section.hidden = !count;
    if (count) shown.push([model, count]);
    const cells = $$("tr:not([hidden]) > td[data-i]:not([hidden])", model.body);   // the Tab key leads to one, arrow keys to the others
    if (cells.length && !cells.some((cell) => cell.tabIndex === 0)) cells[0].tabIndex = 0;
  }
  visible.sort((a, b) => a - b);
  const headings = new Set(shown.map(([model]) => model.heading));
  const ofPaper = models.filter(({ about }) => !state.paper || about.paper === state.paper);
  const metrics = new Set(ofPaper.flatMap((model) => model.columns.map((column) => column.metric)));
  for (const heading of $$("h2.paper")) heading.hidden = !headings.has(heading);
  for (const box of $$("#metrics input")) box.parentElement.hidden = !metrics.has(box.value);
  for (const figure of $$("figure")) figure.hidden = Boolean(state.paper) && figure.dataset.paper !== state.paper;
  $("#nothing").hidden = !models.length || shown.length > 0;
  $("#count").textContent = `${shown.length} of ${models.length} tables, ${shown.reduce((sum, [, count]) => sum + count, 0)} rows`;
}

// -------------------------------------------------------------------------------------------------- charts

/** The mark of a value: a square if it is recorded, else a dot. */
function point(side, x, y, r) {
  return side === "recorded"
    ? make("svg:rect", { class: `point ${SERIES.recorded}`, x: x - r, y: y - r, width: 2 * r, height: 2 * r })
    : make("svg:circle", { class: `point ${SERIES.computed}`, cx: x, cy: y, r: 1.15 * r });
}

/** Values against the printed ones, a chart for each paper and unit; where nothing is printed, against the recorded ones. */
function drawScatter() {
  const sets = new Map();
  for (const i of visible) {
    const against = P.published[i] != null ? "published" : "recorded";
    for (const side of ["recorded", "computed"]) {
      if (side === against || P[against][i] == null || P[side][i] == null || state.parts.has(side)) continue;
      const key = [TABLES[P.table[i]].paper, P.unit[i], against].join();
      sets.set(key, [...(sets.get(key) ?? []), { i, side, against, x: P[against][i], y: P[side][i] }]);
    }
  }
  const panels = [...sets.values()].map((points) => {
    const [{ i: first, against }] = points, room = Math.max(...points.map(({ i }) => P.scale[i] ?? 0));
    const domain = range(points.flatMap(({ x, y }) => [x, y]), { room });
    const text = ({ i, side, x, y }) =>
      `${nameOf(i)}: ${WORDS[against]} ${number(i, x)}, ${WORDS[side]} ${number(i, y)} (${signed(y - x, P.decimals[i])})`;
    const [what, up] = against === "recorded" ? [", against records", "here"] : ["", "reproduced"];
    return chart({
      title: `${TABLES[P.table[first]].short}, ${word(P.unit[first])}${what}`, about: `up: ${up}, right: ${WORDS[against]}`,
      x: domain, y: domain, height: WIDTH, across: WORDS[against],
      draw(svg, toX, toY) {
        const [[x1, x2], [y1, y2]] = [domain.map(toX), domain.map(toY)];
        svg.append(make("svg:line", { class: "diagonal", x1, y1, x2, y2 }), ...points.map(({ side, x, y }) => point(side, toX(x), toY(y), 3)));
        return points.sort((a, b) => a.x - b.x).map((each) => ({ ...each, text: text(each), open: () => openDrawer(each.i) }));
      },
    });
  });
  const key = Object.entries({ recorded: "recorded", computed: "computed here" }).map(([side, name]) =>
    make("span", {}, make("svg:svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, point(side, 5, 5, 4)), ` ${name}`));
  const nothing = "Nothing to draw: no value among those shown has a printed or recorded one to be held against.";
  $("#scatter .panels").replaceChildren(panels.length ? make("p", { class: "key" }, key) : make("p", { class: "missing" }, nothing), ...panels);
}

/** The losses of trainings that differ in nothing but their seeds. */
function curvesChart(curves) {
  const title = `${curves[0].title}, ${curves[0].cut}`;
  const positive = curves.filter((curve) => curve.loss.every((loss) => loss == null || loss > 0));
  const logarithmic = Boolean(state.log) && positive.length > 0, used = logarithmic ? positive : curves;
  const losses = used.flatMap((curve) => curve.loss).filter((loss) => loss != null);
  if (!losses.length) return make("div", { class: "panel" }, make("h4", {}, title), make("p", { class: "missing" }, "No loss is written yet."));
  const height = 260;
  return chart({
    title, height, logarithmic, x: [0, Math.max(...used.map((curve) => curve.of))], y: range(losses, { logarithmic }), across: "epoch",
    about: `loss${logarithmic ? ", logarithmic" : ""}; ${used.length} ${used.length === 1 ? "training" : "trainings"}`,
    draw(svg, toX, toY) {
      for (const border of unique(used.flatMap((curve) => curve.borders))) {
        svg.append(make("svg:line", { class: "border", x1: toX(border), x2: toX(border), y1: TOP, y2: height - BOTTOM }));
      }
      return used.flatMap((curve) => {
        const points = curve.epochs.map((epoch, k) => ({ x: epoch, y: curve.loss[k] })).filter(({ y }) => y != null), last = points.at(-1);
        if (!last) return [];
        const unfinished = ["running", "stopped"].includes(curve.state), colour = `series${curve.seed % COLOURS}`;
        // Losses of two objectives do not compare, so that no line leads from one to the other.
        const leaps = new Set([0, ...curve.borders.map((border) => points.findIndex(({ x }) => x > border))]);
        const d = points.map(({ x, y }, k) => `${leaps.has(k) ? "M" : "L"}${toX(x).toFixed(1)},${toY(y).toFixed(1)}`).join("");
        const mark = make("svg:path", { class: `curve ${colour} ${unfinished ? "unfinished" : curve.state}`, d });
        svg.append(mark);
        if (unfinished || points.length === 1) svg.append(make("svg:circle", { class: `last ${colour}`, cx: toX(last.x), cy: toY(last.y), r: 3.5 }));
        const said = unfinished ? `, ${curve.state}: ${last.x} of ${curve.of} epochs` : curve.state === "recorded" ? ", recorded" : "";
        return points.map(({ x, y }) => ({ x, y, mark, text: `${curve.title}, seed ${curve.seed}${said}; epoch ${x}: ${short(y)}` }));
      });
    },
  });
}

const byKey = (curves) => unique(curves.map((curve) => curve.key)).map((key) => curves.filter((curve) => curve.key === key));

let allPanels = false;
function drawCurves() {
  const all = !["q", "paper", "dataset", "method", "status", "values"].some((field) => state[field]);
  const used = new Set(all ? CURVES.keys() : visible.flatMap((i) => P.cells[i]).flatMap((cell) => CELLS[cell].curves));
  const runs = (curves) => curves.some((curve) => curve.state === "running");
  const sets = byKey(CURVES.filter((_, at) => used.has(at))).sort((a, b) => runs(b) - runs(a));
  const panels = sets.slice(0, allPanels ? sets.length : PANELS).map(curvesChart);
  const nothing = CURVES.length ? "No training of what is shown has a curve." : "No training has written its losses yet.";
  const more = () => {
    allPanels = true;
    drawCurves();
  };
  if (sets.length > panels.length) panels.push(make("button", { type: "button", click: more }, `All ${sets.length} charts`));
  if (!sets.length) panels.push(make("p", { class: "missing" }, nothing));
  $("#curves .panels").replaceChildren(...panels);
}

// -------------------------------------------------------------------------------------------------- the list of all values

const shown = (side) => (i) => (P[side][i] == null ? "" : number(i, P[side][i]));
/** Columns of the list: title, what it is sorted by, and what it shows if that is something else. */
const LIST = [
  ["Method", (i) => word(P.row[i])], ["Column", (i) => word(P.column[i])], ["Metric", (i) => word(P.metric[i])],
  ["Printed", (i) => P.published[i], shown("published")], ["Recorded", (i) => P.recorded[i], shown("recorded")],
  ["Here", (i) => P.computed[i], shown("computed")],
  ["Difference", (i) => difference[latest(i)](i), (i) => {
    const value = difference[latest(i)](i);
    return value == null ? "" : make("span", { class: tint(shade[latest(i)](i)) }, signed(value, P.decimals[i]));
  }],
  ["Status", (i) => STATUSES[i].join(", ")], ["Group", (i) => word(P.group[i])], ["Table", (i) => shortTitle(TABLES[P.table[i]])],
  ["Paper", (i) => TABLES[P.table[i]].short],
];
let listed = [], listOrder = null, drawnLines = LINES;

function drawList() {
  listed = listOrder ? [...visible].sort(ordered(LIST[listOrder.column][1], listOrder.sign, (i) => i)) : visible;
  const line = (i, at) => make("tr", {}, LIST.map(([title, value, show]) => {
    if (title === "Method") return make("th", { class: "stub row", scope: "row" }, value(i));
    const place = title === "Here" ? { "data-i": i, tabindex: at ? -1 : 0 } : {};
    return make("td", { class: show ? null : "text", ...place }, show ? show(i) || (title === "Here" ? "—" : "") : value(i));
  }));
  $("#values tbody").replaceChildren(...listed.slice(0, drawnLines).map(line));
  $$("#values thead th").forEach((cell, at) => {
    cell.setAttribute("aria-sort", listOrder?.column !== at ? "none" : listOrder.sign > 0 ? "ascending" : "descending");
  });
  $("#more").hidden = listed.length <= drawnLines;
}

function prepareList() {
  const press = (column) => {
    const first = LIST[column][2] ? -1 : 1;
    listOrder = listOrder?.column !== column ? { column, sign: first } : listOrder.sign === first ? { column, sign: -first } : null;
    drawList();
  };
  $("#values thead tr").append(...LIST.map(([title, , show], column) =>
    make("th", { scope: "col", class: show ? "inner" : "stub" }, make("button", { type: "button", click: () => press(column) }, title))));
  $("#more").addEventListener("click", () => { drawnLines += LINES; drawList(); });
  $("#csv").addEventListener("click", () => {
    const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const lines = [LIST.map(([title]) => title.toLowerCase()), ...listed.map((i) => LIST.map(([, value]) => String(value(i) ?? "")))];
    const url = URL.createObjectURL(new Blob(lines.map((line) => `${line.map(quoted).join(",")}\n`), { type: "text/csv" }));
    make("a", { href: url, download: "values.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
}

// -------------------------------------------------------------------------------------------------- the drawer: what is known of a value

const drawer = $("#drawer");
const folded = (title, open, ...children) => make("details", { open }, make("summary", {}, title), ...children);
const several = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function sideOf(i, side) {
  const value = P[side][i], small = (text) => make("small", {}, text);
  if (side === "published") return [make("b", {}, word(P.published_text[i]) || number(i, value)), small("as printed")];
  if (value == null) return [make("span", { class: "missing" }, "—"), small(side === "recorded" ? "no record" : "not computed")];
  const std = P[`${side}_std`][i], away = difference[side](i);
  const [seeds, status, on] = side === "recorded" ? [P.recorded_seeds[i], P.recorded_status[i], P.recorded_on[i]] : [P.seeds[i], P.status[i], null];
  return [
    make("b", {}, number(i, value)), std == null ? "" : ` ± ${number(i, std)}`,
    ...(away == null ? [] : [" ", make("span", { class: tint(shade[side](i)) }, signed(away, P.decimals[i]))]),
    small(`${several(seeds, "seed")}; ${word(status)}`), on == null ? "" : small(word(on)),
  ];
}

function trainingOf(cell, known) {
  const facts = Object.entries(cell.provenance), log = DATA.logs[cell.log];
  const ratio = cell.ratio == null ? "" : `ratio ${short(cell.ratio)}`;
  const about = [word(cell.title), word(cell.dataset), ratio, `seed ${cell.seed}`].filter(Boolean).join(", ");
  const list = facts.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, String(value))]);
  return make("div", { class: "training" },
    make("div", {}, make("span", { class: `state ${cell.state}` }, cell.state), ` ${about}`),
    cell.why && cell.why !== known ? make("p", {}, cell.why) : "",
    facts.length ? folded("Provenance", false, make("dl", { class: "facts" }, list)) : "",
    log ? folded(`End of ${log.path}`, cell.state === "failed", make("pre", { tabindex: 0 }, log.tail)) : "");
}

/** A table for each stretch of a training; a setting is its stretch, name, value, origin and where that stands. */
function settingsOf(settings) {
  const head = make("tr", {}, ["setting", "value", "origin", "where"].map((title) => make("th", { scope: "col" }, title)));
  const line = ([, name, value, origin, where]) => make("tr", {},
    make("td", {}, make("code", {}, name)), make("td", {}, value), make("td", {}, make("span", { class: "origin" }, origin)), make("td", {}, where));
  const read = settings.map((setting) => setting.map(word));
  return unique(read.map(([training]) => training)).map((training) => folded(training, false,
    make("table", {}, make("thead", {}, head.cloneNode(true)), make("tbody", {}, read.filter(([of]) => of === training).map(line)))));
}

function pointOf({ heading, kind, text }) {
  const head = [make("b", {}, heading), " ", make("span", { class: "origin" }, word(kind))];
  return make("div", { class: "point-of-difference" }, head, make("p", {}, text));
}

function openDrawer(i) {
  const table = TABLES[P.table[i]], cells = P.cells[i].map((cell) => CELLS[cell]), printed = P.published[i] != null;
  const all = (name, values) => unique(cells.flatMap((cell) => cell[name] ?? [])).map((at) => values[at]);
  const part = (title, children) => (children.length ? [make("h3", {}, title), ...children] : []);
  const trainings = cells.map((cell) => trainingOf(cell, word(P.reason[i]))), rest = trainings.splice(6), curves = all("curves", CURVES);
  const rule = [
    P.tolerance[i] == null ? "" : `Reproduced means at most ${short(P.tolerance[i])} away from the printed value.`,
    printed && P.scale[i] != null ? `One spread (a shade of colour) is ${short(P.scale[i])}.` : "",
  ].filter(Boolean).join(" ");
  const sides = ["published", "recorded", "computed"].filter((side) => side !== "published" || printed);
  const copied = async ({ target }) => {
    await navigator.clipboard.writeText(location.href);
    target.textContent = "Copied";
  };
  const copy = navigator.clipboard ? make("button", { type: "button", click: copied }, "Copy link") : "";
  const close = make("button", { type: "button", "aria-label": "Close", autofocus: true, click: () => drawer.close() }, "✕");
  drawer.replaceChildren(
    make("div", { class: "top" }, make("h2", { id: "drawer-title" }, nameOf(i)), make("div", { class: "actions" }, copy, close)),
    make("p", { class: "amount" }, `${table.title}, in ${word(P.unit[i])}`),
    make("dl", { class: "sides" }, sides.map((side) => make("div", {}, make("dt", {}, WORDS[side]), make("dd", {}, sideOf(i, side))))),
    ...[word(P.reason[i])].filter(Boolean).map((text) => make("p", {}, text)),
    ...[rule].filter(Boolean).map((text) => make("p", { class: "amount" }, text)),
    ...part("Trainings", rest.length ? [...trainings, folded(`${rest.length} more`, false, ...rest)] : trainings),
    ...part("Settings and where they come from", all("settings", DATA.settings).flatMap(settingsOf)),
    ...part("Training curves", curves.length ? [make("div", { class: "panels" }, byKey(curves).map(curvesChart))] : []),
    ...part("Discrepancies that touch it", all("points", DATA.points).map(pointOf)),
    $("#discrepancies") ? make("p", {}, make("a", { href: $("#discrepancies").href }, "All discrepancies")) : "",
  );
  state.cell = `${table.id}.${i - firstOf[P.table[i]]}`;
  writeState();
  if (!drawer.open) drawer.showModal();
  drawer.scrollTop = 0;
}

/** Opens the value that the state names, if there is such a one. */
function openFromState() {
  const [, id, at] = state.cell.match(/^(.*)\.(\d+)$/) ?? [], table = TABLES.findIndex((each) => each.id === id), i = firstOf[table] + Number(at);
  if (table >= 0 && P.table[i] === table) openDrawer(i);
  else state.cell = "";
}

/** The value that an arrow key leads to, over what is hidden or empty. */
function neighbour(cell, key) {
  const way = { ArrowLeft: "previous", ArrowUp: "previous", ArrowRight: "next", ArrowDown: "next" }[key];
  const upright = ["ArrowUp", "ArrowDown"].includes(key), stop = (one) => one?.dataset.i !== undefined && one.checkVisibility();
  for (let at = upright ? cell.parentElement : cell; way && at; ) {
    at = at[`${way}ElementSibling`];
    const found = upright ? at?.cells[cell.cellIndex] : at;
    if (stop(found)) return found;
  }
  return null;
}

function prepareDrawer() {
  drawer.addEventListener("close", () => {
    state.cell = "";
    writeState();
  });
  drawer.addEventListener("click", (event) => event.target === drawer && event.clientX < drawer.getBoundingClientRect().left && drawer.close());
  document.addEventListener("click", (event) => {
    const cell = event.target.closest("td[data-i]");
    if (!cell || getSelection().toString()) return;
    cell.focus();
    openDrawer(Number(cell.dataset.i));
  });
  document.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td[data-i]"), next = cell && neighbour(cell, event.key);
    if (cell && ["Enter", " "].includes(event.key)) openDrawer(Number(cell.dataset.i));
    else if (next) {
      [cell.tabIndex, next.tabIndex] = [-1, 0];
      next.focus();
    } else return;
    event.preventDefault();
  });
}

// -------------------------------------------------------------------------------------------------- together

/** Parts that are drawn when they come into sight, and again when what they show has changed. */
const later = Object.entries({ scatter: drawScatter, curves: drawCurves, values: drawList })
  .map(([id, draw]) => ({ section: $(`#${id}`), draw, seen: false, stale: true }));
function drawStale(part) {
  if (part.stale) part.draw();
  part.stale = false;
}
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const part = later.find((each) => each.section === target);
    part.seen = isIntersecting;
    if (part.seen) drawStale(part);
  }
}, { rootMargin: "600px" });

/** Shows what the state says. */
function refresh(sorted = false) {
  showState();
  filterTables();
  if (sorted) models.forEach(sortTable);
  writeState();
  for (const part of later) {
    part.stale = true;
    if (part.seen) drawStale(part);
  }
}

const models = $$("section.table").map(modelOf), anchor = location.hash.includes("=") ? "" : decodeURIComponent(location.hash.slice(1));
prepareControls();
prepareList();
prepareDrawer();
state = readState();
showState();
filterTables();
models.forEach(sortTable);
for (const part of later) watcher.observe(part.section);
// What a jump passes over has its height only when it is drawn.
for (const link of $$("header nav .scripted")) link.addEventListener("click", () => later.forEach(drawStale));
$("#log").addEventListener("change", ({ target }) => {
  state.log = target.checked ? "1" : "";
  writeState();
  drawCurves();
});
addEventListener("beforeprint", () => {
  later.slice(0, 2).forEach(drawStale);
  for (const notes of $$(".footnotes")) notes.open = true;
});
addEventListener("hashchange", () => {
  if (location.hash && !location.hash.includes("=")) return;   // a link within the page
  state = readState();
  if (!state.cell && drawer.open) drawer.close();
  refresh(true);
  if (state.cell) openFromState();
});
document.getElementById(anchor)?.scrollIntoView();
if (state.cell) openFromState();
