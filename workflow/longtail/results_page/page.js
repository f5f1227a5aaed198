// The page of all results: sorting, filters, charts and the drawer, out of the one block of data. It needs no network and no other script.
(() => {
  "use strict";
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const { places: P, cells: CELLS, tables: TABLES, curves: CURVES } = DATA;
  const COUNT = P.table.length;
  const SERIES = { recorded: "series1", computed: "series0" };   // colours of the points of the scatter
  const PARTS = ["published", "recorded", "computed", "spread", "difference"];
  const WORDS = { published: "printed", recorded: "recorded", computed: "here", difference: "difference" };
  const CHUNK = 100;   // lines of the list, drawn at a time
  const PANELS = 12;   // charts of curves, drawn at a time

  const COLOURS = Number(document.getElementById("curves").dataset.colours);   // there are classes series0, series1, ...
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const word = (index) => (index == null ? "" : DATA.strings[index]);
  const unique = (values) => [...new Set(values)];
  const naturally = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;

  /** An element with its attributes (a function is a listener) and children (text stays text). */
  function make(name, attributes = {}, ...children) {
    const element = name.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4)) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(key, value);
      else if (value != null && value !== false) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child != null && child !== ""));
    return element;
  }

  const fixed = (value, decimals) => value.toFixed(decimals).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
  const signed = (value, decimals) => (Number(value.toFixed(decimals)) === 0 ? "±" : value > 0 ? "+" : "") + fixed(value, decimals);
  const short = (value) => (value == null ? "—" : String(Number(value.toPrecision(4))).replace("-", "−"));
  const difference = { recorded: (i) => P.recorded_difference[i], computed: (i) => P.difference[i] };
  const shade = { recorded: (i) => P.recorded_shade[i], computed: (i) => P.shade[i] };
  const tinted = (step) => (step ? `tint ${step > 0 ? "better" : "worse"}${Math.abs(step)}` : "");
  const printed = (i) => word(P.published_text[i]) || fixed(P.published[i], P.decimals[i]);
  const anyDifference = (i) => difference.computed(i) ?? difference.recorded(i);

  const firstOf = TABLES.map(() => COUNT);
  for (let i = COUNT - 1; i >= 0; i--) firstOf[P.table[i]] = i;
  const nameOf = (i) => {
    const table = TABLES[P.table[i]];
    const place = [word(P.group[i]), word(P.row[i]), word(P.column[i]), word(P.metric[i])].filter(Boolean).join(", ");
    return `${table.short} ${table.title.split(":")[0]}: ${place}`;
  };
  const statusesOf = (i) => {
    const found = [P.computed[i] == null ? null : word(P.status[i]), P.recorded[i] == null ? null : word(P.recorded_status[i])];
    found.push(...stateOf(i));
    return found.every((each) => !each) ? ["missing"] : found.filter(Boolean);
  };
  const stateOf = (i) => ["running", "failed", "damaged"].filter((state) => P.cells[i].some((cell) => CELLS[cell].state === state));
  const STATUSES = P.table.map((_, i) => statusesOf(i));
  const METHODS = P.cells.map((cells, i) => unique(cells.map((cell) => word(CELLS[cell].title))));

  // ------------------------------------------------------------------------------------------------ state

  const form = $("#controls");
  const FIELDS = ["q", "paper", "dataset", "method", "status", "values", "by"];
  const hasComputed = P.computed.some((value) => value != null), hasRecorded = P.recorded.some((value) => value != null);
  const USUAL = ["spread"];   // parts of a cell that are left out unless they are asked for
  const usualKey = hasComputed ? "computed" : hasRecorded ? "recorded" : "published";
  let state;

  const fresh = () => ({ ...Object.fromEntries(FIELDS.map((field) => [field, ""])), by: usualKey, metrics: new Set(), parts: new Set(USUAL), sort: new Map(), cell: "", log: "" });

  /** What the fragment of the address says; metrics and parts are those that are left out. */
  function readState() {
    const given = new URLSearchParams(location.hash.slice(1)), found = fresh();
    for (const field of [...FIELDS, "cell", "log"]) {
      const value = given.get(field), { options } = form.elements[field] || {};
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
    const text = new URLSearchParams();
    for (const field of FIELDS) if (state[field] && !(field === "by" && state.by === usualKey)) text.set(field, state[field]);
    const left = { metrics: [...state.metrics].join("~"), parts: [...state.parts].join("~") };
    if (left.metrics) text.set("metrics", left.metrics);
    if (left.parts !== USUAL.join("~")) text.set("parts", left.parts);
    for (const [table, [column, order]] of state.sort) text.append("sort", [table, column, order].join("~"));
    for (const field of ["log", "cell"]) if (state[field]) text.set(field, state[field]);
    history.replaceState(null, "", `#${text}`);
  }

  /** Controls as the state says. */
  function showState() {
    for (const field of FIELDS) form.elements[field].value = state[field];
    for (const box of $$("#metrics input")) box.checked = !state.metrics.has(box.value);
    for (const box of $$("#parts input")) box.checked = !state.parts.has(box.value);
    for (const part of PARTS) document.body.classList.toggle(`without-${part}`, state.parts.has(part));
    $("#log").checked = Boolean(state.log);
    const hidden = FIELDS.slice(1, 6).some((field) => state[field]) || state.metrics.size;
    $("#choose").textContent = hidden ? "Filters ●" : "Filters";
  }

  function prepareControls() {
    const fill = (name, values) => form.elements[name].append(...values.map(([value, text]) => make("option", { value }, text)));
    const plain = (values) => unique(values).filter(Boolean).sort(naturally).map((value) => [value, value]);
    fill("paper", unique(TABLES.map((table) => table.paper)).map((paper) => [paper, TABLES.find((table) => table.paper === paper).short]));
    fill("dataset", plain(P.dataset.map(word)));
    fill("method", plain(METHODS.flat()));
    fill("status", plain(STATUSES.flat()));
    $("#metrics").append(...unique(models.flatMap((model) => model.columns.map((column) => column.metric))).map((name) => make("label", {}, make("input", { type: "checkbox", value: name, checked: true }), ` ${name}`)));
    for (const part of PARTS.slice(0, 3)) $(`#parts [value=${part}]`).parentElement.hidden = !$(`.${part}-part`);
    for (const side of ["recorded", "computed"]) $(`option[value=${side}]`, form.elements.by).hidden = !P[side].some((value) => value != null);

    const changed = (event) => {
      const box = event.target;
      if (box.type === "checkbox") {
        const left = box.closest("#metrics") ? state.metrics : state.parts;
        box.checked ? left.delete(box.value) : left.add(box.value);
      } else state[box.name] = box.value;
      refresh();
      if (box.name === "by") for (const table of models) sortTable(table);
    };
    form.addEventListener("input", changed);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      state = { ...fresh(), log: state.log };
      refresh();
      for (const table of models) sortTable(table);
    });
    $("#choose").addEventListener("click", () => {
      $("#choices").hidden = !$("#choices").hidden;
      $("#choose").setAttribute("aria-expanded", String(!$("#choices").hidden));
    });
    for (const button of $$("[data-all]")) button.addEventListener("click", () => {
      state.metrics = new Set(button.dataset.all ? [] : $$("#metrics input").map((box) => box.value));
      refresh();
    });
  }

  // ------------------------------------------------------------------------------------------------ tables

  /** What sorting and filtering need to know of a table on the page. */
  function modelOf(section, number) {
    const table = $("table", section), [body] = table.tBodies, head = table.tHead.rows;
    const stub = $$(".stub", head[head.length - 1]).length;
    const rows = [...body.rows].map((row, order) => ({
      row, order,
      stubs: [...row.cells].slice(0, stub).map((cell) => cell.textContent),
      places: [...row.cells].slice(stub).map((cell) => (cell.dataset.i === undefined ? null : Number(cell.dataset.i))),
    }));
    const about = TABLES[number], paper = $(`h2.paper[data-paper="${about.paper}"]`);
    for (const each of rows) {
      const there = each.places.filter((i) => i !== null);
      each.text = [about.short, about.name, about.title, paper.textContent, ...each.stubs, ...unique(there.flatMap((i) => [word(P.column[i]), word(P.dataset[i]), ...METHODS[i]]))].join(" ").toLowerCase();
      for (const [column, i] of each.places.entries()) {
        if (i === null) continue;
        const cell = each.row.cells[stub + column], [mark] = stateOf(i);
        if (mark) cell.dataset.state = mark;
        cell.tabIndex = -1;
      }
    }
    const titles = [...head[head.length - 1].cells], columns = titles.slice(stub).map((cell, column) => ({
      metric: cell.textContent, places: rows.map((each) => each.places[column]).filter((i) => i !== null), shown: true,
    }));
    const model = { section, paper, table, body, head, stub, rows, columns, titles, id: section.id };
    titles.forEach((cell, column) => {
      cell.replaceChildren(make("button", { type: "button", click: () => nextOrder(model, column) }, cell.textContent));
      cell.setAttribute("aria-sort", "none");
    });
    return model;
  }

  /** What a column is sorted by: the side that was chosen, else the first of the others that has a value. */
  function keyOf(column) {
    const sides = unique([state.by, "computed", "recorded", "published"]);
    const key = sides.find((side) => column.places.some((i) => valueFor(side, i) != null)) || state.by;
    return { side: key, value: (i) => valueFor(key, i) };
  }
  const valueFor = (side, i) => (side === "difference" ? anyDifference(i) : P[side][i]);

  /** A heading was pressed: best first (names from A), then the other way round, then the paper's order. */
  function nextOrder(model, column) {
    const of = model.columns[column - model.stub];
    const first = of && (P.better[of.places[0]] ?? 1) > 0 ? "descending" : "ascending";
    const [now, order] = state.sort.get(model.id) || [];
    if (now !== column) state.sort.set(model.id, [column, first]);
    else if (order === first) state.sort.set(model.id, [column, first === "ascending" ? "descending" : "ascending"]);
    else state.sort.delete(model.id);
    sortTable(model);
    writeState();
  }

  function sortTable(model) {
    const [column, order] = state.sort.get(model.id) || [null, "none"];
    const sign = order === "descending" ? -1 : 1;
    let rows = model.rows, said = "in the paper's order";
    if (column !== null && model.titles[column]) {
      const of = model.columns[column - model.stub];
      const key = of && keyOf(of), at = (each) => (of ? (each.places[column - model.stub] === null ? null : key.value(each.places[column - model.stub])) : each.stubs[column]);
      const values = new Map(rows.map((each) => [each, at(each)]));
      rows = [...rows].sort((one, other) => {
        const [a, b] = [values.get(one), values.get(other)];
        if (a == null || b == null) return (a == null) - (b == null) || one.order - other.order;   // what is empty comes last, either way
        return sign * (of ? a - b : naturally(a, b)) || one.order - other.order;
      });
      said = `sorted by ${of ? of.metric : model.titles[column].textContent}${of ? ` (${WORDS[key.side]})` : ""}, ${order}`;
    } else if (!model.table.classList.contains("sorted")) return;
    model.body.append(...rows.map((each) => each.row));
    model.table.classList.toggle("sorted", column !== null);
    model.titles.forEach((cell, at) => cell.setAttribute("aria-sort", at === column ? order : "none"));
    $("#count").textContent = `${TABLES[models.indexOf(model)].title.split(":")[0]} ${said}`;
  }

  /** Whether the chosen status, dataset, method and kind of value are those of a place. */
  function matches(i) {
    return (!state.dataset || word(P.dataset[i]) === state.dataset)
      && (!state.method || METHODS[i].includes(state.method))
      && (!state.status || STATUSES[i].includes(state.status))
      && (!state.values || (P.computed[i] != null || P.recorded[i] != null) === (state.values === "with"));
  }

  let visible = [];   // places that pass all filters, in their order
  function filterTables() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    visible = [];
    let tables = 0, count = 0;
    const papers = new Set();
    models.forEach((model, number) => {
      const wanted = !state.paper || TABLES[number].paper === state.paper;
      model.columns.forEach((column, at) => {
        const shown = !state.metrics.has(column.metric) && (!state.dataset || column.places.some((i) => word(P.dataset[i]) === state.dataset));
        if (shown === column.shown) return;
        column.shown = shown;
        for (const row of [model.titles[0].parentElement, ...model.body.rows]) row.cells[model.stub + at].hidden = !shown;
      });
      let rows = 0;
      for (const each of model.rows) {
        const found = wanted && words.every((part) => each.text.includes(part)) ? each.places.filter((i, column) => i !== null && model.columns[column].shown && matches(i)) : [];
        each.row.hidden = !found.length;
        rows += Boolean(found.length);
        visible.push(...found);
      }
      for (const row of [...model.head].slice(0, -1)) {
        let at = 0;
        for (const cell of [...row.cells].filter((each) => !each.classList.contains("stub"))) {
          const width = Number(cell.dataset.columns ??= cell.colSpan), there = model.columns.slice(at, at + width).filter((column) => column.shown).length;
          cell.hidden = !there;
          cell.colSpan = there || 1;
          at += width;
        }
      }
      const cells = $$("td[data-i]", model.body).filter((cell) => !cell.hidden && !cell.parentElement.hidden);
      if (cells.length && !cells.some((cell) => cell.tabIndex === 0)) cells[0].tabIndex = 0;   // Tab leads to one, arrow keys to the others
      model.section.hidden = !rows;
      tables += Boolean(rows);
      count += rows;
      if (rows) papers.add(model.paper);
    });
    const there = new Set(models.filter((_, number) => !state.paper || TABLES[number].paper === state.paper).flatMap((model) => model.columns.map((column) => column.metric)));
    for (const box of $$("#metrics input")) box.parentElement.hidden = !there.has(box.value);
    for (const heading of $$("h2.paper")) heading.hidden = !papers.has(heading);
    for (const figure of $$("figure")) figure.hidden = Boolean(state.paper) && figure.dataset.paper !== state.paper;
    $("#nothing").hidden = !models.length || tables > 0;
    $("#count").textContent = `${tables} of ${models.length} tables, ${count} rows`;
    visible.sort((a, b) => a - b);
  }

  // ------------------------------------------------------------------------------------------------ charts

  const WIDTH = 340, HEIGHT = 260, LEFT = 44, RIGHT = 10, TOP = 8, BOTTOM = 34;

  /** Where an axis is marked, and with what. */
  function ticks([low, high], log) {
    if (log) {
      const powers = Array.from({ length: Math.ceil(Math.log10(high)) - Math.floor(Math.log10(low)) + 1 }, (_, k) => 10 ** (Math.floor(Math.log10(low)) + k));
      const within = (values) => values.filter((value) => value >= low && value <= high);
      const fine = within(powers.flatMap((power) => [power, 2 * power, 5 * power]));
      return (fine.length > 7 ? within(powers) : fine).map((value) => [value, short(value)]);
    }
    const raw = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw), decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, k) => [(first + k) * step, fixed((first + k) * step, decimals)]);
  }

  /** From the least to the largest value, with a margin. */
  function range(values, log, margin = 0) {
    const low = Math.min(...values), high = Math.max(...values), wider = Math.max(margin, (high - low) * 0.05 || 1);
    return log ? [low / 1.1, high * 1.1] : [low - wider, high + wider];
  }

  /** A chart with its axes. `targets` are what pointer and arrow keys find: {x, y, text, mark?, open?}. */
  function chart({ title, x, y, log = false, labels, height = HEIGHT, draw, targets }) {
    const scale = ([low, high], from, to, logarithmic) => (value) => {
      const f = logarithmic ? Math.log10 : (each) => each;
      return from + ((f(value) - f(low)) / (f(high) - f(low))) * (to - from);
    };
    const across = scale(x, LEFT, WIDTH - RIGHT, false), up = scale(y, height - BOTTOM, TOP, log);
    const svg = make("svg:svg", { viewBox: `0 0 ${WIDTH} ${height}`, tabindex: 0, role: "application", "aria-label": `${title}. Arrow keys go from one point to the next, Enter opens it.` });
    for (const [value, label] of ticks(y, log)) svg.append(make("svg:line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: up(value), y2: up(value) }), make("svg:text", { x: LEFT - 5, y: up(value) + 4, "text-anchor": "end" }, label));
    for (const [value, label] of ticks(x)) svg.append(make("svg:line", { class: "axis", x1: across(value), x2: across(value), y1: height - BOTTOM, y2: height - BOTTOM + 4 }), make("svg:text", { x: across(value), y: height - BOTTOM + 16, "text-anchor": "middle" }, label));
    svg.append(make("svg:text", { x: WIDTH - RIGHT, y: height - 3, "text-anchor": "end" }, labels[0]));
    draw(svg, across, up);
    const ring = make("svg:circle", { class: "ring", r: 6, visibility: "hidden" }), said = make("output", {}, labels[1]);
    svg.append(ring);
    const spots = targets.map((target) => ({ ...target, px: across(target.x), py: up(target.y) }));
    let at = -1;
    const show = (number) => {
      spots[at]?.mark?.classList.remove("near");
      at = number;
      const spot = spots[at];
      said.textContent = spot.text;
      ring.setAttribute("cx", spot.px);
      ring.setAttribute("cy", spot.py);
      ring.setAttribute("visibility", "visible");
      spot.mark?.classList.add("near");
    };
    const near = (event) => {
      const box = svg.getBoundingClientRect(), px = ((event.clientX - box.left) / box.width) * WIDTH, py = ((event.clientY - box.top) / box.height) * height;
      let best = -1, least = 40 ** 2;
      spots.forEach((spot, number) => {
        const away = (spot.px - px) ** 2 + (spot.py - py) ** 2;
        if (away < least) [best, least] = [number, away];
      });
      if (best >= 0) show(best);
      return best;
    };
    svg.addEventListener("pointermove", near);
    svg.addEventListener("click", (event) => near(event) >= 0 && spots[at].open?.());
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step && spots.length) show((at + step + spots.length) % spots.length);
      else if (event.key === "Enter" && at >= 0) spots[at].open?.();
      else return;
      event.preventDefault();
    });
    return make("div", { class: "panel" }, make("h4", {}, title), svg, said);
  }

  const square = (x, y, r) => ({ x: x - r, y: y - r, width: 2 * r, height: 2 * r });
  function drawScatter() {
    const panels = $("#scatter .panels"), sets = new Map();
    for (const i of visible) {
      const against = P.published[i] != null ? "published" : "recorded";
      for (const side of ["recorded", "computed"]) {
        if (side === against || P[against][i] == null || P[side][i] == null || state.parts.has(side)) continue;
        const key = `${TABLES[P.table[i]].paper} ${P.unit[i]} ${against}`;
        if (!sets.has(key)) sets.set(key, []);
        sets.get(key).push({ i, side, against, x: P[against][i], y: P[side][i] });
      }
    }
    panels.replaceChildren(...[...sets.values()].map((points) => {
      const [{ i, against }] = points, domain = range(points.flatMap((point) => [point.x, point.y]), false, Math.max(...points.map((point) => P.scale[point.i] ?? 0))), reference = WORDS[against];
      const targets = points.sort((a, b) => a.x - b.x).map((point) => {
        const written = (value) => fixed(value, P.decimals[point.i]);
        return { ...point, open: () => openDrawer(point.i), text: `${nameOf(point.i)}: ${reference} ${written(point.x)}, ${WORDS[point.side]} ${written(point.y)} (${signed(point.y - point.x, P.decimals[point.i])})` };
      });
      return chart({
        title: `${TABLES[P.table[i]].short}, ${word(P.unit[i])}`, x: domain, y: domain, labels: [reference, `up: ${against === "published" ? "reproduced" : "here"}, right: ${reference}`], height: WIDTH, targets,
        draw: (svg, across, up) => {
          svg.append(make("svg:line", { class: "diagonal", x1: across(domain[0]), y1: up(domain[0]), x2: across(domain[1]), y2: up(domain[1]) }));
          svg.append(...targets.map(({ x, y, side }) => side === "recorded"
            ? make("svg:rect", { class: `point ${SERIES.recorded}`, ...square(across(x), up(y), 3) })
            : make("svg:circle", { class: `point ${SERIES.computed}`, cx: across(x), cy: up(y), r: 3.4 })));
        },
      });
    }));
    const key = (name, shape) => make("span", {}, make("svg:svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, shape), ` ${name}`);
    if (sets.size) panels.prepend(make("p", { class: "key", style: "grid-column: 1/-1" }, key("recorded", make("svg:rect", { class: `point ${SERIES.recorded}`, ...square(5, 5, 4) })), key("computed here", make("svg:circle", { class: `point ${SERIES.computed}`, cx: 5, cy: 5, r: 4.5 }))));
    else panels.append(make("p", { class: "missing" }, "Nothing to draw: no value among those shown has a printed or recorded one to be held against."));
  }

  /** The curves of one training by seed. */
  function curvesPanel(curves) {
    const shown = state.log ? curves.filter((curve) => curve.loss.every((value) => value == null || value > 0)) : curves;
    const log = Boolean(state.log) && shown.length > 0, used = log ? shown : curves;
    const losses = used.flatMap((curve) => curve.loss).filter((value) => value != null);
    if (!losses.length) return make("div", { class: "panel" }, make("h4", {}, used[0].title), make("p", { class: "missing" }, "No loss is written yet."));
    const targets = [];
    return chart({
      title: `${used[0].title}, ${used[0].cut}`, x: [0, Math.max(...used.map((curve) => curve.of))], y: range(losses, log), log,
      labels: ["epoch", `loss${log ? ", logarithmic" : ""}; ${used.length} ${used.length === 1 ? "training" : "trainings"}`], targets,
      draw: (svg, across, up) => {
        for (const border of unique(used.flatMap((curve) => curve.borders))) svg.append(make("svg:line", { class: "border", x1: across(border), x2: across(border), y1: TOP, y2: HEIGHT - BOTTOM }));
        for (const curve of used) {
          const open = ["running", "stopped"].includes(curve.state), colour = `series${curve.seed % COLOURS}`;
          const points = curve.epochs.map((epoch, k) => [epoch, curve.loss[k]]).filter(([, loss]) => loss != null);
          if (!points.length) continue;
          // Losses of two objectives do not compare, so that no line leads from one to the other.
          const leaps = new Set(curve.borders.map((border) => points.findIndex(([epoch]) => epoch > border)));
          const line = points.map(([epoch, loss], k) => `${k === 0 || leaps.has(k) ? "M" : "L"}${across(epoch).toFixed(1)},${up(loss).toFixed(1)}`).join("");
          const mark = make("svg:path", { class: `curve ${colour}${open ? " open" : curve.state === "recorded" ? " recorded" : ""}`, d: line });
          svg.append(mark);
          const [x, y] = points[points.length - 1];
          if (open || points.length === 1) svg.append(make("svg:circle", { class: `last ${colour}`, cx: across(x), cy: up(y), r: 3.5 }));
          const about = `${curve.title}, seed ${curve.seed}${open ? `, ${curve.state}: ${x} of ${curve.of} epochs` : curve.state === "recorded" ? ", recorded" : ""}`;
          targets.push(...points.map(([epoch, loss]) => ({ x: epoch, y: loss, mark, text: `${about}; epoch ${epoch}: ${short(loss)}` })));
        }
      },
    });
  }

  function panelsOf(curves) {
    const sets = new Map(curves.map((curve) => [curve.key, []]));
    for (const curve of curves) sets.get(curve.key).push(curve);
    return [...sets.values()];
  }

  let drawnPanels = PANELS;
  function drawCurves() {
    const everywhere = !["q", "paper", "dataset", "method", "status", "values"].some((field) => state[field]);
    const used = new Set(everywhere ? CURVES.keys() : visible.flatMap((i) => P.cells[i].flatMap((cell) => CELLS[cell].curves)));
    const sets = panelsOf(CURVES.filter((_, number) => used.has(number)));
    const running = (curves) => curves.some((curve) => curve.state === "running");
    sets.sort((a, b) => running(b) - running(a));
    const panels = $("#curves .panels");
    panels.replaceChildren(...sets.slice(0, drawnPanels).map(curvesPanel));
    if (!sets.length) panels.append(make("p", { class: "missing" }, CURVES.length ? "No training of what is shown has a curve." : "No training has written its losses yet."));
    if (sets.length > drawnPanels) panels.append(make("button", { type: "button", click: () => { drawnPanels = Infinity; drawCurves(); } }, `All ${sets.length} charts`));
  }

  // ------------------------------------------------------------------------------------------------ the list of all values

  const LIST = [
    ["Paper", (i) => TABLES[P.table[i]].short], ["Table", (i) => TABLES[P.table[i]].title.split(":")[0]], ["Group", (i) => word(P.group[i])], ["Method", (i) => word(P.row[i])],
    ["Column", (i) => word(P.column[i])], ["Metric", (i) => word(P.metric[i])], ["Printed", (i) => P.published[i]], ["Recorded", (i) => P.recorded[i]], ["Here", (i) => P.computed[i]],
    ["Difference", anyDifference], ["Status", (i) => STATUSES[i].join(", ")],
  ];
  const NUMBERS = 6;   // the first column of the list that holds numbers
  let listed = [], listOrder = null, drawnLines = CHUNK;

  function drawList() {
    const [column, sign] = listOrder || [0, 0];
    listed = [...visible];
    if (sign) {
      const of = LIST[column][1];
      listed.sort((a, b) => {
        const [one, other] = [of(a), of(b)];
        if (one == null || other == null) return (one == null) - (other == null) || a - b;
        return sign * (typeof one === "number" ? one - other : naturally(one, other)) || a - b;
      });
    }
    const number = (i, value, at) => (at === NUMBERS + 3 ? signed(value, P.decimals[i]) : fixed(value, P.decimals[i]));
    const side = (i, at) => (at === NUMBERS + 3 ? (difference.computed(i) != null ? "computed" : "recorded") : null);
    $("#values tbody").replaceChildren(...listed.slice(0, drawnLines).map((i, line) => make("tr", {}, LIST.map(([, of], at) => {
      const value = of(i);
      if (at < NUMBERS || typeof value === "string") return make(at === 3 ? "th" : "td", at === 3 ? { class: "stub row", scope: "row" } : { style: "text-align: left" }, value || "");
      const text = value == null ? "" : number(i, value, at);
      return make("td", at === NUMBERS + 2 ? { "data-i": i, tabindex: line ? -1 : 0 } : {}, side(i, at) && text ? make("span", { class: tinted(shade[side(i, at)](i)) }, text) : text || (at === NUMBERS + 2 ? "—" : ""));
    }))));
    $$("#values thead th").forEach((cell, at) => cell.setAttribute("aria-sort", sign && at === column ? (sign > 0 ? "ascending" : "descending") : "none"));
    $("#more").hidden = listed.length <= drawnLines;
  }

  function prepareList() {
    $("#values thead tr").append(...LIST.map(([name], at) => make("th", { scope: "col", class: at < NUMBERS || at === LIST.length - 1 ? "stub" : "inner" }, make("button", {
      type: "button",
      click: () => {
        const start = at < NUMBERS ? 1 : -1, [now, sign] = listOrder || [];
        listOrder = now !== at ? [at, start] : sign === start ? [at, -start] : null;
        drawList();
      },
    }, name))));
    $("#more").addEventListener("click", () => { drawnLines += CHUNK; drawList(); });
    $("#csv").addEventListener("click", () => {
      const quoted = (value) => (value == null ? "" : /[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
      const lines = [LIST.map(([name]) => name.toLowerCase()), ...listed.map((i) => LIST.map(([, of]) => of(i)))];
      const url = URL.createObjectURL(new Blob([lines.map((line) => line.map(quoted).join(",") + "\n").join("")], { type: "text/csv" }));
      make("a", { href: url, download: "values.csv" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
  }

  // ------------------------------------------------------------------------------------------------ the drawer

  const drawer = $("#drawer");
  const folded = (title, open, ...children) => make("details", { open }, make("summary", {}, title), ...children);

  function sideOf(i, side) {
    const decimals = P.decimals[i], value = P[side][i];
    if (side === "published") return value == null ? null : [make("b", {}, printed(i)), make("small", {}, "as printed")];
    if (value == null) return [make("span", { class: "missing" }, "—"), make("small", {}, side === "recorded" ? "no record" : "not computed")];
    const std = P[`${side}_std`][i], away = difference[side](i), seeds = side === "recorded" ? P.recorded_seeds[i] : P.seeds[i];
    return [
      make("b", {}, fixed(value, decimals)), std == null ? "" : make("span", { class: "sd" }, ` ± ${fixed(std, decimals)}`),
      away == null ? "" : make("span", { class: "away" }, " ", make("span", { class: tinted(shade[side](i)) || null }, signed(away, decimals))),
      make("small", {}, `${seeds} ${seeds === 1 ? "seed" : "seeds"}; ${word(side === "recorded" ? P.recorded_status[i] : P.status[i])}`),
      side === "recorded" && P.recorded_on[i] != null ? make("small", {}, word(P.recorded_on[i])) : "",
    ];
  }

  function trainingOf(cell) {
    const facts = Object.entries(cell.provenance), log = cell.log == null ? null : DATA.logs[cell.log];
    return make("div", { class: "training" },
      make("div", {}, make("span", { class: `state ${cell.state}` }, cell.state), ` ${word(cell.title)}, ${word(cell.dataset)}${cell.ratio == null ? "" : `, ratio ${short(cell.ratio)}`}, seed ${cell.seed}`),
      cell.why ? make("p", {}, cell.why) : "",
      facts.length ? folded("Provenance", false, make("dl", { class: "facts" }, facts.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, String(value))]))) : "",
      log ? folded(`End of ${log.path}`, cell.state === "failed", make("pre", { tabindex: 0 }, log.tail)) : "");
  }

  function settingsOf(settings) {
    const line = (one) => make("tr", {}, make("td", {}, make("code", {}, one.name)), make("td", {}, one.value), make("td", {}, make("span", { class: "origin" }, one.origin)), make("td", {}, one.where || ""));
    return unique(settings.map((one) => one.training)).map((training) => folded(training, false, make("table", {},
      make("thead", {}, make("tr", {}, ["setting", "value", "origin", "where"].map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", {}, settings.filter((one) => one.training === training).map(line)))));
  }

  function openDrawer(i) {
    const cells = P.cells[i].map((cell) => CELLS[cell]), some = (title, children) => (children.length ? [make("h3", {}, title), ...children] : []);
    const settings = unique(cells.map((cell) => cell.settings).filter((one) => one != null)), points = unique(cells.flatMap((cell) => cell.points));
    const curves = unique(cells.flatMap((cell) => cell.curves)).map((number) => CURVES[number]);
    const rule = [
      P.tolerance[i] == null ? "" : `Reproduced means at most ${short(P.tolerance[i])} away from the printed value.`,
      P.scale[i] == null || P.published[i] == null ? "" : `One spread, of which each shade of colour is one more, is ${short(P.scale[i])}.`,
    ].filter(Boolean).join(" ");
    const sides = ["published", "recorded", "computed"].map((side) => [side, sideOf(i, side)]).filter(([, shown]) => shown);
    const trainings = cells.map(trainingOf);
    const copy = make("button", { type: "button", click: () => navigator.clipboard?.writeText(location.href).then(() => { copy.textContent = "Copied"; }) }, "Copy link");
    drawer.replaceChildren(
      make("div", { class: "top" }, make("h2", { id: "drawer-title" }, nameOf(i)), make("div", { class: "actions" }, navigator.clipboard ? copy : "", make("button", { type: "button", "aria-label": "Close", autofocus: true, click: () => drawer.close() }, "✕"))),
      make("p", { class: "amount" }, `${TABLES[P.table[i]].title}, in ${word(P.unit[i])}`),
      make("dl", { class: "sides" }, sides.map(([side, shown]) => make("div", {}, make("dt", {}, WORDS[side]), make("dd", {}, shown)))),
      word(P.reason[i]) ? make("p", {}, word(P.reason[i])) : "", rule ? make("p", { class: "amount" }, rule) : "",
      ...some("Trainings", trainings.length > 6 ? [...trainings.slice(0, 5), folded(`${trainings.length - 5} more`, false, ...trainings.slice(5))] : trainings),
      ...some("Settings and where they come from", settings.flatMap((number) => settingsOf(DATA.settings[number]))),
      ...some("Training curves", curves.length ? [make("div", { class: "panels" }, panelsOf(curves).map(curvesPanel))] : []),
      ...some("Discrepancies that touch it", points.map((number) => make("div", { class: "point-of-difference" }, make("b", {}, DATA.points[number].heading), " ", make("span", { class: "origin" }, word(DATA.points[number].kind)), make("p", {}, DATA.points[number].text)))),
    );
    drawer.scrollTop = 0;
    state.cell = `${TABLES[P.table[i]].id}.${i - firstOf[P.table[i]]}`;
    writeState();
    if (!drawer.open) drawer.showModal();
  }

  function openFromState() {
    const [, id, number] = state.cell.match(/^(.*)\.(\d+)$/) || [], table = TABLES.findIndex((each) => each.id === id);
    const i = firstOf[table] + Number(number);
    if (table >= 0 && P.table[i] === table) openDrawer(i);
    else state.cell = "";
  }

  function prepareDrawer() {
    drawer.addEventListener("close", () => { state.cell = ""; writeState(); });
    drawer.addEventListener("click", (event) => event.target === drawer && event.clientX < drawer.getBoundingClientRect().left && drawer.close());
    document.addEventListener("click", (event) => {
      const cell = event.target.closest("td[data-i]");
      if (cell && !getSelection().toString()) { cell.focus(); openDrawer(Number(cell.dataset.i)); }
    });
    document.addEventListener("keydown", (event) => {
      const cell = event.target.closest?.("td[data-i]");
      if (!cell) return;
      if (event.key === "Enter" || event.key === " ") openDrawer(Number(cell.dataset.i));
      else {
        const next = neighbour(cell, event.key);
        if (!next) return;
        cell.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      }
      event.preventDefault();
    });
  }

  /** The value that an arrow key leads to, over what is hidden or empty. */
  function neighbour(cell, key) {
    const [ways, down] = [{ ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }, { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }];
    const there = (one) => one?.dataset.i !== undefined && !one.hidden && !one.parentElement.hidden;
    if (ways[key]) {
      let one = cell[ways[key]];
      while (one && !there(one)) one = one[ways[key]];
      return one;
    }
    if (!down[key]) return null;
    let row = cell.parentElement[down[key]];
    while (row && !there(row.cells[cell.cellIndex])) row = row[down[key]];
    return row?.cells[cell.cellIndex];
  }

  // ------------------------------------------------------------------------------------------------ together

  /** Parts that are drawn when they come into sight, and again when what they show changes. */
  const later = [["#scatter", drawScatter], ["#curves", drawCurves], ["#values", drawList]].map(([selector, draw]) => ({ section: $(selector), draw, seen: false, stale: true }));
  const drawStale = (part) => {
    if (!part.stale) return;
    part.stale = false;
    part.draw();
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const part = later.find((each) => each.section === entry.target);
      part.seen = entry.isIntersecting;
      if (part.seen) drawStale(part);
    }
  }, { rootMargin: "600px" });

  for (const link of $$("header nav .scripted")) link.addEventListener("click", () => later.forEach(drawStale));   // what a jump passes has its height then

  function refresh() {
    showState();
    filterTables();
    writeState();
    for (const part of later) {
      part.stale = true;
      if (part.seen) drawStale(part);
    }
  }

  const anchor = location.hash.includes("=") ? "" : location.hash;
  const models = $$("section.table").map(modelOf);
  prepareControls();
  prepareList();
  prepareDrawer();
  state = readState();
  showState();
  filterTables();
  for (const model of models) sortTable(model);
  for (const part of later) watcher.observe(part.section);
  $("#log").addEventListener("change", (event) => { state.log = event.target.checked ? "1" : ""; writeState(); drawCurves(); });
  addEventListener("beforeprint", () => {
    later.slice(0, 2).forEach(drawStale);
    for (const details of $$(".footnotes")) details.open = true;
  });
  addEventListener("hashchange", () => {
    if (location.hash && !location.hash.includes("=")) return;   // an anchor of this page
    state = readState();
    refresh();
    for (const model of models) sortTable(model);
    if (state.cell) openFromState();
    else if (drawer.open) drawer.close();
  });
  if (anchor) document.getElementById(decodeURIComponent(anchor.slice(1)))?.scrollIntoView();
  if (state.cell) openFromState();
})();
