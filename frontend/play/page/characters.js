// Characters: a small model of a text, and what it writes while it learns.
"use strict";
{
let last = 0;
const lesson = new play.Lesson({
  page: "characters", prefix: "chars", slot: 3, knobs: ["context", "hidden", "rate", "epochs", "seed"],
  curves: [{ id: "chart", labels: ["loss"], row: p => [p.loss] }],
  body: () => ({ text: lesson.at("text").value, temperature: Number(lesson.at("temperature").value) }),
  numbers: p => ({ loss: play.number(p.loss), correct: play.percent(p.accuracy), weights: p.weights }),
  draw(p) {
    if (performance.now() - last < 150 && p.playing) return; // to be read, not to flicker
    last = performance.now();
    this.at("written").textContent = p.written;
  },
  opened() {
    this.at("temperature").oninput = () => this.look({ temperature: Number(this.at("temperature").value) });
    this.at("text").onchange = () => this.build();
  },
});
}
