// Digits: LeNet-5 while it learns: a picture, what each layer makes of it, which digit is taken for which.
"use strict";
{
const at = id => $("#digits-" + id);
const size = 28;

// Shades of a picture, drawn as large as its canvas.
function paint(canvas, text, side, from = 0) {
  const small = make("canvas", { width: side, height: side }), c = small.getContext("2d"), bits = c.createImageData(side, side);
  const low = play.rgb("code"), high = play.rgb("ink");
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

const lesson = new play.Lesson({
  page: "digits", prefix: "digits", slot: 2, usual: { optimiser: "sgd", rate: 0.05, batch: 32, epochs: 20 }, knobs: ["data", "samples"], parts: ["train", "test"],
  body: () => ({ mnist: at("data").value === "mnist" }),
  draw(p) {
    if (!p.look) return;
    if (!drawing) paint(at("picture"), atob(p.look.pixels), size);
    bars(p.look);
    layers(p.look);
    confusion(p.confusion);
  },
  built(made) {
    at("data").lastElementChild.disabled = !made.mnist;
    return play.ask(this.path + "/look", { image: Number(at("image").value) });
  },
  opened() {
    at("image").onchange = () => { drawing = false; this.look({ image: Number(at("image").value) }); };
    at("clear").onclick = () => { ink = Array(size * size).fill(0); drawing = true; down = false; tip = [size / 2, 4]; paintInk(); };
    const canvas = at("picture");
    canvas.onkeydown = penByKey;
    canvas.onpointerdown = e => { if (!drawing) at("clear").click(); held = true; canvas.setPointerCapture(e.pointerId); pen(e); };
    canvas.onpointermove = e => { if (held) pen(e); };
    canvas.onpointerup = () => { held = false; send(); };
  },
});

// --- a digit by hand: ink follows the mouse, and is moved to the middle as MNIST's are ----------------
let drawing = false, ink = null, held = false, sent = 0, down = false, tip = [size / 2, 4];
function dab(x, y) {
  for (let i = 0; i < size * size; i++) {
    const far = Math.hypot(i % size + 0.5 - x, Math.floor(i / size) + 0.5 - y);
    ink[i] = Math.max(ink[i], far < 1 ? 255 : far < 2.1 ? 255 * (2.1 - far) / 1.1 : 0);
  }
  if (performance.now() - sent > 60) send();
}
const paintInk = () => paint(at("picture"), String.fromCharCode(...ink.map(Math.round)), size);
function pen(e) {
  const r = at("picture").getBoundingClientRect();
  dab((e.clientX - r.left) / r.width * size, (e.clientY - r.top) / r.height * size);
  paintInk();
}
// Arrow keys move the pen, which a ring shows; space lowers and lifts it.
function penByKey(e) {
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0] }[e.key];
  if (!by) return;
  e.preventDefault();
  if (!drawing) at("clear").click();
  if (e.key === " ") down = !down;
  tip = tip.map((v, i) => Math.min(size - 1, Math.max(1, v + by[i])));
  if (down) dab(...tip);
  else if (e.key === " ") send();
  paintInk();
  const c = at("picture").getContext("2d"), scale = at("picture").width / size;
  c.strokeStyle = play.colour(down ? "one" : "zero");
  c.lineWidth = 3;
  c.beginPath();
  c.arc(tip[0] * scale, tip[1] * scale, 9, 0, 7);
  c.stroke();
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
  lesson.look({ pixels });
}
}
