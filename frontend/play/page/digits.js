// Digits: LeNet-5 while it learns: a picture, what each layer makes of it, which digit is taken for which.
"use strict";
{
const slot = 2, size = 28;
let ready = false, picture = null, asked = false, history = [], chart = null, queue = Promise.resolve(), last = 0;
const at = id => $("#digits-" + id);
const path = () => "visits/" + play.visit + "/digits";

// Shades of a picture, drawn as large as its canvas.
function paint(canvas, text, side, from = 0) {
  const small = make("canvas", { width: side, height: side }), c = small.getContext("2d"), bits = c.createImageData(side, side);
  const rgb = name => { const t = play.colour(name); return [1, 3, 5].map(i => parseInt(t.slice(i, i + 2), 16)); };
  const low = rgb("code"), high = rgb("ink");
  for (let i = 0; i < side * side; i++) {
    const s = text.charCodeAt(from + i) / 255;
    for (let k = 0; k < 3; k++) bits.data[4 * i + k] = low[k] + (high[k] - low[k]) * s;
    bits.data[4 * i + 3] = 255;
  }
  c.putImageData(bits, 0, 0);
  const to = canvas.getContext("2d");
  to.imageSmoothingEnabled = false;
  to.drawImage(small, 0, 0, canvas.width, canvas.height);
}

function bars(look) {
  const box = at("chances");
  if (!box.children.length)
    box.append(...Array.from({ length: 10 }, (_, i) => make("li", {}, make("span", {}, String(i)), make("div", {}, make("i")), make("output"))));
  const best = look.chances.indexOf(Math.max(...look.chances));
  look.chances.forEach((p, i) => {
    const row = box.children[i];
    row.className = i === best ? "best" : "";
    $("i", row).style.width = (100 * (p ?? 0)).toFixed(1) + "%";
    $("output", row).textContent = (100 * (p ?? 0)).toFixed(1) + " %";
  });
  at("says").textContent = "It says " + best + (look.label < 0 ? "" : look.label === best ? ", and is right" : "; it is " + look.label);
}
function layers(look) {
  const box = at("maps");
  if (!box.children.length)
    box.append(...look.maps.map(m => make("figure", {}, make("figcaption", {}, `${m.name}: ${m.channels} of ${m.side} × ${m.side}`),
      make("div", { className: "maps" }, ...Array.from({ length: m.channels }, () => make("canvas", { width: 56, height: 56 }))))));
  look.maps.forEach((m, i) => {
    const shade = atob(m.shade);
    box.children[i].querySelectorAll("canvas").forEach((canvas, k) => paint(canvas, shade, m.side, k * m.side * m.side));
  });
}
function confusion(counts) {
  const box = at("confusion");
  if (!box.rows.length) {
    box.append(make("tr", {}, make("th", {}, ""), ...Array.from({ length: 10 }, (_, i) => make("th", { scope: "col" }, String(i)))));
    for (let i = 0; i < 10; i++) box.append(make("tr", {}, make("th", { scope: "row" }, String(i)), ...Array.from({ length: 10 }, () => make("td"))));
  }
  for (let i = 0; i < 10; i++) {
    const most = Math.max(1, counts.slice(10 * i, 10 * i + 10).reduce((a, b) => a + b, 0));
    for (let k = 0; k < 10; k++) {
      const cell = box.rows[i + 1].cells[k + 1], n = counts[10 * i + k];
      cell.textContent = n || "";
      cell.style.background = n ? `color-mix(in srgb, var(--${i === k ? "zero" : "one"}) ${Math.round(15 + 75 * n / most)}%, transparent)` : "";
    }
  }
}

function draw() {
  asked = false;
  const p = picture;
  if (!p || $("#page-digits").hidden || !p.look) return;
  if (!drawing) paint(at("picture"), atob(p.look.pixels), size);
  bars(p.look);
  layers(p.look);
  confusion(p.confusion);
  const percent = a => (100 * a).toFixed(1) + " %";
  for (const [id, text] of [["epoch", p.epoch + " / " + p.epochs], ["loss", play.number(p.loss[0])], ["loss-v", play.number(p.loss[1])],
    ["correct", percent(p.accuracy[0])], ["correct-v", percent(p.accuracy[1])], ["took", p.step_seconds ? play.seconds(p.step_seconds) : at("took").textContent]])
    at(id).textContent = text;
  at("progress").value = p.epoch / p.epochs;
  at("start").textContent = p.playing ? "Pause" : "Start";
  at("step").disabled = p.playing;
  if (performance.now() - last > 150 || !p.playing) {
    last = performance.now();
    const options = { file: history, labels: ["step", "train", "test"], colors: [play.colour("zero"), play.colour("one")] };
    if (chart) chart.updateOptions(options);
    else chart = new Dygraph(at("chart"), history, { ...options, strokeWidth: 1.6, legend: "follow", axisLabelFontSize: 11, axisLineColor: play.colour("line"), gridLineColor: play.colour("line"),
      axes: { y: { axisLabelWidth: 40, valueFormatter: y => play.number(y, 3) } } });
  }
}
function show(p) {
  if (p.error) return play.say(p.error);
  picture = p;
  if (!history.length || history[history.length - 1][0] < p.step) history.push([p.step, ...p.loss]);
  if (!asked) { asked = true; requestAnimationFrame(draw); }
}

// --- requests, one after the other ------------------------------------------------------------------
const then = f => queue = queue.then(f).catch(() => {});
const order = (what, number = 0) => then(() => play.ask("visits/" + play.visit + "/runs/" + slot + "/do", { do: what, number }));
function build() {
  return then(async () => {
    at("start").disabled = true;
    const body = { mnist: at("data").value === "mnist" };
    for (const name of ["samples", "rate", "batch", "epochs", "seed"]) body[name] = Number(at(name).value);
    play.remember(Object.fromEntries(Object.entries(body)));
    history = [];
    chart?.destroy();
    chart = null;
    const made = await play.ask(path(), body);
    at("data").lastElementChild.disabled = !made.mnist;
    at("start").disabled = false;
    play.say("");
    await play.ask("visits/" + play.visit + "/runs/" + slot + "/do", { do: "pace", number: 0 });
    await see({ image: Number(at("image").value) });
  });
}
const see = what => play.ask(path() + "/look", what);

// --- a digit by hand: ink follows the mouse, and is moved to the middle as MNIST's are ----------------
let drawing = false, ink = null, held = false, sent = 0;
function pen(e) {
  const r = at("picture").getBoundingClientRect(), x = (e.clientX - r.left) / r.width * size, y = (e.clientY - r.top) / r.height * size;
  for (let i = 0; i < size * size; i++) {
    const far = Math.hypot(i % size + 0.5 - x, Math.floor(i / size) + 0.5 - y);
    ink[i] = Math.max(ink[i], far < 1 ? 255 : far < 2.1 ? 255 * (2.1 - far) / 1.1 : 0);
  }
  paint(at("picture"), String.fromCharCode(...ink.map(Math.round)), size);
  if (performance.now() - sent > 60) send();
}
function send() {
  sent = performance.now();
  let sum = 0, mx = 0, my = 0;
  ink.forEach((v, i) => { sum += v; mx += v * (i % size); my += v * Math.floor(i / size); });
  if (!sum) return;
  const dx = Math.round(mx / sum - 13.5), dy = Math.round(my / sum - 13.5), pixels = [];
  for (let i = 0; i < size * size; i++) {
    const x = i % size + dx, y = Math.floor(i / size) + dy;
    pixels.push(x < 0 || y < 0 || x >= size || y >= size ? 0 : Math.round(ink[y * size + x]));
  }
  then(() => see({ pixels }));
}

async function open() {
  if (ready) return;
  ready = true;
  play.slots[slot] = show;
  const { values } = play.address();
  for (const name of ["samples", "rate", "batch", "epochs", "seed"]) if (values.has(name)) at(name).value = values.get(name);
  at("form").onsubmit = e => e.preventDefault();
  at("form").onchange = e => { if (e.target !== at("image")) build(); };
  at("start").onclick = async () => {
    if (picture?.playing) return order("pause");
    if (picture?.done) build();
    order("start");
  };
  at("step").onclick = () => order("step");
  at("reset").onclick = build;
  at("image").onchange = () => { drawing = false; then(() => see({ image: Number(at("image").value) })); };
  at("clear").onclick = () => { ink = Array(size * size).fill(0); drawing = true; paint(at("picture"), "\0".repeat(size * size), size); };
  const canvas = at("picture");
  canvas.onpointerdown = e => { if (!drawing) at("clear").click(); held = true; canvas.setPointerCapture(e.pointerId); pen(e); };
  canvas.onpointermove = e => { if (held) pen(e); };
  canvas.onpointerup = () => { held = false; send(); };
  await build();
}
play.pages.digits = () => { open(); if (picture) draw(); };
play.recolour.push(() => { chart?.destroy(); chart = null; if (picture) draw(); });
}
