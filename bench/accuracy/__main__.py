"""How right profilers are, on programs that know their truth: `python -m bench.accuracy [--quick]`, from the repository's root.

For the interpreter that runs it, which must have spprof; rivals are installed when they are first needed. Results are kept in a
file (`--results`), so that a run can be stopped and continued; `--seconds` ends it after a while. Run it alone on a machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.accuracy import tables
from bench.accuracy.judge import worst_error
from bench.accuracy.laboratory import Laboratory
from bench.accuracy.programs import PROGRAMS
from bench.records import Clock, Records, TimeIsUpError, chosen, facts, opened
from bench.rivals import RIVALS, ready
from bench.tools import table


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat, a third of the work")
    parser.add_argument("--repeats", type=int, default=3, help="default 3")
    parser.add_argument("--hertz", type=int, default=1000, help="samples a second, of those that sample; default 1000")
    parser.add_argument("--cpu-ms", type=int, default=1000, help="CPU time of a program; default 1000")
    parser.add_argument("--programs", metavar="NAMES", help=f"some of: {', '.join(PROGRAMS)}")
    parser.add_argument("--rivals", metavar="NAMES", help=f"some of: {', '.join(RIVALS)} (separated by ';')")
    parser.add_argument("--results", type=Path, help="the file; default accuracy-results.json, with --quick a new one")
    parser.add_argument("--seconds", type=float, help="end after so long; what is found is kept")
    parser.add_argument("--tables", action="store_true", help="measure nothing, show what there is")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    repeats, cpu_ms = (1, options.cpu_ms // 3) if options.quick else (options.repeats, options.cpu_ms)
    records = opened(options, "accuracy")
    lab = Laboratory(records, Clock(options.seconds), options.hertz, cpu_ms)
    programs = chosen(options.programs, list(PROGRAMS), ",")
    present, absent = ready(chosen(options.rivals, list(RIVALS), ";"))
    about = facts(records, lab.place)
    verdicts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    over = True
    try:
        for repeat in range(repeats):
            for program in programs:
                for name in present:
                    key = f"{lab.place}|{lab.hertz}|{program}|{name}|{repeat}"
                    if options.tables and key not in records.found:
                        continue
                    found = lab.under(RIVALS[name], program, repeat)
                    verdicts.setdefault((program, name), []).append(found)
    except TimeIsUpError:
        over = False
    noise = {program: between(records, lab.place, program, repeats) for program in programs}
    show(about, programs, present, absent, verdicts, options.hertz, noise)
    if not over:
        print("time is up: the same command continues")


def between(records: Records, place: str, program: str, repeats: int) -> list[float]:
    """How far the shares of runs without a profiler are apart, in points."""
    keys = [f"run|{place}|{program}|{repeat}" for repeat in range(repeats)]
    labels = [records.found[key]["labels"] for key in keys if key in records.found]
    return [
        error
        for one, next_one in zip(labels, labels[1:])
        for error in [worst_error(one, next_one)]
        if error is not None
    ]


def show(
    about: dict[str, str],
    programs: list[str],
    present: dict[str, str],
    absent: dict[str, str],
    verdicts: dict[tuple[str, str], list[dict[str, Any]]],
    hertz: int,
    noise: dict[str, list[float]],
) -> None:
    def can(program: str, name: str) -> bool:
        return RIVALS[name].lines or PROGRAMS[program].by != "line"

    print(", ".join(f"{key} {value}" for key, value in about.items()), f"{hertz} Hz", sep=", ", end="\n\n")
    rows = [[name, version, RIVALS[name].settings, RIVALS[name].number] for name, version in present.items()]
    print(table(rows, ["profiler", "version", "used with", "its number is"]), end="\n\n")
    for name, why in absent.items():
        print(f"- {name}: {why}")
    names = list(present)
    for title, cell in (
        ("Worst error of a share, in points, by the truth of the same run",
         lambda p, n: tables.error_cell(verdicts.get((p, n), []), "error", can(p, n))),
        ("The same, by the program without a profiler",
         lambda p, n: tables.error_cell(verdicts.get((p, n), []), "error_bare", can(p, n))),
        ("Seconds reported, by CPU time used", lambda p, n: tables.coverage_cell(verdicts.get((p, n), []), can(p, n))),
        ("Wrong names", lambda p, n: tables.names_cell(verdicts.get((p, n), []), can(p, n))),
    ):  # fmt: skip
        print(f"\n{title}\n\n{tables.grid(programs, names, cell)}")
    apart = [[program, *(f"{max(errors):.1f}" for errors in [noise[program]] if errors)] for program in programs]
    rows = [row for row in apart if len(row) == 2]
    if rows:
        print(f"\nRuns without a profiler, by each other\n\n{table(rows, ['', 'points, at most'])}")
    for (program, name), runs in verdicts.items():
        for why in sorted({run["error"] for run in runs if isinstance(run.get("error"), str)}):
            print(f"- {name}, {program}: {why}")


if __name__ == "__main__":
    main()
