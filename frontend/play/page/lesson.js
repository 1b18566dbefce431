// What Digits, Sentences and Characters share: one run with its knobs, numbers, curves, table and file.
"use strict";
// about: page, prefix of the ids, slot, usual {optimiser, rate, batch, epochs}, knobs, body() what else a request says,
// parts of a loss, numbers(picture) texts by id, draw(picture), opened(), built(answer), kept() and restored(of a file).
play.Lesson = class {
  constructor(about) {
    Object.assign(this, about);
    this.knobs = [...this.knobs, "optimiser", "rate", "batch", "epochs", "seed"];
    this.queue = Promise.resolve();
    this.charts = {};
    this.last = 0;
    play.pages[this.page] = () => this.open();
    play.recolour.push(() => { this.forget(); this.last = 0; if (this.picture) this.paint(); });
  }
  at(id) { return $("#" + this.prefix + "-" + id); }
  get path() { return "visits/" + play.visit + "/" + this.page; }
  get runPath() { return "visits/" + play.visit + "/runs/" + this.slot + "/do"; }
  then(f) { return this.queue = this.queue.then(f).catch(() => {}); } // requests come one after the other
  look(what) { return this.then(() => play.ask(this.path + "/look", what)); }
  order(what, number = 0) { return this.then(() => play.ask(this.runPath, { do: what, number })); }
  settings() {
    return Object.fromEntries(this.knobs.map(name => [name, this.at(name).type === "number" ? Number(this.at(name).value) : this.at(name).value]));
  }
  forget() {
    for (const chart of Object.values(this.charts)) chart.destroy();
    this.charts = {};
  }
  // The buttons, and the knobs that every lesson has.
  furnish() {
    const id = name => this.prefix + "-" + name, form = this.at("form"), u = this.usual;
    const button = (name, press, more) => { const b = make("button", { type: "button", id: id(name.toLowerCase()), ...more }, name); b.onclick = press; return b; };
    const number = (name, label, min, max, value, step = 1) => make("label", {}, label + " ", make("input", { id: id(name), type: "number", min, max, step, value }));
    form.prepend(button("Start", () => this.toggle(), { className: "primary" }), button("Step", () => this.order("step")), button("Reset", () => this.build()));
    form.append(make("label", {}, "optimiser ", make("select", { id: id("optimiser") }, ...play.optimisers.map(w => make("option", { selected: w === u.optimiser }, w)))),
      number("rate", "learning rate", 0.000001, 1, u.rate, "any"), number("batch", "batch", 1, 256, u.batch), number("epochs", "epochs", 1, 10000, u.epochs), number("seed", "seed", 0, 999999, 1),
      make("span", { className: "bar last" }, ...play.files(this.prefix + "-", () => this.save(), f => this.load(f))));
    form.after(make("progress", { id: id("progress"), max: 1, value: 0, "aria-label": "epochs done" }));
    form.onsubmit = e => e.preventDefault();
    form.onchange = e => { if (this.knobs.includes(e.target.id.slice(this.prefix.length + 1))) this.build(); };
    this.at("table").ontoggle = () => this.table();
  }
  toggle() {
    if (this.picture?.playing) return this.order("pause");
    if (this.picture?.done) this.build();
    return this.order("start");
  }
  // A new run of the knobs, or of what was saved.
  build(saved) {
    return this.then(async () => {
      this.at("start").disabled = true;
      play.remember(this.settings());
      this.history = [];
      this.epochs = [];
      this.speed = null;
      this.forget();
      const made = await play.ask(this.path, { ...this.settings(), ...this.body?.(), ...(saved && { values: saved.values, epoch: saved.epoch }) });
      if (saved) ({ history: this.history, epochs: this.epochs } = saved);
      this.base = saved ? this.history[this.history.length - 1]?.[0] ?? 0 : 0; // steps before it was saved
      await play.ask(this.runPath, { do: "pace", number: this.pace ?? 0 });
      this.at("start").disabled = false;
      play.say("");
      await this.built?.(made);
      if (this.late) this.show(this.late);
    });
  }
  async save() {
    const state = await play.ask(this.path);
    play.keep("taper-" + this.page, { taper: this.page, settings: this.settings(), ...this.kept?.(), ...state, history: this.history, epochs: this.epochs });
  }
  async load(file) {
    const saved = await play.kept(file, this.page).catch(() => null);
    if (!saved) return;
    for (const name of this.knobs) if (name in saved.settings) this.at(name).value = saved.settings[name];
    this.restored?.(saved);
    this.build(saved);
  }
  async open() {
    if (this.ready) return this.picture && this.paint();
    this.ready = true;
    play.slots[this.slot] = p => this.show(p);
    this.furnish();
    const { values } = play.address();
    for (const name of this.knobs) if (values.has(name)) this.at(name).value = values.get(name);
    this.opened?.();
    await this.build();
  }
  show(p) {
    if (p.error) return play.say(p.error);
    if (this.at("start").disabled) { this.late = p; return; } // of the run that is being made
    this.late = null;
    const step = p.step + this.base, row = [p.epoch, [p.loss].flat(), [p.accuracy].flat()], { history, epochs } = this;
    this.picture = p;
    if (!history.length || history[history.length - 1][0] < step) history.push([step, ...row.slice(1)]);
    if (history.length > 3000) this.history = history.filter((_, i) => i % 2);
    if (epochs.length && epochs[epochs.length - 1][0] === p.epoch) epochs.pop();
    epochs.push(row);
    if (!this.asked) { this.asked = true; requestAnimationFrame(() => { this.asked = false; this.paint(); }); }
  }
  left(p) {
    if (!p.playing) { this.speed = null; return p.done ? "done" : "–"; }
    this.speed ??= { epoch: p.epoch, at: performance.now() };
    const passed = performance.now() - this.speed.at, epochs = p.epoch - this.speed.epoch;
    return epochs > 0 && passed > 300 ? play.seconds((p.epochs - p.epoch) * passed / epochs / 1000) : this.at("left").textContent;
  }
  paint() {
    const p = this.picture;
    if ($("#page-" + this.page).hidden) return;
    this.draw(p);
    const [loss, lossHeld] = [p.loss].flat(), [correct, correctHeld] = [p.accuracy].flat();
    const texts = { epoch: p.epoch + " / " + p.epochs, loss: play.number(loss), "loss-v": play.number(lossHeld), correct: play.percent(correct), "correct-v": play.percent(correctHeld),
      took: p.step_seconds ? play.seconds(p.step_seconds) : this.at("took").textContent, left: this.left(p), weights: p.weights?.toLocaleString("en") };
    for (const [id, text] of Object.entries(texts))
      if (this.at(id) && this.at(id).textContent !== text) this.at(id).textContent = text;
    this.at("progress").value = p.epoch / p.epochs;
    this.at("start").textContent = p.playing ? "Pause" : "Start";
    this.at("step").disabled = p.playing;
    if (performance.now() - this.last < 150 && p.playing) return;
    this.last = performance.now();
    this.chart("chart-loss", 1, {});
    this.chart("chart-correct", 2, { valueRange: [0, 1.03] });
    this.table();
  }
  chart(id, part, more) {
    const file = this.history.map(row => [row[0], ...row[part]]), options = { file, labels: ["step", ...this.parts], colors: [play.colour("zero"), play.colour("one")] };
    if (!file.length) return;
    if (this.charts[id]) return this.charts[id].updateOptions(options);
    this.charts[id] = new Dygraph(this.at(id), file, { ...options, ...more, ...play.chart() });
  }
  table() {
    if (!this.at("table").open || !this.epochs) return;
    const heads = ["epoch", ...this.parts.map(p => "loss, " + p), ...this.parts.map(p => "correct, " + p)];
    const every = Math.max(1, Math.ceil(this.epochs.length / 200)), last = this.epochs.length - 1;
    $("table", this.at("table")).replaceChildren(make("thead", {}, make("tr", {}, ...heads.map(h => make("th", {}, h)))),
      make("tbody", {}, ...this.epochs.filter((_, i) => (last - i) % every === 0).reverse().map(([epoch, loss, correct]) =>
        make("tr", {}, ...[epoch, ...loss.map(v => play.number(v)), ...correct.map(play.percent)].map(v => make("td", {}, String(v)))))));
  }
};
play.optimisers = "adam sgd adamw rmsprop adagrad adamax nadam radam adadelta lion lamb lars adafactor muon".split(" ");
