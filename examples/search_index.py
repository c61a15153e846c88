"""A small search engine over Python's own standard library: something real to profile.

    python examples/search_index.py [WORD]...

Reads the library's source files, splits them into words, reduces the words to stems and builds an
index; a second thread compresses the index while it grows; then queries are answered by BM25.
Standard library only; a few seconds.
"""

from __future__ import annotations

import math
import queue
import re
import sys
import sysconfig
import threading
import time
import zlib
from collections import Counter, defaultdict
from pathlib import Path

WORD = re.compile(r"[A-Za-z]{3,}")
SUFFIXES = ("ization", "ations", "ation", "ness", "ings", "ing", "ers", "er", "ies", "ed", "es", "s")
QUERIES = ("thread lock", "parse arguments", "compress archive", "random numbers", "read file lines")
FILES = 600


def library_files(limit: int) -> list[Path]:
    """The first `limit` source files of the standard library, in a fixed order."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found = (path for path in root.rglob("*.py") if "site-packages" not in path.parts and "test" not in path.parts)
    return sorted(found)[:limit]


def split_words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def stem(word: str) -> str:
    """Cut endings as long as something is left: crude, but the same for index and query."""
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word


def edit_distance(left: str, right: str) -> int:
    """How many letters to insert, delete or replace to get from `left` to `right`."""
    previous = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            cost = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (letter != other))
            current.append(cost)
        previous = current
    return previous[-1]


class Archive(threading.Thread):
    """Compresses batches of postings in the background."""

    def __init__(self) -> None:
        super().__init__(name="archive")
        self.batches: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.raw = self.packed = 0

    def run(self) -> None:
        while (batch := self.batches.get()) is not None:
            self.raw += len(batch)
            self.packed += len(self.pack(batch))

    def pack(self, batch: bytes) -> bytes:
        return zlib.compress(batch, 9)


class Index:
    """Which document holds which stem, how often."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.postings: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self.names: list[str] = []
        self.lengths: list[int] = []

    def add(self, name: str, text: str) -> None:
        counts = Counter(stem(word) for word in split_words(text))
        document = len(self.names)
        self.names.append(name)
        self.lengths.append(sum(counts.values()))
        for word, count in counts.items():
            self.postings[word][document] = count
        self.archive.batches.put(repr(sorted(counts.items())).encode())

    def closest(self, word: str) -> str:
        """`word`, or the indexed stem that is spelled most like it."""
        if word in self.postings:
            return word
        return min(self.postings, key=lambda known: (edit_distance(word, known), known))

    def search(self, query: str) -> list[tuple[float, str]]:
        """The documents by how well they fit (BM25), best first."""
        average = sum(self.lengths) / len(self.lengths)
        scores: Counter[int] = Counter()
        for word in map(self.closest, map(stem, split_words(query))):
            postings = self.postings[word]
            rarity = math.log(1 + (len(self.names) - len(postings) + 0.5) / (len(postings) + 0.5))
            for document, count in postings.items():
                norm = count + 1.2 * (0.25 + 0.75 * self.lengths[document] / average)
                scores[document] += rarity * count * 2.2 / norm
        return [(score, self.names[document]) for document, score in scores.most_common(3)]


def main(queries: list[str]) -> None:
    begin = time.perf_counter()
    archive = Archive()
    archive.start()
    index = Index(archive)
    for path in library_files(FILES):
        index.add(path.name, path.read_text(encoding="utf-8", errors="replace"))
    print(f"indexed {len(index.names)} files, {len(index.postings)} stems")
    for query in queries:
        best = ", ".join(f"{name} {score:.1f}" for score, name in index.search(query))
        print(f"  {query:20} {best}")
    archive.batches.put(None)
    archive.join()
    print(f"archive: {archive.raw / 1e6:.1f} MB in {archive.packed / 1e6:.1f} MB; {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:] or [*QUERIES, "tehmperature sensr", "recieve mesage"])
