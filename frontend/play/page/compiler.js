// Compiler: a model at each stage, its graph beside its text, what each kernel costs, the arena.
"use strict";
{
const graphs = { loops: "fuse", c: "fuse", cuda: "fuse" }; // what is drawn beside texts without a graph
const before = { grad: "trace", simple: "grad", layout: "simple", fuse: "simple", plan: "fuse" };
let stage = "fuse", own = null, zoom = 1, known = {}, turn = 0, ready = false;

const what = () => own === null ? { model: $("#model").value } : { text: own };
// Answers stay as long as the model does.
function get(path, more) {
  const key = path + JSON.stringify(more);
  return known[key] ??= play.ask(path, { ...what(), program: $("#program").value, ...more })
    .catch(e => { delete known[key]; throw e; });
}

// --- the text, line by line -----------------------------------------------------------------------
const plain = line => line.replace(/(?<=\S)\s*(#|\/\/) .*$/, "").replace(/%\d+/g, "%").trim();
const escape = text => text.replace(/[&<>]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);

function drawText(text, older) {
  const lines = text.split("\n"), box = $("#text"), counts = new Map(), fresh = [];
  const pretty = lines.length < 2500;
  if (older) for (const l of older.split("\n").map(plain)) counts.set(l, (counts.get(l) || 0) + 1);
  box.replaceChildren(...lines.map(line => {
    const row = make("div"), key = plain(line);
    if (pretty) row.innerHTML = PR.prettyPrintOne(escape(line) || " ", stage === "c" || stage === "cuda" ? "c" : "py");
    else row.textContent = line || " ";
    const value = /^\s*%(\d+) = /.exec(line), of = /\{(\d+) \w+\}\s*$/.exec(line), place = /(?:#|\/\/) (\S+:\d+)/.exec(line);
    if (stage in graphs ? of : value) row.dataset.node = (stage in graphs ? of : value)[1];
    if (place) row.dataset.place = place[1];
    if (older && key) {
      const left = counts.get(key) || 0;
      if (left) counts.set(key, left - 1);
      else { row.className = "new"; fresh.push(line); }
    }
    return row;
  }));
  const gone = older ? [...counts].flatMap(([l, n]) => l ? Array(n).fill(l) : []) : [];
  $("#changed").textContent = older ? `${fresh.length} lines new, ${gone.length} gone since ${before[stage]}` : "";
  $("#only-new").parentElement.hidden = $("#gone").hidden = !older;
  if (!older) $("#only-new").checked = false;
  box.classList.toggle("only", $("#only-new").checked);
  $("#gone summary").textContent = `${gone.length} lines of ${before[stage]} that are gone`;
  $("#gone pre").replaceChildren(...gone.map(l => make("div", {}, l)));
}

// --- a node and its lines ---------------------------------------------------------------------------
let placeOf = {}; // of the graph that is drawn
function light(node, place) {
  for (const e of document.querySelectorAll("#page-compiler .lit, #page-compiler .near")) if (e.tagName !== "SPAN") e.classList.remove("lit", "near");
  const program = $("#program-text");
  for (const row of program.children)
    if (place && row.dataset.place === place) {
      row.classList.add("lit");
      program.scrollTop = row.offsetTop - program.offsetTop - program.clientHeight / 2;
    }
  for (const r of document.querySelectorAll("#arena rect"))
    if (r.dataset.node === node) { r.classList.add("lit"); $("#arena-chosen").textContent = $("title", r).textContent; }
  let first = null;
  for (const row of $("#text").children) {
    const same = node !== undefined && row.dataset.node === node;
    if (same || (place && row.dataset.place === place)) row.classList.add(same ? "lit" : "near");
    if (same || (!first && row.classList.contains("near"))) first = same && first?.classList.contains("lit") ? first : row;
  }
  for (const g of document.querySelectorAll("#graph g.node")) {
    const id = $("title", g)?.textContent.slice(1);
    if (id === node) g.classList.add("lit");
    else if (place && placeOf[id] === place) g.classList.add("near");
  }
  if (own !== null && place?.startsWith("model.tp:")) { // the visitor's own line
    const lines = own.split("\n"), n = Number(place.split(":")[1]);
    const from = lines.slice(0, n - 1).join("\n").length + (n > 1);
    $("#own-text").setSelectionRange(from, from + (lines[n - 1] || "").length);
  }
  return first;
}
$("#graph").addEventListener("click", e => {
  const g = e.target.closest?.("g.node");
  if (!g) return;
  const id = $("title", g).textContent.slice(1);
  light(id, placeOf[id])?.scrollIntoView({ block: "center", inline: "nearest" });
});
function lightRow(row) {
  if (!row?.dataset.node && !row?.dataset.place) return;
  light(row.dataset.node, row.dataset.place);
  $("#graph g.lit, #graph g.near")?.scrollIntoView({ block: "center", inline: "center" });
}
for (const box of [$("#text"), $("#program-text")]) {
  box.addEventListener("click", e => lightRow(e.target.closest("div")));
  box.addEventListener("keydown", e => play.walk(e, [...box.children].filter(r => r.dataset.node || r.dataset.place), r => r.classList.contains("lit"), lightRow));
}
$("#arena").addEventListener("keydown", e => play.walk(e, [...document.querySelectorAll("#arena rect")], r => r.classList.contains("lit"), r => light(r.dataset.node, placeOf[r.dataset.node])));

// --- the user's program: the C that records a built-in model, or the text of one's own -----------------
async function drawProgram(mine) {
  const box = $("#program-text"), files = {};
  const line = (text, file, n, pretty) => {
    const row = make("div", {}, make("small", {}, String(n))), code = make("span");
    code.innerHTML = pretty ? PR.prettyPrintOne(escape(text) || " ", "c") : escape(text);
    row.append(code);
    row.dataset.place = file + ":" + n;
    return row;
  };
  if (own !== null) {
    $("#program-about").textContent = "your text";
    return box.replaceChildren(...own.split("\n").map((t, i) => line(t, "model.tp", i + 1, false)));
  }
  for (const place of Object.values(placeOf)) {
    const [file, n] = place.split(":");
    if (file.startsWith("models")) (files[file] ??= []).push(Number(n));
  }
  const rows = [];
  for (const [file, used] of Object.entries(files).sort().reverse()) {
    const lines = (await play.ask("source/" + file)).text.split("\n"), shown = new Set();
    for (const n of used) { // the whole function around it
      let from = n - 1, to = n - 1;
      while (from > 0 && !/^[a-z].*\(/.test(lines[from])) from--;
      while (from > 0 && /^(\/\*| \*)/.test(lines[from - 1])) from--;
      while (to < lines.length - 1 && lines[to] !== "}") to++;
      for (let i = from; i <= to; i++) shown.add(i);
    }
    const order = [...shown].sort((a, b) => a - b);
    order.forEach((i, k) => {
      const row = line(lines[i], file, i + 1, true);
      if (k ? order[k - 1] !== i - 1 : rows.length) row.className = "gap";
      rows.push(row);
    });
  }
  if (mine !== turn) return;
  $("#program-about").textContent = "the C that records this model: " + Object.keys(files).sort().reverse().join(", ");
  box.replaceChildren(...rows);
}

// --- the graph ------------------------------------------------------------------------------------
function scale() {
  const svg = $("#graph svg");
  if (!svg) return;
  const [, , w, h] = svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
  svg.setAttribute("width", w * zoom);
  svg.setAttribute("height", h * zoom);
}
function fit() {
  const svg = $("#graph svg");
  if (!svg) return;
  const [, , w] = svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
  zoom = Math.min(1.3, ($("#graph").clientWidth - 8) / w);
  zoom = Math.max(zoom, 0.5);
  scale();
}
const larger = by => { zoom = Math.min(6, Math.max(0.05, zoom * by)); scale(); };
$("#zoom-in").onclick = () => larger(1.25);
$("#zoom-out").onclick = () => larger(0.8);
$("#zoom-fit").onclick = fit;
$("#graph").addEventListener("wheel", e => { if (e.ctrlKey) { e.preventDefault(); larger(e.deltaY < 0 ? 1.1 : 0.9); } }, { passive: false });
$("#graph").addEventListener("keydown", e => {
  if (e.key === "+" || e.key === "=") larger(1.25);
  else if (e.key === "-") larger(0.8);
  else if (e.key === "0") fit();
  else play.walk(e, [...document.querySelectorAll("#graph g.node")].filter(g => $("title", g).textContent[0] === "v"), g => g.classList.contains("lit"), g => { const id = $("title", g).textContent.slice(1); light(id, placeOf[id]); });
});

async function drawGraph(mine) {
  const box = $("#graph"), shown = graphs[stage] || stage;
  const [answer, source] = await Promise.all([get("draw", { stage: shown, fold: $("#fold").checked }), get("show", { stage: shown })]);
  if (mine !== turn) return;
  placeOf = {};
  for (const line of source.text.split("\n")) {
    const m = /^\s*%(\d+) = .*# (\S+:\d+)/.exec(line);
    if (m) placeOf[m[1]] ??= m[2];
  }
  if (answer.missing) return box.replaceChildren(make("p", { className: "soft" }, answer.missing));
  const svg = new DOMParser().parseFromString(answer.svg, "image/svg+xml").documentElement;
  box.replaceChildren(document.importNode(svg, true));
  fit();
  const first = $("g.node", box)?.getBoundingClientRect(), frame = box.getBoundingClientRect();
  if (first) { box.scrollLeft += first.left - frame.left - frame.width / 2; box.scrollTop += first.top - frame.top - 40; }
}

// --- the arena ------------------------------------------------------------------------------------
function drawArena(text) {
  const places = [], shape = "http://www.w3.org/2000/svg";
  let bytes = 1, runs = 1;
  for (const line of text.split("\n")) {
    const all = /^# arena (\d+) bytes/.exec(line);
    if (all) { if (places.length) break; bytes = Number(all[1]) || 1; }
    const m = /^# place (%\d+)([^:]*): arena \+ (\d+), (\d+) bytes, runs (\d+) to (\d+)/.exec(line);
    if (m) places.push({ node: m[1], name: m[2].trim(), at: +m[3], size: +m[4], from: +m[5], to: +m[6] });
  }
  for (const p of places) runs = Math.max(runs, p.to + 1);
  const svg = document.createElementNS(shape, "svg"), colours = ["zero", "one", "third", "fourth", "accent"];
  svg.setAttribute("viewBox", `0 0 ${runs} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${places.length} arrays in ${bytes} bytes over ${runs} kernels`);
  places.forEach((p, i) => {
    const r = document.createElementNS(shape, "rect"), title = document.createElementNS(shape, "title");
    for (const [k, v] of Object.entries({ x: p.from, width: p.to - p.from + 1, y: 100 - (p.at + p.size) * 100 / bytes, height: p.size * 100 / bytes, "vector-effect": "non-scaling-stroke" }))
      r.setAttribute(k, v);
    r.style.fill = `var(--${colours[i % colours.length]})`;
    title.textContent = `${p.name || p.node}: ${p.size} bytes at ${p.at}, kernels ${p.from} to ${p.to}`;
    r.append(title);
    r.dataset.node = p.node.slice(1);
    r.onclick = () => light(p.node.slice(1), placeOf[p.node.slice(1)])?.scrollIntoView({ block: "center" });
    svg.append(r);
  });
  $("#arena").replaceChildren(svg);
  $("#arena-about").textContent = `${bytes.toLocaleString("en")} bytes for ${places.length} arrays: across, ${runs} kernels in their order; up, the address`;
}

// --- kernels --------------------------------------------------------------------------------------
async function measure() {
  const table = $("#kernels"), mine = turn;
  table.classList.add("busy");
  $("#measure").disabled = true;
  try {
    delete known["explain" + JSON.stringify({})];
    const { kernels } = await get("explain", {});
    if (mine !== turn) return;
    const heads = ["kernel", "time", "share", "GFLOP/s", "GB/s", "of the roof", "bound by", "computes", "loops", "apart from"];
    table.replaceChildren(make("thead", {}, make("tr", {}, ...heads.map(h => make("th", { className: ["kernel", "computes", "loops", "apart from"].includes(h) ? "words" : "" }, h)))),
      make("tbody", {}, ...kernels.map(k => {
        const apart = k.apart.map(a => a.from + ": " + a.why).join("; ");
        const row = make("tr", { tabIndex: 0 }, make("td", { className: "words" }, k.kernel), ...[play.seconds(k.ms / 1000), (100 * k.share).toFixed(1) + " %",
          (k.flops / k.ms * 1e-6).toFixed(1), (k.bytes / k.ms * 1e-6).toFixed(1), (100 * k.roof).toFixed(0) + " %", k.bound].map(v => make("td", {}, v)),
          ...[k.maths.replace(/\n \* /g, "\n"), k.loops, apart].map(v => make("td", { className: "words" }, v)));
        row.onclick = row.onkeydown = e => {
          if (e.type === "keydown" && e.key !== "Enter") return;
          const found = [...$("#text").children].find(r => r.textContent.includes("kernel " + k.kernel) || r.textContent.includes("void " + k.kernel + "("));
          light();
          found?.classList.add("lit");
          found?.scrollIntoView({ block: "center" });
        };
        return row;
      })));
  } catch { /* told */ }
  table.classList.remove("busy");
  $("#measure").disabled = false;
}
$("#measure").onclick = measure;

// --- all of it -------------------------------------------------------------------------------------
async function draw() {
  const mine = ++turn, panes = $(".panes");
  for (const b of $("#stages").children) b.setAttribute("aria-pressed", b.textContent === stage);
  $("#stage-about").textContent = stages.find(s => s[0] === stage)[1];
  $("#text-title").textContent = stage;
  $("#program").disabled = stage === "trace" || own !== null;
  panes.classList.add("busy");
  play.say("");
  play.remember({ ...(own === null && { model: $("#model").value }), stage, program: $("#program").value });
  try {
    const [text, older] = await Promise.all([get("show", { stage }), before[stage] ? get("show", { stage: before[stage] }) : null]);
    if (mine !== turn) return;
    drawText(text.text, older?.text);
    $("#own").open || own !== null || ($("#own-text").value = stage in graphs ? $("#own-text").value : text.text);
    await drawGraph(mine);
    if (mine === turn) await drawProgram(mine);
    const plan = await get("show", { stage: "plan" });
    if (mine === turn) drawArena(plan.text);
  } catch (e) { play.say(e.message); }
  if (mine === turn) panes.classList.remove("busy");
}
let stages = [];
function change() { known = {}; $("#kernels").replaceChildren(); return draw(); }

async function open() {
  if (ready) return;
  ready = true;
  const about = await play.ask("models");
  stages = about.stages;
  $("#model").replaceChildren(...about.models.map(m => make("option", { title: m[1] }, m[0])), make("option", { value: "" }, "(a text of your own)"));
  $("#stages").replaceChildren(...stages.map(([name, words]) => {
    const b = make("button", { type: "button", title: words }, name);
    b.onclick = () => { stage = name; draw(); };
    return b;
  }));
  const { values } = play.address();
  $("#model").value = about.models.some(m => m[0] === values.get("model")) ? values.get("model") : "lenet";
  if (stages.some(s => s[0] === values.get("stage"))) stage = values.get("stage");
  if (values.get("program") === "eval") $("#program").value = "eval";
  $("#model").onchange = () => {
    own = $("#model").value ? null : $("#own-text").value;
    $("#own").open = own !== null;
    change();
  };
  $("#program").onchange = change;
  $("#fold").onchange = draw;
  $("#only-new").onchange = () => $("#text").classList.toggle("only", $("#only-new").checked);
  $("#own-use").onclick = () => { own = $("#own-text").value; $("#model").value = ""; change(); };
  if (own !== null) { $("#model").value = ""; $("#own-text").value = own; }
  await draw();
}
play.pages.compiler = open;
play.compile = (text, name) => {
  own = text;
  $("#own-text").value = text;
  play.show("compiler");
  if ($("#model").options.length) { $("#model").value = ""; change(); }
};
}
