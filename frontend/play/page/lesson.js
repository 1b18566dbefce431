// What Digits, Characters and Sentences share: one run with its knobs, numbers, curves, table and file.
"use strict";
// about: page, prefix of the ids, slot, knobs, body() what else a request says, kept what of it is saved,
// curves [{ id, labels, row(picture), range }], numbers(picture) texts by id, draw(picture), opened(), built().
play.Lesson = class {
  constructor(about) {
    Object.assign(this, about);
    this.queue = Promise.resolve();
    this.charts = {};
    this.last = 0;
    play.pages[this.page] = () => this.open();
    play.recolour.push(() => { this.forget(); this.last = 0; if (this.picture) this.paint(); });
  }
  at(id) { return $("#" + this.prefix + "-" + id); }
  get path() { return "visits/" + play.visit + "/" + this.page; }
  then(f) { return this.queue = this.queue.then(f).catch(() => {}); } // requests come one after the other
  look(what) { return this.then(() => play.ask(this.path + "/look", what)); }
  order(what, number = 0) { return this.then(() => play.ask("visits/" + play.visit + "/runs/" + this.slot + "/do", { do: what, number })); }
  settings() {
    return Object.fromEntries(this.knobs.map(name => [name, this.at(name).type === "number" ? Number(this.at(name).value) : this.at(name).value]));
  }
  forget() {
    for (const chart of Object.values(this.charts)) chart.destroy();
    this.charts = {};
  }
  // A new run of the knobs, or of what was saved.
  build(saved) {
    return this.then(async () => {
      this.at("start").disabled = true;
      play.remember(this.settings());
      this.history = [];
      this.epochs = [];
      this.forget();
      const made = await play.ask(this.path, { ...this.settings(), ...this.body?.(), ...saved?.state });
      if (saved) ({ history: this.history, epochs: this.epochs } = saved);
      await play.ask("visits/" + play.visit + "/runs/" + this.slot + "/do", { do: "pace", number: 0 });
      this.at("start").disabled = false;
      play.say("");
      await this.built?.(made);
    });
  }
  async open() {
    if (this.ready) return this.picture && this.paint();
    this.ready = true;
    play.slots[this.slot] = p => this.show(p);
    const { values } = play.address();
    for (const name of this.knobs) if (values.has(name)) this.at(name).value = values.get(name);
    this.at("form").onsubmit = e => e.preventDefault();
    this.at("form").onchange = e => { if (this.knobs.includes(e.target.id.slice(this.prefix.length + 1))) this.build(); };
    this.at("start").onclick = () => {
      if (this.picture?.playing) return this.order("pause");
      if (this.picture?.done) this.build();
      this.order("start");
    };
    this.at("step").onclick = () => this.order("step");
    this.at("reset").onclick = () => this.build();
    this.opened?.();
    await this.build();
  }
  show(p) {
    if (p.error) return play.say(p.error);
    this.picture = p;
    const rows = this.curves.map(c => c.row(p)), last = this.history[this.history.length - 1];
    if (!last || last[0] < p.step) this.history.push([p.step, rows]);
    if (this.history.length > 3000) this.history = this.history.filter((_, i) => i % 2);
    if (!this.asked) { this.asked = true; requestAnimationFrame(() => { this.asked = false; this.paint(); }); }
  }
  paint() {
    const p = this.picture;
    if ($("#page-" + this.page).hidden) return;
    this.draw(p);
    for (const [id, text] of Object.entries({ epoch: p.epoch + " / " + p.epochs, took: p.step_seconds ? play.seconds(p.step_seconds) : this.at("took").textContent, ...this.numbers(p) }))
      if (this.at(id).textContent !== String(text)) this.at(id).textContent = text;
    this.at("progress").value = p.epoch / p.epochs;
    this.at("start").textContent = p.playing ? "Pause" : "Start";
    this.at("step").disabled = p.playing;
    if (performance.now() - this.last < 150 && p.playing) return;
    this.last = performance.now();
    this.curves.forEach((curve, i) => this.chart(curve, this.history.map(([step, rows]) => [step, ...rows[i]])));
  }
  chart({ id, labels, range }, file) {
    const options = { file, labels: ["step", ...labels], colors: [play.colour("zero"), play.colour("one")] };
    if (!file.length) return;
    if (this.charts[id]) return this.charts[id].updateOptions(options);
    this.charts[id] = new Dygraph(this.at(id), file, { ...options, ...(range && { valueRange: range }), ...play.chart() });
  }
};
