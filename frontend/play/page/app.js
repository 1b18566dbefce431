// What the pages share: requests, the one stream of events, tabs, colours, settings in the address.
"use strict";
const $ = (what, where = document) => where.querySelector(what);
const make = (tag, attributes = {}, ...inside) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes))
    k in e && k !== "list" ? (e[k] = v) : e.setAttribute(k, v);
  e.append(...inside);
  return e;
};
const play = {
  visit: null, pages: {}, slots: [],
  say(text) { $("#said").textContent = text || ""; },
  // The answer; a refusal is told and thrown.
  async ask(path, body) {
    const said = await fetch("api/" + path, body === undefined ? {} :
      { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })
      .catch(() => { throw play.refuse("taper play does not answer any more"); });
    const answer = await said.json();
    if (!said.ok) throw play.refuse(answer.error);
    return answer;
  },
  refuse(text) { play.say(text); return new Error(text); },
  colour: name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(),
  number: (x, digits = 4) => x === null || x === undefined ? "–" : Number(x).toPrecision(digits),
  seconds(s) {
    if (s === null || !isFinite(s)) return "–";
    for (const [unit, size] of [["s", 1], ["ms", 1e-3], ["µs", 1e-6]])
      if (s >= size) return (s / size).toPrecision(3) + " " + unit;
    return (s * 1e9).toPrecision(3) + " ns";
  },
};

// How every curve is drawn.
play.chart = () => ({
  strokeWidth: 1.6, legend: "follow", axisLabelFontSize: 11, axisLineColor: play.colour("line"), gridLineColor: play.colour("line"),
  axes: { x: { pixelsPerLabel: 50, axisLabelFormatter: x => Math.abs(x) >= 1000 ? x / 1000 + "k" : play.short(x) },
    y: { axisLabelWidth: 46, pixelsPerLabel: 26, valueFormatter: y => play.number(y, 3), axisLabelFormatter: y => play.short(y) } },
});
// A drawing by Graphviz whose nodes v1, v2, .. can be pressed, by arrow keys and Enter as well.
play.drawing = (box, svg, press) => {
  if (!svg) return box.replaceChildren(make("p", { className: "soft" }, "Graphviz is not on this machine: apt install graphviz"));
  box.replaceChildren(document.importNode(new DOMParser().parseFromString(svg, "image/svg+xml").documentElement, true));
  const id = g => Number($("title", g).textContent.slice(1));
  for (const g of box.querySelectorAll("g.node")) g.onclick = () => press(id(g));
  box.onkeydown = e => { play.walk(e, [...box.querySelectorAll("g.node")], g => g.classList.contains("lit"), g => press(id(g))); };
};
// Arrow keys go from one of a list to the next; true: the key was one of them.
play.walk = (e, list, chosen, choose) => {
  const at = list.findIndex(chosen), to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: list.length - 1 }[e.key];
  if (to === undefined || !list.length) return false;
  const next = list[Math.max(0, Math.min(to, list.length - 1))];
  choose(next);
  next.scrollIntoView({ block: "nearest", inline: "nearest" });
  e.preventDefault();
  return true;
};
play.short = x => Number(Number(x).toPrecision(3));
play.percent = a => a === null || a === undefined ? "–" : (100 * a).toFixed(1) + " %";
play.rgb = name => { const t = play.colour(name); return [1, 3, 5].map(i => parseInt(t.slice(i, i + 2), 16)); };

// A file for the visitor, and one of the visitor's.
play.keep = (name, what) => {
  const link = make("a", { href: URL.createObjectURL(new Blob([JSON.stringify(what)], { type: "application/json" })), download: name + ".json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
play.kept = async (file, kind) => {
  try {
    const kept = JSON.parse(await file.text());
    if (kept?.taper === kind) return kept;
  } catch { /* told below */ }
  throw play.refuse("that file is no saved run of this page");
};
// Save, Load and Copy link, for the end of a form.
play.files = (id, save, load) => {
  const file = make("input", { type: "file", id: id + "file", accept: ".json,application/json", hidden: true });
  file.onchange = () => { if (file.files[0]) load(file.files[0]); file.value = ""; };
  const button = (name, title, press) => { const b = make("button", { type: "button", id: id + name.split(" ").pop().toLowerCase(), title }, name); b.onclick = press; return b; };
  return [button("Save", "settings, weights and curves, as a file", save), button("Load", "what was saved", () => file.click()),
    button("Copy link", "the address of these settings", () => navigator.clipboard?.writeText(location.href).then(() => play.say("the address is copied"), () => play.say(location.href))), file];
};

// --- settings live in the address after #: a page's name, and what is not as usual ------------------
play.address = () => {
  const [page, ...rest] = location.hash.slice(1).split("&");
  return { page: page || "train", values: new URLSearchParams(rest.join("&")) };
};
play.remember = values => {
  const page = play.address().page, text = new URLSearchParams(values).toString();
  history.replaceState(null, "", "#" + page + (text ? "&" + text : ""));
};

// --- tabs: arrows move, as everywhere -------------------------------------------------------------
play.show = name => {
  for (const tab of document.querySelectorAll("#tabs [role=tab]")) {
    const chosen = tab.id === "tab-" + name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    $("#" + tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (play.address().page !== name) history.replaceState(null, "", "#" + name);
  play.say("");
  play.pages[name]?.();
};
$("#tabs").addEventListener("click", e => e.target.id?.startsWith("tab-") && play.show(e.target.id.slice(4)));
$("#tabs").addEventListener("keydown", e => {
  const tabs = [...document.querySelectorAll("#tabs [role=tab]")];
  const at = tabs.indexOf(document.activeElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[e.key];
  if (to === undefined || at < 0) return;
  const tab = tabs[(to + tabs.length) % tabs.length];
  tab.focus();
  play.show(tab.id.slice(4));
  e.preventDefault();
});

// --- light and dark -------------------------------------------------------------------------------
play.recolour = [];
const wanted = matchMedia("(prefers-color-scheme: dark)");
const colour = dark => {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  play.recolour.forEach(f => f());
};
colour(wanted.matches);
wanted.addEventListener("change", e => colour(e.matches));
$("#theme").addEventListener("click", () => colour(document.documentElement.dataset.theme !== "dark"));

// --- the visit: one stream carries both runs ------------------------------------------------------
play.begin = async () => {
  play.visit = (await play.ask("visits", {})).visit;
  const stream = new EventSource("api/visits/" + play.visit + "/events");
  stream.onmessage = e => {
    const picture = JSON.parse(e.data);
    play.slots[picture.slot]?.(picture);
  };
  addEventListener("pagehide", () => stream.close());
};
