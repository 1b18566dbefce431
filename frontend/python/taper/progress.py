"""A bar over a loop, in terminals and notebooks: `for batch in progress(loader): ...`"""

from __future__ import annotations

import sys
import time
from typing import Any, Iterable, Iterator, Optional


class progress:
    """Goes through `items` and shows where it is; bar.show(loss=0.1) adds numbers."""

    def __init__(self, items: Iterable[Any], text: str = "", total: Optional[int] = None,
                 every: float = 0.1, file: Any = None) -> None:
        self.items, self.text, self.every = items, text, every
        self.total = total if total is not None else len(items)  # type: ignore[arg-type]
        self.file = file if file is not None else sys.stderr
        self.numbers, self.last, self.handle = "", 0.0, None

    def show(self, **numbers: Any) -> None:
        self.numbers = "  ".join(f"{k} {float(v):.4g}" for k, v in numbers.items())

    def _line(self, done: int, seconds: float) -> str:
        part = done / self.total if self.total else 1.0
        bar = "#" * int(30 * part)
        left = seconds / part - seconds if part else 0.0
        return (f"{self.text} [{bar:<30}] {done}/{self.total}  {seconds:.1f} s, "
                f"{left:.1f} s left  {self.numbers}").strip()

    def _draw(self, done: int, seconds: float, end: bool) -> None:
        line = self._line(done, seconds)
        if "ipykernel" in sys.modules:
            from IPython.display import display
            text = {"text/plain": line}  # not as a string's repr, with its quotes
            if self.handle is None:
                self.handle = display(text, raw=True, display_id=True)
            else:
                self.handle.update(text, raw=True)
        elif self.file.isatty():
            self.file.write("\r\x1b[K" + line + ("\n" if end else ""))
            self.file.flush()
        elif end:  # a file gets the last line alone
            self.file.write(line + "\n")

    def __iter__(self) -> Iterator[Any]:
        start, done = time.monotonic(), 0
        for item in self.items:
            yield item
            done += 1
            now = time.monotonic()
            if now - self.last >= self.every:
                self.last = now
                self._draw(done, now - start, False)
        self._draw(done, time.monotonic() - start, True)

    def __len__(self) -> int:
        return self.total
