"""What MkDocs does to the pages: the reference is filled in, blocks are coloured, graphs drawn, C and
Python set side by side, and links to the source lead to copies of it."""

import html
import os
import re
import subprocess
import sys
import tempfile

import pygments
from pygments.formatters import HtmlFormatter
from pygments.lexer import RegexLexer, words
from pygments.lexers import get_lexer_by_name
from mkdocs.structure.files import File
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blocks  # noqa: E402
import operations  # noqa: E402

BUILD = os.environ.get("TAPER_BUILD", os.path.join(blocks.SOURCE, "build"))
SOURCES = set()
TABLE = None
SEEN = []
FILLED = {}  # pages of operations, by path
OWN = tempfile.TemporaryDirectory()  # a page for each of them
SECTION = re.compile(r"^### (\w+)$", re.M)


class TpLexer(RegexLexer):
    """The textual IR."""

    tokens = {"root": [
        (r"#.*$", Comment),
        (r'"[^"\n]*"', String),
        (r"%\d+", Name.Variable),
        (words(("symbol", "return", "kernel", "state", "in", "set", "init", "seed", "for", "to",
                "load", "store", "var", "if"), prefix=r"\b", suffix=r"\b"), Keyword),
        (r"\b(bool|[uif](8|16|32|64)|bf16)\b", Keyword.Type),
        (r"(?<== )[a-z_]\w*", Name.Function),
        (r"-?\b\d+(\.\d+)?(e-?\d+)?\b", Number),
        (r"[A-Za-z_][\w.]*", Name),
        (r"[-+*/=<>.%]+", Operator),
        (r"[\[\](){},:]", Punctuation),
        (r"\s+", Text), (r".", Text)]}


FORMAT = HtmlFormatter(nowrap=True)


def coloured(lang, text):
    if lang == "tp" or (lang == "output" and re.search(r"^\w+\((.*\{)?$|^ *(> +)?%\d+ = |  kernel ",
                                                       text, re.M)):
        lexer = TpLexer()
    elif lang in ("c", "python"):
        lexer = get_lexer_by_name(lang)
    elif lang == "shell":
        lexer = get_lexer_by_name("bash")
    elif lang == "output" and re.search(r"^(static|extern) .*\(", text, re.M):
        lexer = get_lexer_by_name("c")
    else:
        return html.escape(text)
    return pygments.highlight(text, lexer, FORMAT)


def code(block, caption=None):
    text = block.text()
    body = coloured("c" if (block.file or "").endswith(".h") else block.lang, text)
    kind = "output" if block.lang == "output" else "code"
    head = f'<div class="file">{html.escape(caption)}</div>' if caption else ""
    return f'<div class="block {kind}">{head}<pre class="highlight">{body}</pre></div>\n'


def caption_of(block):
    if block.lang == "output":
        near = block.options.get("near")
        if near == "any":
            return "output (your numbers will differ)"
        return f"output (numbers within {float(near) * 100:g} %)" if near else None
    return block.file


def drawn(block):
    status, text = block.result
    if status:
        raise ValueError(f"line {block.line}: {text}")
    if "dot" not in block.words:
        return code(_output(text))
    p = subprocess.run(["dot", "-Tsvg", "-Nfontname=sans-serif", "-Gfontname=sans-serif",
                        "-Gfontsize=11", "-Glabeljust=l"], input=text,
                       capture_output=True, text=True, check=True)
    svg = p.stdout[p.stdout.index("<svg"):]
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r"<title>.*?</title>", "", svg, flags=re.S).replace("\n", " ")
    return f'<div class="graph">{svg}</div>\n'


def _output(text):
    b = blocks.Block("output", [], 0)
    b.lines = text.rstrip("\n").splitlines()
    return b


def computed(page):
    """Runs a page up to its last graph, where it has one."""
    wanted = [b for b in page.blocks() if "dot" in b.words or "insert" in b.words]
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as folder:
        runner = blocks.Runner(BUILD, folder)
        for b in page.blocks():
            if b.runs and not b.long:
                b.result = runner.run(b)
            if b is wanted[-1]:
                return


def blank(part):
    return isinstance(part, str) and not part.strip()


def columns(parts):
    """C and Python of one thing, each with what it prints, in two columns."""
    out, i = [], 0
    while i < len(parts):
        pair = []
        for lang in ("c", "python"):
            j = i + sum(len(p) for p in pair)
            column = []
            if j < len(parts) and isinstance(parts[j], blocks.Block) and parts[j].lang == lang \
                    and parts[j].file:
                column.append(parts[j])
                while j + len(column) < len(parts) and (
                        blank(parts[j + len(column)]) or
                        getattr(parts[j + len(column)], "lang", None) == "output"):
                    column.append(parts[j + len(column)])
            pair.append(column)
        if all(pair):
            out.append([[p for p in column if not blank(p)] for column in pair])
            i += sum(len(p) for p in pair)
        else:
            out.append(parts[i])
            i += 1
    return out


def on_files(files, config):
    """Each operation gets a page of its own: its section of the page on its like."""
    global TABLE
    TABLE = operations.Table(BUILD)
    for file in list(files):
        if file.src_path.startswith("html/") and not file.src_path.endswith(".css"):
            files.remove(file)
        elif file.src_path.startswith("ops/") and file.src_path.endswith(".md"):
            with open(file.abs_src_path) as source:
                text = operations.fill(file.abs_src_path, source.read(), TABLE, SEEN)
            FILLED[file.abs_src_path] = SECTION.sub(r"### [\1](\1.md)", text)
            title = re.search(r"^# (.*)", text, re.M).group(1)
            for name, body in re.findall(r"^### (\w+)\n(.*?)(?=^#|\Z)", text, re.M | re.S):
                os.makedirs(OWN.name + "/ops", exist_ok=True)
                with open(f"{OWN.name}/ops/{name}.md", "w") as own:
                    like = f"[{title}]({os.path.basename(file.src_path)}#{name})"
                    own.write(f"# {name}\n{body}\nIts like: {like}\n")
                files.append(File(f"ops/{name}.md", OWN.name, config["site_dir"], False))
    return files


def on_page_markdown(markdown, page, config, files):
    path = page.file.abs_src_path
    text = FILLED.get(path) or operations.fill(path, markdown, TABLE, SEEN)
    source = blocks.Page(path, text)
    try:
        computed(source)
        out = []
        for part in columns(source.parts):
            if isinstance(part, str):
                out.append(part)
            elif isinstance(part, list):
                out.append('<div class="both">' + "".join(
                    "<div>" + "".join(code(b, caption_of(b)) for b in column) + "</div>"
                    for column in part) + "</div>\n\n")
            else:
                out.append(code(part, caption_of(part)))
                if "dot" in part.words or "insert" in part.words:
                    out.append(drawn(part))
                out.append("\n")
    except ValueError as fault:
        raise SystemExit(f"{page.file.src_path}: {fault}")
    text = "".join(out)
    depth = page.file.src_path.count("/")

    def to_source(link):
        target = os.path.normpath(os.path.join(os.path.dirname(page.file.src_path), link.group(2)))
        if not target.startswith("../"):
            return link.group(0)
        SOURCES.add(target[3:])
        return f"<a href=\"{'../' * depth}source/{target[3:]}.html\">{link.group(1)}</a>"
    return re.sub(r"\[([^\]]*)\]\((\.\./[^)#\s]*)\)", to_source, text)


def on_post_build(config):
    for path in sorted(SOURCES):
        full = os.path.join(blocks.SOURCE, path)
        to = os.path.join(config["site_dir"], "source", path + ".html")
        os.makedirs(os.path.dirname(to), exist_ok=True)
        if os.path.isdir(full):
            body = "\n".join(sorted(os.listdir(full)))
        else:
            with open(full, errors="replace") as file:
                text = file.read()
            lang = {".c": "c", ".h": "c", ".def": "c", ".py": "python", ".sh": "shell",
                    ".tp": "tp"}.get(os.path.splitext(path)[1], "text")
            body = coloured(lang, text)
        up = "../" * (path.count("/") + 1)
        with open(to, "w") as file:
            file.write(f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>{path}</title>'
                       f'<link rel="stylesheet" href="{up}html/manual.css"></head>'
                       f'<body class="source-page"><p><a href="{up}index.html">taper</a> / {path}'
                       f'</p><pre class="highlight">{body}</pre></body></html>')
