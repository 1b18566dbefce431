// Modules: a tree of modules as text, what each gives, and the parameters by their names.
"use strict";
{
let said = null, turn = 0, timer = 0, ready = false;
const at = id => $("#modules-" + id);

// A module is lit in the tree, in the tables and in the text; number 0 is the whole.
function light(number) {
  const prefix = number ? nameOf(number - 1) + "." : "";
  for (const g of document.querySelectorAll("#modules-tree g.node")) g.classList.toggle("lit", $("title", g)?.textContent === "v" + number);
  [...at("outputs").tBodies[0].rows].forEach((row, i) => row.classList.toggle("lit", i === number - 1));
  [...at("parameters").tBodies[0].rows].forEach(row => row.classList.toggle("lit", number > 0 && row.dataset.name?.startsWith(prefix)));
  if (!number) return;
  const lines = at("text").value.split("\n"), line = said.modules[number - 1][4], from = lines.slice(0, line - 1).join("\n").length + (line > 1);
  at("text").setSelectionRange(from, from + lines[line - 1].length);
}
const nameOf = i => said.modules[i][2] < 0 ? said.modules[i][0] : nameOf(said.modules[i][2]) + "." + said.modules[i][0];

function table(box, heads, rows, press) {
  box.replaceChildren(make("thead", {}, make("tr", {}, ...heads.map(h => make("th", {}, h)))), make("tbody", {}, ...rows.map((cells, i) => {
    const row = make("tr", {}, ...cells.map(c => make("td", {}, c)));
    if (press) row.onclick = () => press(i);
    return row;
  })));
}
async function draw() {
  const mine = ++turn, body = { text: at("text").value, input: at("input").value };
  play.remember({ input: body.input, modules: body.text });
  let answer;
  try { answer = await play.ask("modules", body); } catch { return at("out").classList.add("busy"); }
  if (mine !== turn) return;
  said = answer;
  play.say("");
  at("out").classList.remove("busy");
  at("total").textContent = said.total.toLocaleString("en") + " weights";
  play.drawing(at("tree"), said.svg, id => light(id));
  table(at("outputs"), ["module", "gives"], said.modules.map((m, i) => ["\u2003".repeat(nameOf(i).split(".").length - 1) + m[0] + (m[0].startsWith(m[1]) ? "" : ": " + m[1]), "[" + m[3] + "]"]), i => light(i + 1));
  table(at("parameters"), ["name", "shape", "weights"], said.parameters.map(([name, shape, count]) => [name, "[" + shape + "]", count.toLocaleString("en")]));
  said.parameters.forEach(([name], i) => { at("parameters").tBodies[0].rows[i].dataset.name = name; });
}
const soon = () => { clearTimeout(timer); timer = setTimeout(draw, 250); };

play.pages.modules = async () => {
  if (ready) return;
  ready = true;
  const { values } = play.address();
  if (values.has("modules")) at("text").value = values.get("modules");
  if (values.has("input")) at("input").value = values.get("input");
  at("form").onsubmit = e => { e.preventDefault(); draw(); };
  at("text").oninput = at("input").oninput = soon;
  at("look").onclick = async () => { await draw(); if (said?.text) play.compile(said.text, "Modules"); };
  const { kinds } = await play.ask("modules");
  at("kinds").replaceChildren(...kinds.flatMap(([name, numbers]) => [make("code", {}, (name + " " + numbers).trim()), " · "]).slice(0, -1));
  await draw();
};
}
