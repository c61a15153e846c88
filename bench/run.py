"""All benchmarks: `python bench/run.py [--quick] [--json FILE] [--only NAME,...]`.

Everything that can be a ratio is one, of runs that took turns in one process. There is no pass or fail: a figure that
misses its target says so. Judge it by the spread, and run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any, Callable

import spprof
from tools import HEAD, Row, child, machine, table

Figures = "tuple[list[Row], Any]"


def ratio(name: str, these: list[float], those: list[float], target: float | None = None) -> Row:
    """These by those, pair by pair; beside it the quotient of their fastest quarters, which others disturb least."""

    def fastest(values: list[float]) -> float:
        return statistics.mean(sorted(values)[: max(1, len(values) // 4)])

    note = f"fastest quarters: {fastest(these) / fastest(those):.3f}"
    return Row(name, [a / b for a, b in zip(these, those)], "", target, note)


def overhead(quick: bool) -> Any:
    rows, raw = [], {}
    rounds = 20 if quick else 60
    for interval, target in ((10, 1.02), (1, 1.05)):
        for depth in (20, 200):
            report = child("floor.py", str(interval), str(depth), str(rounds))
            ns, stats = report["ns"], report["stats"]
            place = f"{interval} ms, depth {depth}"
            if "empty" in ns:
                rows.append(
                    ratio(f"CPU under spprof / under an empty handler, {place}", ns["sampled"], ns["empty"], target)
                )
                rows.append(ratio(f"CPU under an empty handler / alone, {place}", ns["empty"], ns["alone"]))
            rows.append(ratio(f"CPU under spprof / alone, {place}", ns["sampled"], ns["alone"]))
            handler = [s["handler_ns"] / s["handler_calls"] / 1000 for s in stats if s["handler_calls"]]
            rows.append(Row(f"handler, per call, {place}", handler, "us", 3 if depth == 20 else 6))
            drain = [100 * s["drain_cpu_ns"] / s["cpu_ns"] for s in stats]
            rows.append(Row(f"drain thread, of the program's CPU, {place}", drain, "%"))
            raw[place] = report
    return rows, raw


def million(quick: bool) -> Any:
    count = 100_000 if quick else 1_000_000
    reports = [child("million.py", str(count)) for _ in range(1 if quick else 3)]

    def values(key: str, scale: float = 1) -> list[float]:
        return [report[key] * scale for report in reports]

    of = f"of {count:,} samples"
    part = count / 1_000_000
    rows = [
        Row("bytes a sample, stacks repeat", values("bytes_a_sample"), "B", 32),
        Row(f"stop() {of}", values("stop_ms"), "ms", 300 * part),
        Row(
            f"speedscope file {of}", values("save_ms", 1e-3), "s", 5 * part, f"{reports[0]['file_bytes'] / 1e6:.0f} MB"
        ),
        Row(f"aggregate() {of}", values("aggregate_ms"), "ms"),
    ]
    for key, name in (("peak_running", "while sampling"), ("peak_stop", "until stop() is over")):
        ratio = [report[key] / report["memory_last"] for report in reports]
        rows.append(Row(f"peak of resident memory / what stats() says, {name}", ratio, "", 2))
    rows.append(Row("peak of resident memory, file included", values("peak_save", 1e-6), "MB"))
    return rows, reports


def imports(quick: bool) -> Any:
    """CPU time of interpreters that import spprof and others that do not, in turns; elapsed time is the machine's too."""

    # As installed packages are found: with their bytecode, which the first import writes.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def once(code: str) -> float:
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], env)
        _, status, used = os.wait4(pid, 0)
        if status != 0:
            raise OSError(f"{code!r} ended with status {status}")
        return (used.ru_utime + used.ru_stime) * 1000

    once("import spprof")
    bare, loaded = [], []
    for number in range(10 if quick else 60):
        for code in ("pass", "import spprof") if number & 1 else ("import spprof", "pass"):
            (bare if code == "pass" else loaded).append(once(code))
    extra = [b - a for a, b in zip(bare, loaded)]
    return [Row("import spprof, over bare Python", extra, "ms", 10), Row("bare Python", bare, "ms")], extra


def threads(quick: bool) -> Any:
    report = child("threads.py", "1000", "3" if quick else "9")
    sources = ", ".join(f"{n} {name}" for name, n in report["sources"].items())
    return [
        Row("start() beside 1,000 threads", report["start_ms"], "ms", 100, sources),
        Row("stop() beside 1,000 threads", report["stop_ms"], "ms"),
    ], report


def parallel(quick: bool) -> Any:
    rows, raw = [], {}
    for interval in (10, 1):
        for size in (1, 2, 4):
            report = child("parallel.py", str(interval), str(size), "10" if quick else "40")
            place = f"{size} threads at once, {interval} ms"
            floor = "empty" if "empty" in report else "alone"
            for column, name in ((0, "CPU"), (1, "elapsed time")):
                these, those = ([float(turn[column]) for turn in report[way]] for way in ("sampled", floor))
                under = "under an empty handler" if floor == "empty" else "alone"
                rows.append(ratio(f"{name} under spprof / {under}, {place}", these, those, 1.03))
            rows.append(Row(f"samples lost, {place}", [report["drops"]], "", 0))
            raw[place] = report
    return rows, raw


def server(quick: bool) -> Any:
    """Of frameworks and loops those that are installed."""
    import importlib.util

    rows, raw = [], {}
    for kind in ("streams", "aiohttp"):
        for loop in ("asyncio", "uvloop"):
            if all(importlib.util.find_spec(name) for name in {kind, loop} - {"streams"}):
                report = child("server.py", kind, loop, "3200", "8" if quick else "48", "10")
                place = f"{kind} on {loop}, wall, 10 ms"
                rows.append(
                    ratio(f"time for a request under spprof / without, {place}", report["with"], report["without"])
                )
                rows.append(
                    ratio(f"CPU time of the server / without, {place}", report["cpu_with"], report["cpu_without"])
                )
                rates = [report["requests"] / seconds for seconds in report["without"]]
                rows.append(Row(f"requests a second without, {place}", rates, "/s"))
                raw[place] = report
    return rows, raw


def exporters(quick: bool) -> Any:
    """CPU time and size of each format; linear if the last two columns of figures are alike."""
    rows, raw = [], {}
    for count in (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000):
        report = raw[str(count)] = child("exporters.py", str(count))
        for name, found in report.items():
            note = f"{found['ms'] * 1e3 / count:.2f} us and {found['bytes'] / count:.2f} bytes a sample"
            rows.append(Row(f"{name}, {count:,} samples", [found["ms"]], "ms", None, note))
    return rows, raw


def report(quick: bool) -> Any:
    """The HTML report; opened and moved where there is a browser."""
    from spprof.export import check_ready

    check_ready("html")
    rows, raw = [], {}
    for samples, stacks in ((100_000, 10_000),) if quick else ((10_000, 1000), (100_000, 10_000), (1_000_000, 215_000)):
        found = raw[str(samples)] = child("report.py", str(samples), str(stacks))
        place = f"{samples:,} samples, {found['stacks']:,} stacks"
        note = f"{found['bytes'] / 1e6:.2f} MB, {found['bytes'] / samples:.2f} bytes a sample"
        rows.append(Row(f"write the report, {place}", [found["save_ms"]], "ms", None, note))
        if "open_ms" in found:
            rows.append(Row(f"open it, {place}", found["open_ms"], "ms", 2000))
            for order, frames in found["frames"].items():
                rows.append(Row(f"move it, between frames, by {order}, {place}", frames["gaps"], "ms", 16.8))
                rows.append(Row(f"move it, the script's part, by {order}, {place}", frames["own"], "ms", 16.7))
    return rows, raw


def deaths(quick: bool) -> Any:
    rows, raw = [], {}
    for interval in (10, 1):
        report = child("deaths.py", str(interval), "5" if quick else "15")
        ns = statistics.median(report["alone_ns"])
        rows.append(
            ratio(
                f"program that drops code all the time, CPU / alone, {interval} ms",
                report["sampled_ns"],
                report["alone_ns"],
            )
        )
        rows.append(Row(f"one piece of code of that program, {interval} ms", [ns / 1000], "us"))
        raw[str(interval)] = report
    return rows, raw


BENCHMARKS: dict[str, Callable[[bool], Any]] = {
    "overhead": overhead,
    "million": million,
    "imports": imports,
    "threads": threads,
    "deaths": deaths,
    "parallel": parallel,
    "server": server,
    "exporters": exporters,
    "report": report,
}


def about() -> dict[str, Any]:
    """What the figures depend on."""
    sources = {name: usable for name, (usable, _) in spprof._native.tick_sources().items()}
    return {
        "spprof": spprof.__version__,
        **machine(),
        "sources": sources,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller profiles")
    parser.add_argument("--json", metavar="FILE", help="all values, for a closer look")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {', '.join([*BENCHMARKS, 'accuracy'])}")
    options = parser.parse_args()
    if not spprof._HAS_NATIVE:
        parser.error("the C extension is not in use: spprof doctor says why")
    names = options.only.split(",") if options.only else [*BENCHMARKS, "accuracy"]
    facts = about()
    print(", ".join(f"{key} {value}" for key, value in facts.items()), end="\n\n", flush=True)
    everything: dict[str, Any] = {"about": facts}
    for name in names:
        if name == "accuracy":
            import tick_sources

            rows, raw = tick_sources.measure(options.quick)
            print(table(rows, tick_sources.HEAD), end="\n\n", flush=True)
        else:
            figures, raw = BENCHMARKS[name](options.quick)
            print(table([row.cells() for row in figures], HEAD), end="\n\n", flush=True)
        everything[name] = raw
    if options.json:
        Path(options.json).write_text(json.dumps(everything))


if __name__ == "__main__":
    main()
