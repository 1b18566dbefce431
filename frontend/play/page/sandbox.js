// Sandboxes: a function with its derivatives, an expression with its graphs, a tensor with its storage.
"use strict";

// --- maths ------------------------------------------------------------------------------------------
{
// as in the MiniTorch course
const kinds = {
  "One argument": { cube: "x * x * x", square: "x * x", exp: "exp(x)", log: "log(x + 10.5)", explog: "log(x + 20) + exp(x - 10)", relu: "relu(x + 5.5)",
    sigmoid: "sigmoid(x)", tanh: "tanh(x)", gelu: "gelu(x)", sin: "sin(x) / 2 + cos(3 * x) / 5", inv: "1 / (x + 3.5)", neg: "-x", div: "x / 5",
    addConstant: "5 + x", subConstant: "x - 5", multConstant: "5 * x", complex: "log(sigmoid(relu(relu(x * 10 + 7) * 6 + 5) * 10)) / 50" },
  "Two arguments": { add2: "x + y", mul2: "x * y", div2: "x / (y + 15.5)", lt2: "lt(x + 1.2, y)", gt2: "gt(x, y + 1.2)", eq2: "eq(x, y)", waves: "sin(x) * cos(y) * 4",
    max2: "max(x, y)", bowl: "x^2 / 8 + y^2 / 16", "logistic loss": "softplus(-x * y)" },
  "Reduce": { sum: "sum(x, y)", mean: "mean(x, y)", "mean of squares": "mean(x^2, y^2)", "log of a sum": "log(sum(exp(x), exp(y)))" },
};
let drawn = null, angle = [0.7, 0.55], ready = false;
const charts = [];

function list() { $("#maths-name").replaceChildren(make("option", { value: "" }, "of your own"), ...Object.keys(kinds[$("#maths-kind").value]).map(n => make("option", {}, n))); }
function names() {
  list();
  $("#maths-name").selectedIndex = 1;
  pick();
}
// Which of the lists the expression is from, if it is.
function match() {
  for (const [kind, all] of Object.entries(kinds))
    for (const [name, text] of Object.entries(all))
      if (text === $("#maths-text").value) {
        if ($("#maths-kind").value !== kind) { $("#maths-kind").value = kind; list(); }
        return $("#maths-name").value = name;
      }
  return $("#maths-name").value = "";
}
function pick() { if ($("#maths-name").value) $("#maths-text").value = kinds[$("#maths-kind").value][$("#maths-name").value]; draw(); }

// A surface from afar, far squares first.
function surface(canvas, values, side) {
  const c = canvas.getContext("2d"), size = canvas.width, [turn, tilt] = angle;
  const good = values.filter(v => v !== null).sort((a, b) => a - b);
  const low = good[Math.floor(good.length * 0.02)] ?? 0, high = good[Math.ceil(good.length * 0.98) - 1] ?? 1, span = high - low || 1;
  const [a, b, m] = ["zero", "one", "card"].map(play.rgb);
  const at = (i, j) => {
    const v = values[i * side + j];
    const x = j / (side - 1) - 0.5, y = i / (side - 1) - 0.5, z = (Math.min(high, Math.max(low, v ?? low)) - low) / span - 0.5;
    const u = x * Math.cos(turn) - y * Math.sin(turn), w = x * Math.sin(turn) + y * Math.cos(turn);
    return [size / 2 + u * size * 0.62, size / 2 - (z * 0.55 * Math.cos(tilt) + w * Math.sin(tilt)) * size * 0.72, w * Math.cos(tilt) - z * Math.sin(tilt), v];
  };
  const points = [], squares = [];
  for (let i = 0; i < side; i++) for (let j = 0; j < side; j++) points.push(at(i, j));
  for (let i = 0; i + 1 < side; i++) for (let j = 0; j + 1 < side; j++) {
    const corners = [points[i * side + j], points[i * side + j + 1], points[(i + 1) * side + j + 1], points[(i + 1) * side + j]];
    if (corners.every(p => p[3] !== null)) squares.push([corners.reduce((s, p) => s + p[2], 0), corners]);
  }
  squares.sort((p, q) => q[0] - p[0]);
  c.clearRect(0, 0, size, size);
  c.lineWidth = 0.5;
  for (const [, corners] of squares) {
    const t = (corners.reduce((s, p) => s + Math.min(high, Math.max(low, p[3])), 0) / 4 - low) / span * 2 - 1, to = t < 0 ? a : b;
    c.fillStyle = `rgb(${m.map((v, k) => v + (to[k] - v) * (0.15 + 0.8 * Math.abs(t))).join(" ")})`;
    c.strokeStyle = play.colour("line");
    c.beginPath();
    corners.forEach(p => c.lineTo(p[0], p[1]));
    c.closePath(); c.fill(); c.stroke();
  }
  c.fillStyle = play.colour("soft");
  c.font = "12px system-ui, sans-serif";
  c.fillText(`${play.number(low, 3)} to ${play.number(high, 3)}`, 8, size - 8);
}

function paint() {
  const out = $("#maths-out");
  charts.splice(0).forEach(g => g.destroy());
  if (!drawn) return;
  const titles = drawn.surface ? ["f(x, y)", "∂f/∂x", "∂f/∂y"] : ["f(x)", "f′(x)", "f″(x)"];
  out.replaceChildren(...["f", "d", "e"].map((key, i) => {
    const figure = make("figure", { className: "card" }, make("figcaption", {}, titles[i]));
    if (drawn.surface) {
      const canvas = make("canvas", { className: "surface", width: 440, height: 440, tabIndex: 0 });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", titles[i] + "; arrows turn it");
      figure.append(canvas);
      surface(canvas, drawn[key], drawn.side);
    } else figure.append(make("div", { className: "chart" }));
    return figure;
  }));
  if (!drawn.surface) ["f", "d", "e"].forEach((key, i) => {
    const step = (drawn.to - drawn.from) / (drawn.side - 1);
    charts.push(new Dygraph(out.children[i].querySelector(".chart"), drawn[key].map((v, k) => [drawn.from + k * step, v]),
      { ...play.chart(), labels: ["x", titles[i]], colors: [play.colour(["zero", "one", "third"][i])] }));
  });
}
function turnAll() { document.querySelectorAll("#maths-out canvas").forEach((canvas, i) => surface(canvas, drawn[["f", "d", "e"][i]], drawn.side)); }
let held = null;
$("#maths-out").addEventListener("pointerdown", e => { if (e.target.matches("canvas")) { held = [e.clientX, e.clientY]; e.target.setPointerCapture(e.pointerId); } });
$("#maths-out").addEventListener("pointermove", e => {
  if (!held) return;
  angle = [angle[0] + (e.clientX - held[0]) / 120, Math.min(1.5, Math.max(0.05, angle[1] + (e.clientY - held[1]) / 160))];
  held = [e.clientX, e.clientY];
  turnAll();
});
addEventListener("pointerup", () => { held = null; });
$("#maths-out").addEventListener("keydown", e => {
  const by = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.08], ArrowDown: [0, -0.08] }[e.key];
  if (!by || !e.target.matches("canvas")) return;
  angle = [angle[0] + by[0], Math.min(1.5, Math.max(0.05, angle[1] + by[1]))];
  turnAll();
  e.preventDefault();
});

// The graph of f and its derivative, and its text.
async function source() {
  const said = await play.ask("autodiff", { expression: drawn.text, x: 1, y: 1 }).catch(() => null), part = said?.backward ?? said?.forward;
  if (!part) return;
  play.drawing($("#maths-graph"), part.svg, id => {
    for (const g of document.querySelectorAll("#maths-graph g.node")) g.classList.toggle("lit", $("title", g).textContent === "v" + id);
    for (const row of $("#maths-source").children) row.classList.toggle("lit", row.textContent.trim().startsWith("%" + id + " ="));
  });
  $("#maths-source").replaceChildren(...part.text.replace(/ *# (expression|values):\d+.*/g, "").split("\n").map(l => make("div", {}, l || " ")));
}
async function draw() {
  const ask = { expression: $("#maths-text").value, from: Number($("#maths-from").value), to: Number($("#maths-to").value) };
  play.remember({ f: ask.expression, from: ask.from, to: ask.to });
  $("#maths-out").classList.add("busy");
  try { drawn = await play.ask("maths", ask); drawn.text = ask.expression; play.say(""); paint(); await source(); } catch { /* told */ }
  $("#maths-out").classList.remove("busy");
}
play.pages.maths = async () => {
  if (ready) return;
  ready = true;
  $("#maths-kind").replaceChildren(...Object.keys(kinds).map(k => make("option", {}, k)));
  $("#maths-functions").textContent = "Functions: " + (await play.ask("functions")).functions.join(" ") + ".";
  $("#maths-kind").onchange = names;
  $("#maths-name").onchange = pick;
  $("#maths-form").onsubmit = e => { e.preventDefault(); draw(); };
  const { values } = play.address();
  if (values.has("from")) $("#maths-from").value = values.get("from");
  if (values.has("to")) $("#maths-to").value = values.get("to");
  const wanted = values.get("f");
  list();
  $("#maths-text").value = wanted ?? kinds["One argument"].cube;
  $("#maths-text").oninput = match;
  match();
  await draw();
};
play.recolour.push(() => drawn && paint());
}

// --- derivatives ------------------------------------------------------------------------------------
{
let ready = false;
function light(id) {
  for (const box of ["#autodiff-forward", "#autodiff-backward"])
    for (const g of document.querySelectorAll(box + " g.node")) g.classList.toggle("lit", $("title", g)?.textContent === "v" + id);
  for (const row of document.querySelectorAll("#autodiff-values tbody tr")) row.classList.toggle("lit", row.dataset.node === String(id));
}
function graph(where, part) {
  const box = $(where);
  if (!part) return box.replaceChildren(make("p", { className: "soft" }, "there is nothing to derive by"));
  play.drawing(box, part.svg, light);
  for (const g of box.querySelectorAll("g.node")) {
    const node = part.nodes.find(n => "v" + n[0] === $("title", g).textContent);
    if (node) $("title", g).insertAdjacentElement("afterend", document.createElementNS("http://www.w3.org/2000/svg", "desc")).textContent = node[3];
  }
}
async function derive() {
  const body = { expression: $("#autodiff-text").value };
  for (const name of ["x", "y", "z"]) {
    const text = $("#autodiff-" + name).value.trim();
    if (!text) continue;
    try { body[name] = JSON.parse(text); } catch { return play.say(name + ": expected a number, or lists of numbers as [1, 2]"); }
  }
  play.remember({ f: body.expression, ...Object.fromEntries(["x", "y", "z"].map(n => [n, $("#autodiff-" + n).value])) });
  let said;
  try { said = await play.ask("autodiff", body); } catch { return; }
  play.say("");
  graph("#autodiff-forward", said.forward);
  graph("#autodiff-backward", said.backward);
  const all = said.backward ?? said.forward;
  const ends = [...all.text.matchAll(/(?:"?(f|df\/d[xyz])"?)=(%\d+|[xyz])/g)].map(m => [m[1], m[2]]);
  const value = of => all.nodes.find(n => of.startsWith("%") ? "%" + n[0] === of : n[2] === of)?.[3] ?? "";
  const result = $("#autodiff-result");
  result.replaceChildren(...ends.flatMap(([name, of], i) => [i ? "\n" : "", make("b", {}, name.padEnd(5)), " = " + value(of)]));
  if (said.summed) result.append("\n(f is the sum over its elements)");
  $("#autodiff-values").replaceChildren(make("thead", {}, make("tr", {}, ...["", "operation", "of", "value"].map(h => make("th", {}, h)))),
    make("tbody", {}, ...all.nodes.map(([id, op, name, v]) => {
      const line = all.text.split("\n").find(l => l.trim().startsWith("%" + id + " ="));
      const row = make("tr", {}, make("td", {}, "%" + id), make("td", {}, op), make("td", {}, name || (line ? line.split("=")[1].split(":")[0].trim().split(" ").slice(1).join(" ") : "")), make("td", {}, v));
      row.dataset.node = id;
      row.onclick = () => light(id);
      return row;
    })));
}
play.pages.autodiff = async () => {
  if (ready) return;
  ready = true;
  const { values } = play.address();
  if (values.has("f")) $("#autodiff-text").value = values.get("f");
  for (const n of ["x", "y", "z"]) if (values.has(n)) $("#autodiff-" + n).value = values.get(n);
  $("#autodiff-form").onsubmit = e => { e.preventDefault(); derive(); };
  await derive();
};
}

// --- tensors -----------------------------------------------------------------------------------------
{
let views = [], storage = [], index = [], ready = false;
const view = () => views[Number($("#tensor-view").value)] ?? views[views.length - 1];
const flat = v => index.reduce((at, i, axis) => at * v.shape[axis] + i, 0);

// what the page computes with, and shows
function strides(shape) { // of elements that lie one after the other
  const list = [];
  let pitch = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    list.unshift(pitch);
    pitch *= shape[axis];
  }
  return list;
}
function index_to_position(index, strides, offset) {
  let position = offset;
  for (let axis = 0; axis < index.length; axis++)
    position += index[axis] * strides[axis];
  return position;
}
function to_index(ordinal, shape) { // the last axis runs fastest
  const index = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index.unshift(ordinal % shape[axis]);
    ordinal = Math.floor(ordinal / shape[axis]);
  }
  return index;
}

function numbers(count) {
  const given = $("#tensor-storage").value.trim();
  if (given) {
    const list = given.split(/[\s,]+/).map(Number);
    if (list.length !== count || list.some(n => !isFinite(n))) throw play.refuse(`storage: ${list.length} numbers; expected ${count}`);
    return list;
  }
  if (!$("#tensor-random").checked) return Array.from({ length: count }, (_, i) => i);
  let seed = (Number($("#tensor-seed").value) >>> 0) + 0x6d2b79f5; // mulberry32
  return Array.from({ length: count }, () => {
    let t = seed = seed + 0x6d2b79f5 | 0;
    t = Math.imul(t ^ t >>> 15, t | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return Math.round(((t ^ t >>> 14) >>> 0) / 4294967296 * 100) / 100;
  });
}
function draw() {
  const v = view(), boxes = $("#tensor-boxes"), rank = v.shape.length;
  const rows = rank > 1 ? v.shape[rank - 2] : 1, columns = rank ? v.shape[rank - 1] : 1, slabs = v.positions.length / (rows * columns || 1);
  const here = v.positions.length ? flat(v) : -1, place = v.positions[here];
  boxes.replaceChildren();
  for (let s = 0; s < slabs; s++) {
    const lead = [];
    for (let axis = rank - 3, left = s; axis >= 0; axis--) { lead.unshift(left % v.shape[axis]); left = Math.floor(left / v.shape[axis]); }
    const slab = make("div", { className: rank > 2 ? "slab" : "slab flat" });
    slab.style.gridTemplateColumns = `repeat(${columns}, auto)`;
    if (lead.length) slab.append(make("small", {}, "[" + lead.join(", ") + ", :, :]"));
    for (let k = 0; k < rows * columns; k++) {
      const i = s * rows * columns + k;
      const cell = make("button", { type: "button", className: "cell" + (i === here ? " lit" : ""), tabIndex: i === here ? 0 : -1, title: `position ${v.positions[i]}` }, String(storage[v.positions[i]]));
      cell.onclick = () => choose(i);
      slab.append(cell);
    }
    boxes.append(slab);
  }
  const used = new Set(v.positions);
  $("#tensor-strip").replaceChildren(...storage.map((n, i) => {
    const cell = make("button", { type: "button", className: "cell" + (i === place ? " lit" : "") + (used.has(i) ? "" : " out"), tabIndex: i === place ? 0 : -1 }, String(n), make("small", {}, String(i)));
    cell.onclick = () => { const to = v.positions.indexOf(i); if (to >= 0) choose(to); };
    return cell;
  }));
  $("#tensor-position").max = storage.length - 1;
  $("#tensor-position").value = place ?? 0;
  $("#tensor-at").textContent = place ?? "–";
  $("#tensor-index").replaceChildren(...v.shape.map((extent, axis) => {
    const input = make("input", { type: "number", min: 0, max: Math.max(0, extent - 1), value: index[axis], "aria-label": "index along axis " + axis });
    input.onchange = () => { index[axis] = Math.min(extent - 1, Math.max(0, Number(input.value) || 0)); draw(); };
    return make("label", {}, "axis " + axis + " ", input);
  }));
  const offset = v.positions[0] ?? 0, even = v.strides.every((s, axis) => s !== null || v.shape[axis] === 1);
  const beside = even && strides(v.shape).every((s, axis) => v.shape[axis] === 1 || s === v.strides[axis]);
  const terms = v.strides.map((s, axis) => `${index[axis]}·${s ?? 0}`).join(" + ");
  $("#tensor-told").textContent = `shape [${v.shape.join(" ")}], ${v.positions.length} elements; strides (${v.strides.map((s, axis) => s ?? (v.shape[axis] === 1 ? "any" : "uneven")).join(", ")})${beside ? ", one after the other" : ""}\n` +
    (place === undefined ? "there is no element" : even ? `index [${index.join(", ")}] → ${offset}${terms ? " + " + terms : ""} = position ${index_to_position(index, v.strides.map(s => s ?? 0), offset)}, where ${storage[place]} is` :
      `index [${index.join(", ")}] → position ${place}, where ${storage[place]} is: no strides say it, so it would be a copy`);
}
function choose(i) {
  const v = view();
  index = to_index(i, v.shape);
  draw();
}
async function show() {
  const shape = $("#tensor-shape").value, moves = $("#tensor-moves").value.split("\n").map(l => l.trim()).filter(l => l);
  play.remember({ shape, moves: moves.join("; ") });
  try {
    const said = await play.ask("tensor", { shape, moves });
    storage = numbers(said.views[0].positions.length);
    views = said.views;
    play.say("");
  } catch { return; }
  $("#tensor-view").replaceChildren(...views.map((_, i) => make("option", { value: i }, i ? moves[i - 1] : "the storage as it is")));
  $("#tensor-view").value = views.length - 1;
  choose(0);
}
play.pages.tensors = async () => {
  if (ready) return;
  ready = true;
  const { values } = play.address();
  $("#tensor-source").textContent = [strides, index_to_position, to_index].join("\n\n");
  if (values.has("shape")) $("#tensor-shape").value = values.get("shape");
  if (values.has("moves")) $("#tensor-moves").value = values.get("moves").split("; ").join("\n");
  $("#tensor-form").onsubmit = e => { e.preventDefault(); show(); };
  $("#tensor-random").onchange = show;
  $("#tensor-seed").onchange = show;
  $("#tensor-view").onchange = () => choose(0);
  for (const box of [$("#tensor-boxes"), $("#tensor-strip")])
    box.onkeydown = e => {
      const cells = [...box.querySelectorAll(".cell:not(.out)")];
      if (play.walk(e, cells, c => c.classList.contains("lit"), c => c.click())) $(".lit", box)?.focus();
    };
  $("#tensor-position").oninput = () => { const to = view().positions.indexOf(Number($("#tensor-position").value)); if (to >= 0) choose(to); };
  await show();
};
}
