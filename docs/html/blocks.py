"""The manual's examples: fenced blocks, run one after the other in a scratch folder for each page.

A block's first line says what becomes of it:

    ```c NAME.c            written to a file, compiled without a warning, run
    ```python NAME.py      written to a file, run
    ```tp NAME.tp          written to a file; taper finds it sound
    ```text NAME           written to a file
    ```shell run           run by bash
    ```output              what the block before printed, to the letter
    ```output near=0.02    .. but numbers may differ by so much of their size; near=any: at all

A line `...` in an output stands for any lines. `fails=2` behind a block: it ends with that status.
`long`: run only where TAPER_LONG is set. `dot`: what a shell block prints is Graphviz' language, and
is drawn when the HTML is built; `insert`: its output is put there when the HTML is built. A block
whose first line has one word is not run.
"""

import os
import re
import subprocess
import sys

DOCS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCE = os.path.dirname(DOCS)
FENCE = re.compile(r"^```([a-z]*)[ ]*(.*)$")
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])")
PROGRAMS = ("c", "python", "tp", "text")


class Block:
    def __init__(self, lang, words, line):
        self.lang, self.line, self.lines = lang, line, []
        self.options = dict(w.partition("=")[::2] for w in words if "=" in w)
        self.words = [w for w in words if "=" not in w]
        self.file = self.words[0] if lang in PROGRAMS and self.words else None
        self.runs = bool(self.file) or "run" in self.words
        self.long = "long" in self.words
        self.result, self.well = None, False

    def text(self):
        return "".join(line + "\n" for line in self.lines)


class Page:
    """A page's text in parts: strings and blocks."""

    def __init__(self, path, text=None):
        self.path = path
        self.name = os.path.relpath(path, DOCS)
        if text is None:
            with open(path) as file:
                text = file.read()
        self.parts = []
        block, lines = None, []
        for number, line in enumerate(text.splitlines(), 1):
            fence = FENCE.match(line)
            if block is not None:
                if line == "```":
                    self.parts.append(block)
                    block = None
                else:
                    block.lines.append(line)
            elif fence:
                self.parts.append("".join(x + "\n" for x in lines))
                block, lines = Block(fence.group(1), fence.group(2).split(), number), []
            else:
                lines.append(line)
        if block is not None:
            raise SystemExit(f"{self.name}:{block.line}: the block has no end")
        self.parts.append("".join(x + "\n" for x in lines))

    def blocks(self):
        return [p for p in self.parts if isinstance(p, Block)]

    def write(self):
        """The page again, with what its blocks hold now."""
        out = []
        for p in self.parts:
            if isinstance(p, str):
                out.append(p)
            else:
                words = p.words + [f"{k}={v}" for k, v in p.options.items()]
                out.append("```" + " ".join([p.lang] + words) + "\n" + p.text() + "```\n")
        with open(self.path, "w") as file:
            file.write("".join(out))


def python_with_numpy():
    for python in (os.environ.get("PYTHON"), "/usr/bin/python3", sys.executable):
        if python and subprocess.run([python, "-c", "import numpy"],
                                     capture_output=True).returncode == 0:
            return python
    return None


class Runner:
    """Runs blocks in a folder, against a build of taper."""

    def __init__(self, build, folder):
        self.build, self.folder = os.path.abspath(build), folder
        self.python = python_with_numpy()
        self.environment = dict(
            os.environ, PATH=self.build + ":" + os.environ["PATH"], LD_LIBRARY_PATH=self.build,
            TAPER_LIBRARY=self.build + "/libtaper.so", PYTHONDONTWRITEBYTECODE="1",
            PYTHONPATH=SOURCE + "/frontend/python", LC_ALL="C.UTF-8", TAPER_SOURCE=SOURCE,
            HOME=folder)

    def call(self, command):
        """The exit status and all that it prints, in the order in which it does."""
        try:
            p = subprocess.run(command, cwd=self.folder, env=self.environment, timeout=600,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            return 124, "it did not end in 600 s\n"
        return p.returncode, p.stdout.decode(errors="replace")

    def run(self, block):
        """(status, text); None where there is nothing to run it with."""
        if block.file:
            with open(os.path.join(self.folder, block.file), "w") as file:
                file.write(block.text())
        if block.lang == "c":
            program = "./" + block.file[:-2]
            status, text = self.call(
                ["cc", "-std=c17", "-Wall", "-Wextra", "-Werror", f"-I{SOURCE}/frontend",
                 block.file, "-o", program, f"-L{self.build}", "-ltaper", "-lm",
                 f"-Wl,-rpath,{self.build}"])
            return (status, text) if status else self.call([program])
        if block.lang == "python":
            return self.call([self.python, block.file]) if self.python else None
        if block.lang == "tp":
            status, text = self.call(["taper", "verify", block.file])
            return (status, text) if status else (0, "")
        if block.lang == "text":
            return 0, ""
        return self.call(["bash", "-e", "-c", block.text()])


def same_line(wanted, got, near):
    if near is None:
        return wanted == got
    a, b = NUMBER.findall(wanted), NUMBER.findall(got)
    if NUMBER.sub("#", wanted).split() != NUMBER.sub("#", got).split():
        return False
    return near == "any" or all(
        abs(float(x) - float(y)) <= float(near) * max(abs(float(x)), 0.01) for x, y in zip(a, b))


def same(wanted, got, near=None):
    """Line by line; `...` stands for any lines."""
    if not wanted:
        return not got
    if wanted[0] == "...":
        return any(same(wanted[1:], got[i:], near) for i in range(len(got) + 1))
    return bool(got) and same_line(wanted[0], got[0], near) and same(wanted[1:], got[1:], near)


def check_page(page, build, folder, long=False, bless=False):
    """Runs the page's blocks; a list of what is wrong."""
    runner, faults, last = Runner(build, folder), [], None
    for block in page.blocks():
        where = f"docs/{page.name}:{block.line}"
        if block.lang == "output":
            if last is None:
                faults.append(f"{where}: an output of no block")
            elif last.result:
                got = last.result[1].rstrip("\n").splitlines()
                got = [line.rstrip() for line in got]
                near = block.options.get("near")
                if not same([line.rstrip() for line in block.lines], got, near):
                    if bless and "..." not in block.lines and last.well:
                        block.lines = got
                    else:
                        faults.append(f"{where}: the manual says\n" + block.text() +
                                      "--- printed was\n" + "\n".join(got))
            continue
        if not block.runs:
            continue
        last = block
        if block.long and not long:
            continue
        block.result = runner.run(block)
        if block.result is None:
            continue
        status, text = block.result
        block.well = status == int(block.options.get("fails", 0))
        if not block.well:
            faults.append(f"{where}: exit status {status}; it printed\n{text[-2000:]}")
        if "dot" in block.words and not text.startswith("digraph"):
            faults.append(f"{where}: it prints no graph")
    if bless:
        page.write()
    return faults
