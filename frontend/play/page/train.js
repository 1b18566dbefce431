// Train: two runs at most, each with its knobs, its picture of the plane and its curves.
"use strict";
{
const names = ["A", "B"];
const runs = [null, null];
let knobs = [], edited = 0;

// --- a run ------------------------------------------------------------------------------------------
class Run {
  constructor(slot) {
    this.slot = slot;
    this.settings = {};
    this.box = $("#run").content.firstElementChild.cloneNode(true);
    this.box.id = "run-" + slot;
    this.at = name => $("." + name, this.box);
    $("h2", this.box).textContent = "Run " + names[slot];
    this.at("start").onclick = () => this.toggle();
    this.at("step").onclick = () => this.order("step");
    this.at("reset").onclick = () => this.build();
    this.at("look").onclick = async () => play.compile((await play.ask(this.path + "/text")).text, "Run " + names[slot]);
    $("select.pace", this.box).onchange = e => this.order("pace", Number(e.target.value));
    this.at("axis").onchange = () => this.draw();
    $("details.hand", this.box).ontoggle = () => this.sliders();
    $("details.table", this.box).ontoggle = () => this.table();
    this.small = make("canvas");
    this.charts = {};
    this.path = "visits/" + play.visit + "/runs/" + slot;
    this.queue = Promise.resolve();
    this.clear();
    play.slots[slot] = picture => this.show(picture);
    play.recolour.push(() => { this.draw(); this.curves(true); });
    setInterval(() => this.curves(), 150);
  }
  clear() {
    this.history = { loss: [], correct: [], norm: [], ratio: [] };
    this.layers = [];
    this.picture = null;
    this.stamps = [];
    this.dirty = true;
    for (const c of Object.values(this.charts)) c.destroy();
    this.charts = {};
  }
  // A new run of the settings, or of what was saved. Requests of a run come one after the other.
  build(saved) {
    this.fresh = false;
    return this.queue = this.queue.then(async () => {
      this.at("start").disabled = true;
      this.at("engine").textContent = "compiling …";
      try {
        const made = await play.ask(this.path, { settings: this.settings, ...saved });
        await play.ask(this.path + "/do", { do: "pace", number: Number($("select.pace", this.box).value) });
        play.say("");
        this.clear();
        if (saved?.history) this.history = saved.history;
        this.points = made.points; this.train = made.train; this.area = made.box;
        this.side = this.small.width = this.small.height = made.side;
        this.values = made.values;
        this.at("weights").textContent = Object.values(made.values)
          .reduce((sum, v) => sum + v.values.length, 0);
        this.at("start").disabled = false;
        this.built = true;
        if (this.pending) this.show(this.pending);
        this.sliders(true);
      } catch (e) {
        this.at("engine").textContent = "–";
      }
    });
  }
  order(what, number = 0) {
    return this.queue = this.queue.then(() => play.ask(this.path + "/do", { do: what, number })).catch(() => {});
  }
  async toggle() {
    if (this.picture?.playing) return this.order("pause");
    if (this.picture?.done) this.build();
    return this.order("start");
  }
  // --- what the stream brings ---------------------------------------------------------------------
  show(p) {
    if (p.error) return play.say("Run " + names[this.slot] + ": " + p.error);
    if (this.at("start").disabled) { this.pending = p; return; }
    this.pending = null;
    this.picture = p;
    this.keep(p);
    if (!this.asked) {
      this.asked = true;
      requestAnimationFrame(() => { this.asked = false; this.draw(); this.count(); this.tell(); });
    }
  }
  count() { // pictures that are drawn
    const now = performance.now();
    this.stamps.push(now);
    while (now - this.stamps[0] > 1500) this.stamps.shift();
  }
  keep(p) {
    const h = this.history, x = p.step;
    if (h.loss.length && h.loss[h.loss.length - 1][0] >= x) {
      if (h.loss[h.loss.length - 1][0] > x) return;
      h.loss.pop(); h.correct.pop();
    }
    h.loss.push([x, ...p.loss, p.epoch]);
    h.correct.push([x, ...p.accuracy]);
    const weights = p.layers.filter(l => l[0].endsWith(".weight"));
    if (weights.length) {
      this.layers = weights.map(l => l[0].replace(".weight", ""));
      if (h.norm.length && h.norm[h.norm.length - 1][0] === x) { h.norm.pop(); h.ratio.pop(); }
      h.norm.push([x, ...weights.map(l => l[1])]);
      h.ratio.push([x, ...weights.map(l => l[2])]);
    }
    for (const list of Object.values(h)) // every second point of an old, long curve
      if (list.length > 3000) list.splice(0, list.length, ...list.filter((_, i) => i % 2 || i === list.length - 1));
    this.dirty = true;
  }
  tell() {
    const p = this.picture;
    if (!p) return;
    const set = (name, text) => { if (this.at(name).textContent !== text) this.at(name).textContent = text; };
    const rate = this.stamps.length > 2 ? (this.stamps.length - 1) * 1000 / (this.stamps[this.stamps.length - 1] - this.stamps[0]) : 0;
    set("epoch", p.epoch + " / " + p.epochs);
    set("loss", play.number(p.loss[0])); set("loss-v", play.number(p.loss[1]));
    set("correct", play.percent(p.accuracy[0])); set("correct-v", play.percent(p.accuracy[1]));
    if (p.step_seconds) this.time(p.step_seconds);
    if (p.step_seconds) set("took", play.seconds(p.step_seconds));
    else if (!p.step) set("took", "–");
    set("engine", p.engine === "eager" ? "eager" : p.engine + (this.settings.engine === "unfused" ? ", a kernel an operation" : ", fused"));
    set("fps", p.playing ? rate.toFixed(0) : "–");
    if (p.playing && this.stamps.length > 9) {
      this.speed ??= { epoch: p.epoch, at: performance.now() };
      const passed = performance.now() - this.speed.at;
      if (p.epoch > this.speed.epoch && passed > 300)
        set("left", play.seconds((p.epochs - p.epoch) * passed / (p.epoch - this.speed.epoch) / 1000));
    } else { this.speed = null; set("left", p.done ? "done" : "–"); }
    $("progress", this.box).value = p.epoch / p.epochs;
    set("start", p.playing ? "Pause" : "Start");
    this.at("step").disabled = p.playing;
    this.box.dataset.state = p.playing ? "playing" : p.done ? "done" : "still";
    if (!p.playing && $("details.table", this.box).open) this.table();
  }
  // What a step takes by each engine that was tried of these settings, beside the switch.
  time(seconds) {
    const { engine, ...others } = this.settings, of = JSON.stringify(others);
    if (this.timed?.of !== of) this.timed = { of, by: {} };
    this.timed.by[engine] = Math.min(seconds, this.timed.by[engine] ?? seconds);
    if (runs[edited] === this) this.times();
  }
  times() {
    $("#times").textContent = Object.entries(this.timed?.by ?? {}).map(([engine, s]) => engine + " " + play.seconds(s)).join(" · ");
  }
  // --- the plane ----------------------------------------------------------------------------------
  draw() {
    const p = this.picture;
    if (!p || !this.points) return;
    const canvas = this.at("plane"), c = canvas.getContext("2d"), size = canvas.width;
    const [x0, x1, y0, y1] = this.area, side = this.side, shade = atob(p.shade);
    const zero = play.colour("zero"), one = play.colour("one"), paper = play.colour("card");
    const px = x => (x - x0) / (x1 - x0) * size, py = y => (y1 - y) / (y1 - y0) * size;
    if (this.at("axis").checked) return this.line(c, size, shade, px);
    const image = this.small.getContext("2d"), bits = image.createImageData(side, side);
    const [a, b, m] = ["zero", "one", "card"].map(play.rgb);
    for (let i = 0; i < side * side; i++) {
      const s = shade.charCodeAt(i) / 127.5 - 1, to = s < 0 ? a : b, t = 0.62 * Math.abs(s);
      for (let k = 0; k < 3; k++) bits.data[4 * i + k] = m[k] + (to[k] - m[k]) * t;
      bits.data[4 * i + 3] = 255;
    }
    image.putImageData(bits, 0, 0);
    c.imageSmoothingEnabled = true;
    c.imageSmoothingQuality = "high";
    c.drawImage(this.small, 0, 0, size, size);
    this.points.forEach(([x, y, label], i) => {
      c.globalAlpha = i < this.train ? 1 : 0.5;
      this.mark(c, px(x), py(y), label, zero, one, paper);
    });
    c.globalAlpha = 1;
  }
  mark(c, x, y, label, zero, one, paper) {
    c.beginPath();
    c.lineWidth = 3.4;
    c.strokeStyle = paper;
    if (label) { c.moveTo(x - 4, y); c.lineTo(x + 4, y); c.moveTo(x, y - 4); c.lineTo(x, y + 4); c.stroke(); c.lineWidth = 2; c.strokeStyle = one; c.stroke(); }
    else { c.arc(x, y, 3.6, 0, 7); c.lineWidth = 1.6; c.stroke(); c.fillStyle = zero; c.fill(); }
  }
  // Along the middle: what is said of class 1, and the points by their x.
  line(c, size, shade, px) {
    const row = Math.floor(this.side / 2) * this.side;
    const y = s => size - 30 - s * (size - 60);
    c.clearRect(0, 0, size, size);
    c.lineWidth = 1; c.strokeStyle = play.colour("line");
    for (const s of [0, 0.5, 1]) { c.beginPath(); c.moveTo(0, y(s)); c.lineTo(size, y(s)); c.stroke(); }
    c.lineWidth = 2.5; c.strokeStyle = play.colour("accent"); c.beginPath();
    for (let i = 0; i < this.side; i++) c.lineTo((i + 0.5) / this.side * size, y(shade.charCodeAt(row + i) / 255));
    c.stroke();
    this.points.forEach(([x, , label], i) => {
      c.globalAlpha = i < this.train ? 1 : 0.5;
      this.mark(c, px(x), y(label), label, play.colour("zero"), play.colour("one"), play.colour("card"));
    });
    c.globalAlpha = 1;
  }
  // --- the curves ---------------------------------------------------------------------------------
  curves(again) {
    if (!this.dirty && !again || this.box.closest("[hidden]") || !this.history.loss.length) return;
    this.dirty = false;
    const two = ["zero", "one"], many = ["zero", "one", "third", "fourth", "accent", "bad", "soft"];
    this.chart("loss", ["step", "train", "validation"], two, this.history.loss.map(r => r.slice(0, 3)), {}, again);
    this.chart("correct", ["step", "train", "validation"], two, this.history.correct, { valueRange: [0, 1.03] }, again);
    if (this.layers.length) {
      for (const box of this.box.querySelectorAll(".layers"))
        if (box.children.length !== this.layers.length) box.replaceChildren(...this.layers.flatMap((name, i) => { const e = make("span", {}, name); e.style.color = `var(--${many[i]})`; return [e, " "]; }));
      const positive = list => list.map(r => r.map((v, i) => i && !(v > 0) ? null : v));
      this.chart("norm", ["step", ...this.layers], many, positive(this.history.norm), { logscale: true }, again);
      this.chart("ratio", ["step", ...this.layers], many, positive(this.history.ratio), { logscale: true }, again);
    }
  }
  chart(name, labels, colours, file, more, again) {
    const options = { file, labels, colors: labels.slice(1).map((_, i) => play.colour(colours[i % colours.length])) };
    if (again) { this.charts[name]?.destroy(); delete this.charts[name]; }
    if (this.charts[name] && this.charts[name].numColumns() === labels.length)
      return this.charts[name].updateOptions(options);
    this.charts[name] = new Dygraph(this.at("chart-" + name), file, { ...options, ...more, ...play.chart() });
  }
  table() {
    const body = $("tbody", this.box), rows = [];
    if (!$("details.table", this.box).open) return;
    let last = -1;
    for (const [i, r] of this.history.loss.entries()) {
      if (r[3] === last) rows.pop();
      last = r[3];
      rows.push([r[3], play.number(r[1]), play.number(r[2]), play.number(this.history.correct[i][1], 3), play.number(this.history.correct[i][2], 3)]);
    }
    const every = Math.max(1, Math.ceil(rows.length / 200));
    body.replaceChildren(...rows.filter((_, i) => (rows.length - 1 - i) % every === 0).reverse().map(r => make("tr", {}, ...r.map(v => make("td", {}, String(v))))));
  }
  // --- by hand ------------------------------------------------------------------------------------
  async sliders(again) {
    const box = this.at("sliders");
    if (!$("details.hand", this.box).open) return;
    if (!again && this.built) this.values = (await play.ask(this.path)).values;
    box.replaceChildren();
    let shown = 0;
    for (const [name, v] of Object.entries(this.values)) {
      if (shown + v.values.length > 400) { box.append(make("p", {}, "… and more than 400: choose narrower layers")); break; }
      shown += v.values.length;
      box.append(make("h3", {}, name + " [" + v.shape.join(" ") + "]"));
      v.values.forEach((value, i) => {
        const output = make("output", {}, play.number(value, 3));
        const place = v.shape.length > 1 ? [Math.floor(i / v.shape[1]), i % v.shape[1]] : [i];
        const slider = make("input", { type: "range", min: -10, max: 10, step: 0.05, value, "aria-label": name + " " + place.join(" ") });
        slider.dataset.name = name; slider.dataset.index = i;
        slider.oninput = () => {
          v.values[i] = Number(slider.value);
          output.textContent = play.number(v.values[i], 3);
          this.put(name);
        };
        box.append(make("label", {}, "[" + place.join(", ") + "]", slider, output));
      });
    }
  }
  put(name) { // the newest of what a drag gives, one request at a time
    (this.changed ??= new Set()).add(name);
    if (this.putting) return;
    this.putting = true;
    this.queue = this.queue.then(async () => {
      const values = Object.fromEntries([...this.changed].map(n => [n, this.values[n].values]));
      this.changed.clear();
      this.putting = false;
      await play.ask(this.path + "/values", { values });
    }).catch(() => {});
  }
}

// --- the knobs ----------------------------------------------------------------------------------------
const field = name => document.getElementById("knob-" + name);
const usual = () => Object.fromEntries(knobs.map(k => [k.name, k.usual]));

function drawKnobs() {
  const groups = {};
  for (const k of knobs) {
    let input;
    const id = "knob-" + k.name, about = { id, name: k.name, title: k.help };
    if (k.kind === "s") {
      input = make("select", about, ...k.words.map(w => make("option", {}, w)));
    } else if (k.kind === "l") {
      input = make("span", { className: "pair widths" }, make("input", { ...about, type: "text", inputMode: "numeric", spellcheck: false }),
        make("input", { id: "depth", type: "number", min: 0, max: 6, "aria-label": "how many hidden layers", title: "how many hidden layers" }));
    } else if (k.words.length) {
      input = make("span", { className: "offered" }, make("input", { ...about, type: "number", min: k.least, max: k.most, step: "any", list: id + "-list" }),
        make("datalist", { id: id + "-list" }, ...k.words.map(w => make("option", { value: w }))));
    } else if (k.most <= 2000 && k.step) {
      const slider = make("input", { type: "range", min: k.least, max: k.most, step: k.step, id: id + "-slider", "aria-label": k.label, tabIndex: -1 });
      const number = make("input", { ...about, type: "number", min: k.least, max: k.most, step: k.step });
      slider.oninput = () => { number.value = slider.value; };
      number.oninput = () => { slider.value = number.value; };
      input = make("span", { className: "pair" }, slider, number);
    } else {
      input = make("input", { ...about, type: "number", min: k.least, max: k.most, step: k.step || "any" });
    }
    (groups[k.group] ??= make("fieldset", {}, make("legend", {}, k.group)))
      .append(make("div", { className: "knob", title: k.help }, make("label", { htmlFor: id }, k.label), input));
  }
  groups.Training.append(make("output", { id: "times", className: "times", title: "the least time of a step, by each engine that was tried with these settings" }));
  $("#groups").replaceChildren(...Object.values(groups));
  $("#knobs").addEventListener("change", e => {
    if (e.target.id === "two") return sideBySide(e.target.checked);
    if (e.target.id === "depth") {
      const widths = field("hidden").value.trim().split(/[ ,]+/).filter(w => w);
      const depth = Math.min(6, Math.max(0, Number(e.target.value)));
      while (widths.length < depth) widths.push(widths[widths.length - 1] || 16);
      field("hidden").value = widths.slice(0, depth).join(" ");
    }
    if (e.target.type !== "file") take();
  });
  $("#knobs").addEventListener("submit", e => e.preventDefault());
}

function fill() { // the form from the run that is edited
  for (const k of knobs) {
    const value = runs[edited].settings[k.name] ?? k.usual;
    field(k.name).value = value;
    const slider = document.getElementById("knob-" + k.name + "-slider");
    if (slider) slider.value = value;
  }
  $("#depth").value = field("hidden").value.trim().split(/[ ,]+/).filter(w => w).length;
}

function take() { // and back
  const s = {};
  for (const k of knobs) s[k.name] = k.kind === "s" || k.kind === "l" ? field(k.name).value : Number(field(k.name).value);
  runs[edited].settings = s;
  $("#depth").value = s.hidden.trim().split(/[ ,]+/).filter(w => w).length;
  remember();
  const going = runs[edited].picture?.playing;
  runs[edited].build().then(() => going && runs[edited].order("start"));
}

function remember() {
  const values = {};
  runs.forEach((run, slot) => run && Object.entries(run.settings).forEach(([k, v]) => {
    if (String(v) !== String(usual()[k])) values[(slot ? "b." : "") + k] = v;
  }));
  if (runs[1]) values.two = 1;
  play.remember(values);
}

function edit(slot) {
  if (slot && !runs[1]) { $("#two").checked = true; sideBySide(true); }
  edited = slot;
  names.forEach((_, i) => $("#edit-" + i).setAttribute("aria-pressed", i === slot));
  fill();
  runs[edited].times();
}

function sideBySide(two, settings) {
  if (two && !runs[1]) {
    runs[1] = new Run(1);
    runs[1].settings = settings ?? { ...runs[0].settings };
    $("#runs").append(runs[1].box);
    runs[1].build();
  } else if (!two && runs[1]) {
    runs[1].order("pause");
    runs[1].box.remove();
    runs[1] = null;
    play.slots[1] = null;
    edit(0);
  }
  remember();
}

// --- kept and loaded --------------------------------------------------------------------------------
async function save() {
  const run = runs[edited], state = await play.ask(run.path);
  const values = Object.fromEntries(Object.entries(state.values).map(([n, v]) => [n, v.values]));
  play.keep("taper-" + state.settings.set, { taper: "run", settings: state.settings, epoch: state.epoch, values, history: run.history });
}

async function load(file) {
  const kept = await play.kept(file, "run").catch(() => null);
  if (!kept) return;
  runs[edited].settings = kept.settings;
  fill();
  remember();
  runs[edited].build({ values: kept.values, epoch: kept.epoch, history: kept.history });
}

// --- the page ---------------------------------------------------------------------------------------
async function start() {
  await play.begin();
  ({ knobs } = await play.ask("knobs"));
  drawKnobs();
  const { page, values } = play.address(), first = { ...usual() }, second = {};
  for (const k of knobs) {
    const read = (name, to) => values.has(name) && (to[k.name] = k.kind === "s" || k.kind === "l" ? values.get(name) : Number(values.get(name)));
    read(k.name, first);
    read("b." + k.name, second);
  }
  runs[0] = new Run(0);
  runs[0].settings = first;
  $("#runs").append(runs[0].box);
  fill();
  await runs[0].build();
  if (values.has("two")) {
    $("#two").checked = true;
    sideBySide(true, { ...usual(), ...second });
  }
  $("#edit-0").onclick = () => edit(0);
  $("#edit-1").onclick = () => edit(1);
  $("#knobs .row").append(...play.files("", save, load));
  if (document.getElementById("tab-" + page)) play.show(page);
  document.documentElement.dataset.ready = "yes";
}
play.runs = runs;
start().catch(e => play.say(e.message));
}
