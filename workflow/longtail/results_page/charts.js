// Elements, numbers as people read them, and one kind of chart: SVG with axes, in which pointer and arrow keys find what is drawn.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const unique = (values) => [...new Set(values)];

/** An element with its attributes (a function is a listener) and children (text stays text; what is empty is left out). */
function make(name, attributes = {}, ...children) {
  const [drawn, tag] = name.startsWith("svg:") ? [true, name.slice(4)] : [false, name];
  const element = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value != null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== ""));
  return element;
}

const fixed = (value, decimals) => value.toFixed(decimals).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
const signed = (value, decimals) => (Number(value.toFixed(decimals)) === 0 ? "±" : value > 0 ? "+" : "") + fixed(value, decimals);
const short = (value) => String(Number(value.toPrecision(4))).replace("-", "−");

const WIDTH = 340, LEFT = 44, RIGHT = 10, TOP = 8, BOTTOM = 34;   // of a chart and its margins, in units of its view box
const REACH = 40;   // how far from the pointer something is found

/** Where an axis from `low` to `high` is marked, and with what. */
function ticks([low, high], logarithmic) {
  if (logarithmic) {
    const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
    const powers = Array.from({ length: last - first + 1 }, (_, k) => 10 ** (first + k));
    const within = (values) => values.filter((value) => value >= low && value <= high);
    const fine = within(powers.flatMap((power) => [power, 2 * power, 5 * power]));
    return (fine.length > 7 ? within(powers) : fine).map((value) => [value, short(value)]);
  }
  const wanted = (high - low) / 6, power = 10 ** Math.floor(Math.log10(wanted));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= wanted);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, k) => [(first + k) * step, fixed((first + k) * step, decimals)]);
}

/** From the least to the largest value, with room on both sides. */
function range(values, { logarithmic = false, room = 0 } = {}) {
  const low = Math.min(...values), high = Math.max(...values), wider = Math.max(room, (high - low) * 0.05 || 1);
  return logarithmic ? [low / 1.1, high * 1.1] : [low - wider, high + wider];
}

/** From a range to a stretch of the view box. */
function scale([low, high], [from, to], logarithmic) {
  const f = logarithmic ? Math.log10 : (value) => value;
  return (value) => from + ((f(value) - f(low)) / (f(high) - f(low))) * (to - from);
}

/**
 * A chart with its title above, and below it what is nearest to the pointer.
 *
 * `x` and `y` are ranges, `across` names the former, `about` says what is drawn; `draw(svg, toX, toY)` draws it and returns what can be found:
 * `{x, y, text, mark, open}`, of which `mark` is an element to be brought out and `open` is called on a click.
 */
function chart({ title, x, y, logarithmic = false, across, about, height, draw }) {
  const bottom = height - BOTTOM, right = WIDTH - RIGHT;
  const toX = scale(x, [LEFT, right], false), toY = scale(y, [bottom, TOP], logarithmic);
  const svg = make("svg:svg", {
    viewBox: `0 0 ${WIDTH} ${height}`, tabindex: 0, role: "application",
    "aria-label": `${title}. Arrow keys go from one point to the next, Enter opens it.`,
  });
  for (const [value, label] of ticks(y, logarithmic)) {
    svg.append(make("svg:line", { class: "axis", x1: LEFT, x2: right, y1: toY(value), y2: toY(value) }));
    svg.append(make("svg:text", { x: LEFT - 5, y: toY(value) + 4, "text-anchor": "end" }, label));
  }
  for (const [value, label] of ticks(x)) {
    svg.append(make("svg:line", { class: "axis", x1: toX(value), x2: toX(value), y1: bottom, y2: bottom + 4 }));
    svg.append(make("svg:text", { x: toX(value), y: bottom + 16, "text-anchor": "middle" }, label));
  }
  svg.append(make("svg:text", { x: right, y: height - 3, "text-anchor": "end" }, across));
  const spots = draw(svg, toX, toY).map((spot) => ({ ...spot, px: toX(spot.x), py: toY(spot.y) }));
  const ring = make("svg:circle", { class: "ring", r: 6, visibility: "hidden" }), said = make("output", {}, about);
  svg.append(ring);

  let at = -1;
  function show(number) {
    spots[at]?.mark?.classList.remove("near");
    at = number;
    spots[at].mark?.classList.add("near");
    said.textContent = spots[at].text;
    for (const [name, value] of Object.entries({ cx: spots[at].px, cy: spots[at].py, visibility: "visible" })) ring.setAttribute(name, value);
  }
  function find(event) {
    const box = svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * WIDTH, py = ((event.clientY - box.top) / box.height) * height;
    const away = spots.map((spot) => Math.hypot(spot.px - px, spot.py - py)), least = Math.min(...away);
    if (least < REACH) show(away.indexOf(least));
    return least < REACH;
  }
  svg.addEventListener("pointermove", find);
  svg.addEventListener("click", (event) => find(event) && spots[at].open?.());
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && spots.length) show(at < 0 ? 0 : (at + step + spots.length) % spots.length);
    else if (event.key === "Enter" && at >= 0) spots[at].open?.();
    else return;
    event.preventDefault();
  });
  return make("div", { class: "panel" }, make("h4", {}, title), svg, said);
}
