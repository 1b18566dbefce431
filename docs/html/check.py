"""Checks the manual: its examples print what it shows, its links lead somewhere, every operation has
its section.   python3 docs/html/check.py BUILD [PAGE...]

TAPER_BLESS=1 writes what the examples print into the pages (but for outputs with `...`); the diff is
to be read like code.
"""

import concurrent.futures
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blocks  # noqa: E402
import operations  # noqa: E402

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def pages_of(folder):
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names
                  if name.endswith(".md"))


def slug(heading):
    """As Python-Markdown's toc makes it."""
    heading = re.sub(r"`|\*", "", heading)
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def anchors_of(text):
    plain = "".join(p for p in blocks.Page("x", text).parts if isinstance(p, str))
    found = {slug(h) for h in re.findall(r"^#+ (.*)$", plain, re.M)}
    return found | set(re.findall(r'id="([^"]*)"', plain))


def check_links(pages, texts):
    faults = []
    anchors = {path: anchors_of(text) for path, text in texts.items()}
    for path in pages:
        plain = "".join(p for p in blocks.Page(path, texts[path]).parts if isinstance(p, str))
        for target in LINK.findall(plain):
            if "://" in target:
                continue
            file, _, anchor = target.partition("#")
            to = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
            if not os.path.exists(to):
                faults.append(f"{os.path.relpath(path, blocks.SOURCE)}: there is no {target}")
            elif anchor and to in anchors and anchor not in anchors[to]:
                faults.append(f"{os.path.relpath(path, blocks.SOURCE)}: no heading for {target}")
    return faults


def main():
    build = os.path.abspath(sys.argv[1])
    only = sys.argv[2:]
    long, bless = bool(os.environ.get("TAPER_LONG")), bool(os.environ.get("TAPER_BLESS"))
    paths = pages_of(blocks.DOCS)
    chosen = [p for p in paths if not only or os.path.relpath(p, blocks.DOCS) in only]
    faults = []
    with tempfile.TemporaryDirectory() as work, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        pages = [blocks.Page(p) for p in chosen]
        runs = []
        for i, page in enumerate(pages):
            folder = os.path.join(work, str(i))
            os.mkdir(folder)
            runs.append(pool.submit(blocks.check_page, page, build, folder, long, bless))
        texts, more = ({}, []) if only else operations.fill_all(paths, build, pool)
        faults += more
        for run in runs:
            faults += run.result()
    if not only:
        faults += check_links(paths, texts)
    for fault in faults:
        print(fault)
    if faults and not bless:
        print("TAPER_BLESS=1 bash tests/docs.sh writes what is printed now into docs/; read the diff")
    count = sum(b.runs for p in pages for b in p.blocks())
    print(f"{len(pages)} pages, {count} examples, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
