// Sentences: for or against, and what each word contributes, while it learns.
"use strict";
{
const chance = margin => 1 / (1 + Math.exp(-margin)), signed = x => (x > 0 ? "+" : x < 0 ? "−" : "") + Math.abs(x).toFixed(2);
let listed = null;

// The words, each as deep in colour as it contributes beside the strongest one.
function words({ margin, words }) {
  const box = lesson.at("words"), most = Math.max(1, ...words.map(w => Math.abs(w[1] ?? 0)));
  box.replaceChildren(...words.flatMap(([word, by, known]) => {
    const e = make("span", { className: known ? "word" : "word unknown", title: signed(by ?? 0) + (known ? "" : "; it was not in the data") }, word, make("small", {}, signed(by ?? 0)));
    e.style.background = `color-mix(in srgb, var(--${by > 0 ? "one" : "zero"}) ${Math.round(60 * Math.abs(by ?? 0) / most)}%, transparent)`;
    return [e, " "];
  }));
  lesson.at("says").textContent = words.length ? `${margin > 0 ? "For" : "Against"}: ${play.percent(chance(Math.abs(margin)))}, a score of ${signed(margin)}` : "Type a sentence.";
}
function list(id, sentences, margins) {
  const box = lesson.at(id);
  if (box.of !== sentences) {
    box.of = sentences;
    box.replaceChildren(make("thead", {}, make("tr", {}, ...["sentence", "is", "score", "error"].map(h => make("th", {}, h)))), make("tbody", {}, ...sentences.map(([text, label]) => {
      const use = make("button", { type: "button", className: "plain", title: "look at its words" }, text);
      use.onclick = () => { lesson.at("text").value = text.replaceAll("·", "").replace(/ +/g, " ").trim(); hear(); };
      return make("tr", {}, make("td", {}, use), make("td", { className: label ? "one" : "zero" }, label ? "for" : "against"), make("td"), make("td"));
    })));
  }
  [...box.tBodies[0].rows].forEach((row, i) => {
    const m = margins[i] ?? null, wrong = 1 - chance(sentences[i][1] ? m : -m);
    row.cells[2].textContent = m === null ? "–" : signed(m);
    row.cells[3].textContent = m === null ? "–" : play.percent(wrong);
    row.classList.toggle("bad", wrong > 0.5);
  });
}
const hear = () => lesson.look({ text: lesson.at("text").value });

const lesson = new play.Lesson({
  page: "sentences", prefix: "sents", slot: 4, usual: { optimiser: "adam", rate: 0.003, batch: 10, epochs: 30 },
  knobs: ["data", "samples", "held", "maps", "filters", "dropout"], parts: ["train", "validation"],
  body: () => ({ files: lesson.at("data").value === "files", text: lesson.at("text").value }),
  draw(p) {
    words(p.sentence);
    if (!listed) return;
    list("train", listed.train, p.train);
    list("test", listed.held, p.held);
  },
  built(made) {
    this.at("data").lastElementChild.disabled = !made.files;
    listed = made;
  },
  opened() { this.at("text").oninput = hear; },
  kept: () => ({ text: lesson.at("text").value }),
  restored(saved) { if (saved.text) this.at("text").value = saved.text; },
});
}
