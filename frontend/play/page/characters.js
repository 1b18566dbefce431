// Characters: a small model of a text, and what it writes while it learns.
"use strict";
{
const slot = 3, knobs = ["context", "hidden", "rate", "epochs", "seed"];
let ready = false, picture = null, asked = false, history = [], chart = null, queue = Promise.resolve(), last = 0;
const at = id => $("#chars-" + id);

function draw() {
  asked = false;
  const p = picture;
  if (!p || $("#page-characters").hidden) return;
  if (performance.now() - last < 150 && p.playing) return; // to be read, not to flicker
  last = performance.now();
  at("written").textContent = p.written;
  for (const [id, text] of [["epoch", p.epoch + " / " + p.epochs], ["loss", play.number(p.loss)], ["correct", (100 * p.accuracy).toFixed(1) + " %"],
    ["took", p.step_seconds ? play.seconds(p.step_seconds) : at("took").textContent], ["weights", p.weights]])
    at(id).textContent = text;
  at("progress").value = p.epoch / p.epochs;
  at("start").textContent = p.playing ? "Pause" : "Start";
  at("step").disabled = p.playing;
  const options = { file: history, labels: ["step", "loss"], colors: [play.colour("zero")] };
  if (chart) chart.updateOptions(options);
  else chart = new Dygraph(at("chart"), history, { ...options, strokeWidth: 1.6, legend: "follow", axisLabelFontSize: 11, axisLineColor: play.colour("line"), gridLineColor: play.colour("line"),
    axes: { y: { axisLabelWidth: 40, valueFormatter: y => play.number(y, 3) } } });
}
function show(p) {
  if (p.error) return play.say(p.error);
  picture = p;
  if (!history.length || history[history.length - 1][0] < p.step) history.push([p.step, p.loss]);
  if (history.length > 3000) history = history.filter((_, i) => i % 2);
  if (!asked) { asked = true; requestAnimationFrame(draw); }
}
const then = f => queue = queue.then(f).catch(() => {});
const order = (what, number = 0) => then(() => play.ask("visits/" + play.visit + "/runs/" + slot + "/do", { do: what, number }));
function build() {
  return then(async () => {
    at("start").disabled = true;
    const body = { text: at("text").value, temperature: Number(at("temperature").value) };
    for (const name of knobs) body[name] = Number(at(name).value);
    play.remember(Object.fromEntries(knobs.map(n => [n, body[n]])));
    history = [];
    chart?.destroy();
    chart = null;
    await play.ask("visits/" + play.visit + "/characters", body);
    await play.ask("visits/" + play.visit + "/runs/" + slot + "/do", { do: "pace", number: 0 });
    at("start").disabled = false;
    play.say("");
  });
}
play.pages.characters = async () => {
  if (ready) return draw();
  ready = true;
  play.slots[slot] = show;
  const { values } = play.address();
  for (const name of knobs) if (values.has(name)) at(name).value = values.get(name);
  at("form").onsubmit = e => e.preventDefault();
  at("form").onchange = e => { if (e.target !== at("temperature")) build(); };
  at("temperature").oninput = () => then(() => play.ask("visits/" + play.visit + "/characters/look", { temperature: Number(at("temperature").value) }));
  at("text").onchange = build;
  at("start").onclick = () => {
    if (picture?.playing) return order("pause");
    if (picture?.done) build();
    order("start");
  };
  at("step").onclick = () => order("step");
  at("reset").onclick = build;
  await build();
};
play.recolour.push(() => { chart?.destroy(); chart = null; last = 0; draw(); });
}
