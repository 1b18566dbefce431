// Characters: a small model of a text, and what it writes while it learns.
"use strict";
{
let last = 0;
const lesson = new play.Lesson({
  page: "characters", prefix: "chars", slot: 3, pace: 1, usual: { optimiser: "adam", rate: 0.005, batch: 64, epochs: 200 }, knobs: ["context", "hidden"], parts: ["train"],
  body: () => ({ text: lesson.at("text").value, temperature: Number(lesson.at("temperature").value) }),
  draw(p) {
    if (performance.now() - last < 150 && p.playing) return; // to be read, not to flicker
    last = performance.now();
    this.at("written").textContent = p.written;
  },
  opened() {
    this.at("temperature").oninput = () => this.look({ temperature: Number(this.at("temperature").value) });
    this.at("text").onchange = () => this.build();
  },
  kept: () => ({ text: lesson.at("text").value }),
  restored(saved) { if (saved.text) this.at("text").value = saved.text; },
});
}
