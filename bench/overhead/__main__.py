"""What profilers cost: `python -m bench.overhead [--quick]`, from the repository's root.

For the interpreter that runs it, which must have spprof; rivals are installed when they are first needed. Results are kept in a
file (`--results`), so that a run can be stopped and continued; `--seconds` ends it after a while. Run it alone on a machine.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

from bench.overhead import tables
from bench.overhead.laboratory import Laboratory, Work
from bench.records import Clock, TimeIsUpError, chosen, facts, opened
from bench.rivals import RIVALS, ready
from bench.tools import child, table

ORDINARY = Work("ordinary", 0, 1.5)
#: What grows, and by whom it is looked at.
GROWING = {
    "threads that sleep": [Work("threads", n, 1.0) for n in (1, 10, 100, 1000)],
    "depth": [Work("depth", n, 1.0) for n in (10, 100, 1000)],
    "seconds of work": [Work("ordinary", 0, s) for s in (0.5, 2.0, 8.0)],
    "distinct stacks": [Work("stacks", n, 1.0) for n in (1, 64, 4096, 262144)],
}
GROWING_RIVALS = ["spprof", "py-spy", "austin", "profiling.sampling cpu"]
PARTS = ("rivals", "growing", "floor")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one pair of everything")
    parser.add_argument(
        "--pairs", type=int, default=9, help="of each profiler and rate; default 9 (as work grows: a third)"
    )
    parser.add_argument("--only", metavar="PARTS", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--rivals", metavar="NAMES", help=f"some of: {'; '.join(RIVALS)} (separated by ';')")
    parser.add_argument("--results", type=Path, help="the file; default overhead-results.json, with --quick a new one")
    parser.add_argument("--seconds", type=float, help="end after so long; what is found is kept")
    parser.add_argument("--tables", action="store_true", help="measure nothing, show what there is")
    return parser.parse_args()


class Run:
    """The options, and what they ask for."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.records = opened(options, "overhead")
        self.lab = Laboratory(self.records, Clock(options.seconds))
        self.pairs = 1 if options.quick else options.pairs
        self.versions, self.absent = ready(chosen(options.rivals, list(RIVALS), ";"))

    def _known(self, key: str) -> bool:
        return not self.options.tables or key in self.records.found

    def pair(self, name: str, hertz: int, work: Work, repeat: int) -> list[dict[str, Any]]:
        """One pair; none if there is none and nothing may be measured."""
        key = f"{self.lab.place}|{hertz}|{work}|{name}|{repeat}"
        return [self.lab.pair(RIVALS[name], hertz, work, repeat)] if self._known(key) else []

    def rivals(self) -> None:
        """Everybody, on the ordinary program."""
        wanted = [(name, hertz) for name in self.versions for hertz in ((100, 1000) if RIVALS[name].samples else (0,))]
        pairs: dict[tuple[str, int], list[dict[str, Any]]] = {each: [] for each in wanted}
        memory: dict[tuple[str, int], Any] = {}
        try:
            for repeat in range(self.pairs):
                for name, hertz in wanted:
                    pairs[name, hertz] += self.pair(name, hertz, ORDINARY, repeat)
            for name, hertz in wanted:
                if self._known(f"memory|{self.lab.place}|{hertz}|{ORDINARY}|{name}"):
                    memory[name, hertz] = self.lab.memory(RIVALS[name], hertz, ORDINARY)
        finally:
            rows = [
                tables.row(
                    name, f"{hertz} Hz" if hertz else "every call", pairs[name, hertz], memory.get((name, hertz))
                )
                for name, hertz in wanted
            ]
            print(f"\nUnder a profiler by alone\n\n{table(rows, tables.HEAD)}")
            self._failures(pairs.values())

    def growing(self) -> None:
        """Those that sample all threads from outside, and spprof, at 1 kHz, as the work grows."""
        names = [name for name in GROWING_RIVALS if name in self.versions]
        found: dict[tuple[str, Work], list[dict[str, Any]]] = {}
        works = [(what, work) for what, sizes in GROWING.items() for work in sizes]
        try:
            for repeat in range(max(1, self.pairs // 3)):
                for _, work in works:
                    for name in names:
                        found.setdefault((name, work), []).extend(self.pair(name, 1000, work, repeat))
        finally:
            for key, title in (("inside_wall", "elapsed time of the work"), ("cpu", "CPU time of all processes")):
                rows = [
                    [
                        what,
                        f"{work.size or work.seconds:g}",
                        *(tables.brief(found.get((name, work), []), key) for name in names),
                    ]
                    for what, work in works
                ]
                print(f"\nAs it grows, at 1 kHz: {title}, under a profiler by alone\n\n{table(rows, ['', '', *names])}")
            rows = [
                [what, f"{work.size or work.seconds:g}", *(_written(found.get((name, work), [])) for name in names)]
                for what, work in works
            ]
            print(f"\nKB written\n\n{table(rows, ['', '', *names])}")
            self._failures(found.values())

    def floor(self) -> None:
        """spprof by an empty handler on the same tick: what the least possible sampler costs."""
        rounds = "4" if self.options.quick else "40"
        rows = []
        for interval in ("10", "1"):
            for depth in ("20", "200"):
                key = f"floor|{self.lab.place}|{interval}|{depth}"
                if not self._known(key):
                    continue
                self.lab.clock.check()
                ns = self.records.once(key, functools.partial(self._floor, interval, depth, rounds))
                floor = ns.get("empty")
                rows.append(
                    [
                        f"{interval} ms, depth {depth}",
                        tables.spread([a / b for a, b in zip(ns["sampled"], floor)]) if floor else "no compiler",
                        tables.spread([a / b for a, b in zip(floor, ns["alone"])]) if floor else "",
                        tables.spread([a / b for a, b in zip(ns["sampled"], ns["alone"])]),
                    ]
                )
        head = ["tick", "spprof by empty handler", "empty handler by alone", "spprof by alone"]
        print(f"\nCPU time of a process\n\n{table(rows, head)}")

    @staticmethod
    def _floor(interval: str, depth: str, rounds: str) -> Any:
        return child("floor.py", interval, depth, rounds)["ns"]

    @staticmethod
    def _failures(found: Any) -> None:
        for why in sorted({pair["error"] for pairs in found for pair in pairs if "error" in pair}):
            print(f"- failed: {why}")


def _written(pairs: list[dict[str, Any]]) -> str:
    sizes = sorted(pair["under"]["written"] / 1000 for pair in tables.good(pairs))
    return f"{sizes[len(sizes) // 2]:,.0f}" if sizes else ""


def main() -> None:
    options = arguments()
    parts = chosen(options.only, list(PARTS), ",")
    run = Run(options)
    about = facts(run.records, run.lab.place)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(", ".join(f"{name} {version}" for name, version in run.versions.items()))
    for name, why in run.absent.items():
        print(f"- {name}: {why}")
    try:
        for part in parts:
            getattr(run, part)()
    except TimeIsUpError:
        print("time is up: the same command continues")


if __name__ == "__main__":
    main()
