"""The reference of operations, made of the table: `taper ops --json`.

A page says which operations it has, and where, by comments:

    <!-- op dot a=1,2,3,4 b=1,0,0,1 -->      the section of dot; its example is the tp block behind it
    <!-- op exp -->                          a row of one line of C: its example is made here

and `<!-- formulas -->` the functions of frontend/formulas.def, `<!-- header -->` the C interface,
`<!-- python -->` the names of the Python package. Values are computed by the interpreter (`taper
run`), texts are what `taper show` prints, errors are those of tests/golden/error.
"""

import collections
import glob
import html
import json
import os
import re
import subprocess
import tempfile
import threading

import blocks

MARK = re.compile(r"^<!-- (op|formulas|header|python)\b ?(.*?) -->\n", re.M)
TAKES = {"float": "any floating type", "number": "any number, not truth values",
         "integer": "integers and truth values", "bool": "truth values", "any": "any type"}


class Table:
    def __init__(self, build):
        self.build, self.made, self.lock = build, None, threading.Lock()
        text = self.taper("ops", "--json")
        self.rows = collections.OrderedDict((r["op"] + ("*" if r["group"] == "formula" else ""), r)
                                            for r in map(json.loads, text.splitlines()))
        self.errors = collections.defaultdict(list)
        for path in sorted(glob.glob(blocks.SOURCE + "/tests/golden/error/*.tp")):
            with open(path) as file:
                source, _, outcome = file.read().partition("----\n")
            found = re.match(r"golden\.tp:(\d+): (\w+): (.*)", outcome)
            if found:
                line = source.splitlines()[int(found.group(1)) - 1].strip()
                self.errors[found.group(2)].append((line, found.group(2) + ": " + found.group(3)))
        self.lines = {}
        with open(blocks.SOURCE + "/ir/ops.def") as file:
            for number, line in enumerate(file, 1):
                row = re.match(r"[A-Z]+\(\s*(\w+),", line)
                if row:
                    self.lines[row.group(1)] = number
                note = re.search(r"/\* (.*) \*/\s*$", line)
                if row and note and row.group(1) in self.rows:
                    self.rows[row.group(1)]["note"] = note.group(1)
        self.home = {}
        for folder in ("ir", "passes"):
            for path in sorted(glob.glob(f"{blocks.SOURCE}/{folder}/*.c")):
                with open(path) as file:
                    for name in re.findall(
                            r"\b((?:ir_shape_of|ir_value_of|pass_grad_of|pass_lower_of)_\w+)\(",
                            file.read()):
                        self.home.setdefault(name, f"{folder}/{os.path.basename(path)}")

    def elementwise(self):
        with self.lock:
            if self.made is None:
                self.made = Elementwise(self)
        return self.made

    def taper(self, *words):
        p = subprocess.run([self.build + "/taper", *words], capture_output=True, text=True)
        if p.returncode:
            raise ValueError(f"taper {' '.join(words)}: {p.stderr or p.stdout}")
        return p.stdout


def code(lang, text):
    return f"```{lang}\n{text.rstrip()}\n```\n"


def points(row):
    """Where an elementwise row is computed."""
    n = row["arity"]
    if row["takes"] == "integer":
        return "i32", ["0,1,5,6,12,-1", "3,1,3,3,2,4"][:n]
    if n == 1:
        return "f32", ["-2,-1,-0.5,0,0.5,1,2"]
    return "f32", ["-2,-1,0,0.5,2,3", "2,0,0,0.5,-1.5,2"]


class Elementwise:
    """All rows of one line of C, in a program for each form of arguments."""

    def __init__(self, table):
        self.said, self.lines, self.given = {}, {}, {}
        forms = collections.defaultdict(list)
        for row in table.rows.values():
            if row["group"] not in ("structural", "formula"):
                forms[repr(points(row))].append(row)
        with tempfile.TemporaryDirectory() as folder:
            for rows in forms.values():
                self.form(table, rows, folder + "/all.tp")

    def form(self, table, rows, path):
        dtype, values = points(rows[0])
        letters = "ab"[:len(values)]
        count, first = values[0].count(",") + 1, len(letters) + 1
        with open(path, "w") as file:
            file.write("step(" + ", ".join(f"{a}: {dtype}[{count}]" for a in letters) + ") {\n")
            for i, row in enumerate(rows):
                file.write(f"  %{first + i} = {row['op']} {', '.join(letters)}\n")
            file.write("  return " + ", ".join(
                f'"{row["op"]}"=%{first + i}' for i, row in enumerate(rows)) + "\n}\n")
        given = [f"{a}={v}" for a, v in zip(letters, values)]
        for line in table.taper("run", path, *given).splitlines():
            name, _, value = line.partition(" = ")
            self.said[name.strip('"')] = value
        texts = [(table.taper("show", path, "--stage", "c", "--target", "x86-64-v4"), "C, AVX-512"),
                 (table.taper("show", path, "--stage", "cuda"), "CUDA")]
        for row in rows:
            self.given[row["op"]] = given
            found = [(re.search(rf"^ +(const \w+ {row['op']}\d+_? = .*?;)", text, re.M), language)
                     for text, language in texts]
            width = max((len(m.group(1)) for m, _ in found if m), default=0)
            self.lines[row["op"]] = "\n".join(
                f"{m.group(1).ljust(width)}  /* {language} */" for m, language in found if m)


def elementwise(table, row):
    """What is said of a row of one line of C."""
    name, n = row["op"], row["arity"]
    made = table.elementwise()
    out = [f"**Computes** `{row['c']}`" + (f" ({row['note']})" if row.get("note") else "") + ".\n\n"]
    result = "bool" if row["group"] in ("predicate", "compare") else "the type of its arguments"
    out.append(f"**Takes** {TAKES[row['takes']]}"
               f"{', both the same, and shapes that broadcast' if n == 2 else ''}; "
               f"**gives** {result}.\n\n")
    grads = [(a, row.get("d" + a, "")) for a in "ab"[:n]]
    if any(g for _, g in grads):
        out.append("**Derivative** " + ", ".join(
            f"d{a}: `{g}`" if g else f"d{a}: none" for a, g in grads) + "\n\n")
    else:
        out.append("**Derivative** none: no gradient passes.\n\n")
    lines = [g.replace("=", "  ").replace(",", " ").split() for g in made.given[name]]
    values = made.said[name].partition("[")[2].partition("]")[2].strip(" []").split()
    lines.append([name] + values)
    out.append(code("output", columns(lines)))
    out.append(code("c", made.lines[name]) if made.lines[name] else "")
    return "".join(out)


def columns(lines):
    """Names, and numbers below each other."""
    width = max(len(line[0]) for line in lines)
    return "\n".join(line[0].ljust(width) + "".join(v.rjust(11) for v in line[1:])
                     for line in lines)


def source_link(table, prefix, name):
    home = table.home.get(f"{prefix}_{name}")
    return f"`{prefix}_{name}`" + (f" in [{home}](../../{home})" if home else "")


def structural(table, row):
    """What is said of a row with functions of its own, up to its example."""
    doc = row["doc"]
    out = [f"**Computes** {doc}.\n\n"]
    arity = {-1: "any number of arguments", 0: "no argument", 1: "one argument"}.get(
        row["arity"], f"{row['arity']} arguments")
    attributes = ", ".join(f"`{a}`" for a in row["attributes"].split())
    grad = "none: no gradient passes" if row["grad"] == "none" else source_link(
        table, "pass_grad_of", row["grad"])
    shape = "as its line says" if row["shape"] == "given" else source_link(
        table, "ir_shape_of", row["shape"])
    out.append(f"**Takes** {arity}" + (f" and the attributes {attributes}" if attributes else "") +
               f". **Shape** {shape}. **Derivative** {grad}. **Value** "
               f"{source_link(table, 'ir_value_of', row['value'])}.\n\n")
    return "".join(out)


def section(table, words, note, folder, example):
    name = words.split()[0]
    if name not in table.rows:
        raise ValueError(f"there is no operation {name}")
    row = table.rows[name]
    out = [f"### {name}\n\n"]
    if row["group"] == "structural":
        out.append(structural(table, row) + note)
        if example is not None:
            path = f"{folder}/{name}.tp"
            with open(path, "w") as file:
                file.write(example.text())
            given = words.split()[1:]
            said = table.taper("run", path, *given)
            out.append(code("tp", example.text()))
            out.append(code("shell", " ".join(["taper run", f"{name}.tp"] + given)))
            out.append(code("output", said))
    else:
        out.append(elementwise(table, row))
    errors = table.errors.get(name, [])[:4]
    if errors:
        out.append("**Errors**\n\n" + code("output", "\n".join(
            f"{re.sub(r'^%[0-9]+ = ', '', line)}\n    {message}" for line, message in errors)))
    line = table.lines.get(name)
    out.append(f"<p class=\"source\">its row: ir/ops.def, line {line}</p>\n\n" if line else "")
    return "".join(out)


FORMULAS = """
import json, os, sys
sys.path.insert(0, os.environ["PYTHONPATH"])
import taper as tp
from taper.ops import formula
for row in json.load(sys.stdin):
    numbers = row["given"]
    x = [tp.tensor(v, requires_grad=True) for v in row["points"]]
    try:
        y = formula(row["op"], x, numbers)
        real = y.dtype.kind == "f"
        d = []
        if real:
            y.sum().backward()
            d = [[] if t.grad is None else t.grad.tolist() for t in x]
        print(json.dumps([y.float().tolist(), d]))
    except tp.Error as fault:
        print(json.dumps([str(fault), []]))
"""


def short(x):
    return "nan" if x != x else format(x, ".4g")


def formulas(table):
    """The table of composed functions: formula, numbers, values and slopes at some points."""
    rows = [r for key, r in table.rows.items() if key.endswith("*")]
    asked = []
    for r in rows:
        n = r["arity"]
        given = {"threshold": [0.5, -1], "clamp": [-0.5, 0.5], "pow_scalar": [3]}.get(r["op"], [])
        at = [[-2.0, -0.5, 0.0, 0.5, 2.0], [1.0, 2.0, 0.5, 2.0, -1.0], [0.5] * 5][:n]
        if r["op"] in ("logit", "log2", "log10"):
            at = [[0.1, 0.25, 0.5, 0.75, 0.9]]
        asked.append(dict(op=r["op"], given=given, points=at))
    python = blocks.python_with_numpy()
    answers = [None] * len(rows)
    if python:
        e = dict(os.environ, TAPER_ENGINE="interpreter", TAPER_LIBRARY=table.build + "/libtaper.so",
                 PYTHONPATH=blocks.SOURCE + "/frontend/python", PYTHONDONTWRITEBYTECODE="1")
        p = subprocess.run([python, "-c", FORMULAS], input=json.dumps(asked), env=e,
                           capture_output=True, text=True)
        if p.returncode:
            raise ValueError(f"formulas: {p.stderr}")
        answers = [json.loads(line) for line in p.stdout.splitlines()]
    out = []
    for r, q, a in zip(rows, asked, answers):
        out.append(f"### {r['op']} {{#{r['op']}}}\n\n" if r["op"] in table.rows else
                   f"### {r['op']}\n\n")
        letters = "abc"[:r["arity"]]
        numbers = ", ".join(f"`{'pqr'[i]}` is {name}" + ("" if v is None else f", {v:g}")
                            for i, (name, v) in enumerate(r["numbers"]))
        out.append(f"`{r['formula']}`" + (f", `s` being {r['s']}(a)" if r["s"] else "") +
                   (f"; {numbers}" if numbers else "") + "\n\n")
        if a and isinstance(a[0], list):
            lines = []
            for i, letter in enumerate(letters):
                lines.append([letter] + [short(v) for v in q["points"][i]])
            said = r["op"] + ("(" + ", ".join(map(str, q["given"])) + ")" if q["given"] else "")
            lines.append([said] + [short(v) for v in a[0]])
            for letter, d in zip(letters, a[1]):
                if d:
                    lines.append([f"d{letter}"] + [short(v) for v in d])
            out.append(code("output", columns(lines)))
    return "".join(out)


def header():
    """frontend/taper.h, part by part."""
    with open(blocks.SOURCE + "/frontend/taper.h") as file:
        text = file.read()
    text = text[text.index("/* ---- graphs"):text.index("#ifdef __cplusplus\n}")]
    text = re.sub(r"^TP_API [^;{}]*?\b\w+_(at|with)\([^;]*;.*\n", "", text, flags=re.M)
    parts = re.split(r"^/\* -{4} (.*?) -{3,} ?\*/\n", text, flags=re.M)
    out = []
    for title, body in zip(parts[1::2], parts[2::2]):
        out.append(f"## {title[0].upper() + title[1:]}\n\n" + code("c", body.strip("\n")))
    return "".join(out)


PYTHON = """
import inspect, os, sys
sys.path.insert(0, os.environ["PYTHONPATH"])
import taper as tp
def entry(name, what):
    try:
        s = inspect.signature(what)
        s = str(s.replace(return_annotation=s.empty, parameters=[
            p.replace(annotation=p.empty) for p in s.parameters.values()
            if p.name not in ("self", "_")]))
    except (TypeError, ValueError):
        s = ""
    doc = inspect.getdoc(what) or ""
    if inspect.isclass(what) and what.__doc__ is None:
        doc = ""
    print(f"{name}{s}\\t{' '.join(doc.split())}")
def module(title, m, names=None):
    print("#" + title)
    for name in sorted(names or vars(m), key=str.lower):
        what = getattr(m, name, None)
        if name[0] == "_" or not callable(what) or (name[0] == "C" and name[1:2].isupper()):
            continue
        if not getattr(what, "__module__", "").startswith("taper"):
            continue
        entry(name, what)
module("taper", tp)
module("taper.Tensor", tp.Tensor)
module("taper.nn", tp.nn)
module("taper.nn.functional", tp.nn.functional)
module("taper.nn.init", tp.nn.init)
module("taper.nn.utils", tp.nn.utils)
module("taper.optim", tp.optim)
module("taper.optim.lr_scheduler", tp.optim.lr_scheduler)
module("taper.utils.data", tp.utils.data)
"""


def plain(doc):
    return re.sub(r"([*_])", r"\\\1", html.escape(doc))


def python_names(build):
    python = blocks.python_with_numpy()
    if not python:
        return "(made where Python has NumPy)\n"
    e = dict(os.environ, TAPER_LIBRARY=build + "/libtaper.so", PYTHONDONTWRITEBYTECODE="1",
             PYTHONPATH=blocks.SOURCE + "/frontend/python")
    p = subprocess.run([python, "-c", PYTHON], env=e, capture_output=True, text=True)
    if p.returncode:
        raise ValueError(f"the Python package: {p.stderr}")
    out = []
    for line in p.stdout.splitlines():
        if line.startswith("#"):
            out.append(f"\n## {line[1:]}\n\n")
        else:
            call, _, doc = line.partition("\t")
            call = call if len(call) < 110 else call[:106] + " .."
            out.append(f"- `{call}`" + (f" {plain(doc)}" if doc else "") + "\n")
    return "".join(out)


def fill(path, text, table, seen):
    """The page's text with what its comments ask for."""
    if not MARK.search(text):
        return text
    out, pending, note = [], None, ""
    page = blocks.Page(path, text)
    with tempfile.TemporaryDirectory() as folder:
        def finish(example=None):
            nonlocal pending, note
            if pending is not None:
                out.append(section(table, pending, note if example else "", folder, example))
                out.append("" if example else note)
            pending, note = None, ""
        for part in page.parts:
            if isinstance(part, blocks.Block):
                if pending is not None and part.lang == "tp" and not part.file:
                    finish(part)
                else:
                    finish()
                    words = part.words + [f"{k}={v}" for k, v in part.options.items()]
                    out.append("```" + " ".join([part.lang] + words) + "\n" + part.text() + "```\n")
                continue
            at = 0
            for mark in MARK.finditer(part):
                note += part[at:mark.start()] if pending is not None else ""
                before = "" if pending is not None else part[at:mark.start()]
                finish()
                out.append(before)
                at = mark.end()
                if mark.group(1) == "op":
                    pending = mark.group(2)
                    seen.append(pending.split()[0])
                elif mark.group(1) == "formulas":
                    seen.append("formulas")
                    out.append(formulas(table))
                elif mark.group(1) == "header":
                    out.append(header())
                else:
                    out.append(python_names(table.build))
            if pending is not None:
                note += part[at:]
            else:
                out.append(part[at:])
        finish()
    return "".join(out)


def fill_all(paths, build, pool):
    """Every page's text, and what is wrong with the reference."""
    table, seen, faults, texts = Table(build), [], [], {}

    def one(path):
        with open(path) as file:
            text = file.read()
        try:
            return fill(path, text, table, seen)
        except ValueError as fault:
            faults.append(f"{os.path.relpath(path, blocks.SOURCE)}: {fault}")
            return text
    for path, text in zip(paths, pool.map(one, paths)):
        texts[path] = text
    every = [n for n in table.rows if not n.endswith("*")]
    for name in every:
        if seen.count(name) != 1:
            faults.append(f"docs: {name} has {seen.count(name)} sections; expected one")
    if seen.count("formulas") != 1:
        faults.append("docs: no page has the formulas")
    return texts, faults
