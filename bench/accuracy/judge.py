"""A profiler's result against what the program knew."""

from __future__ import annotations

import ast
import functools
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.rivals.report import bare_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.rivals import Frame, Report

#: A label of less than this part of the truth may go without a sample.
LEAST = 0.02


def shares(amounts: Mapping[str, float]) -> dict[str, float]:
    """Each amount's part of the whole; all 0 if there is nothing."""
    whole = sum(amounts.values())
    return {name: amount / whole if whole > 0 else 0.0 for name, amount in amounts.items()}


def worst_error(true: Mapping[str, float], found: Mapping[str, float]) -> float | None:
    """The largest error of a share, in points (hundredths of the whole); None if nothing was found."""
    if sum(found.values()) <= 0:
        return None
    real, said = shares(true), shares(found)
    return 100 * max(abs(real[label] - said[label]) for label in real)


class Census:
    """What can be known of the functions that ran, from a run of the program in which each call was noted."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.ran = {_numberless(file, function) for file, function in told["ran"]}
        self.files = {file for file, _ in self.ran}
        self.calls = {(_numberless(*call[:2]), _numberless(*call[2:])) for call in told["calls"]}

    def never_ran(self, frame: Frame) -> bool:
        """Whether a function of the program's own files did not run; of other files, whether there is none of that name."""
        file, function = os.path.basename(frame.file), bare_name(frame.function)
        if function[:1] == "<" and function[-1:] == ">":  # the compiler's own names
            return False
        if file in self.files:
            return _numberless(file, function) not in self.ran
        if frame.file.endswith(".py"):
            names = names_in(frame.file)
            return names is not None and function not in names
        return not function.isprintable()

    def never_called(self, stack: Iterable[Frame]) -> bool:
        """Whether some function of the program's own files stands on one that never called it."""
        names = [(os.path.basename(frame.file), bare_name(frame.function)) for frame in stack]
        return any(
            file in self.files
            and callee_file in self.files
            and "<module>" not in (function, callee)
            and (_numberless(file, function), _numberless(callee_file, callee)) not in self.calls
            for (file, function), (callee_file, callee) in zip(names, names[1:])
        )


def _numberless(file: str, function: str) -> tuple[str, str]:
    """Functions that differ by a number at their ends are one."""
    stem, _, number = function.rpartition("_")
    return file, stem if stem and number.isdigit() else function


@functools.cache
def names_in(file: str) -> frozenset[str] | None:
    """Names of functions and classes in a file of the standard library (of that name in any of its folders, if *file* is but
    the end of a path); None if it is not one of those.
    """
    root = sysconfig.get_paths()["stdlib"]
    if os.path.isabs(file) and (not file.startswith(root) or "site-packages" in file):
        return None
    paths = [file] if os.path.isabs(file) else [path for path in _library() if path.endswith(os.sep + file)]
    found: set[str] = set()
    for path in paths:
        try:
            tree = ast.parse(Path(path).read_bytes())
        except (OSError, SyntaxError, ValueError):
            return None
        found.update(
            node.name
            for node in ast.walk(tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        )
    return frozenset(found | {"__annotate__"}) if paths else None


@functools.cache
def _library() -> tuple[str, ...]:
    """The standard library's files."""
    return tuple(
        os.path.join(folder, file)
        for folder, _, files in os.walk(sysconfig.get_paths()["stdlib"])
        if "site-packages" not in folder
        for file in files
        if file.endswith(".py")
    )


def verdict(
    told: Mapping[str, Any], bare: Mapping[str, float], census: Census, report: Report, by: str
) -> dict[str, Any]:
    """One run: *told* is what the program knew in this run, *bare* the seconds of its labels without any profiler.

    Points: the worst error of a share. `error` is by this run itself; `error_bare` by the program without a profiler, so
    that what the profiler does to the program is in it. `coverage`: what is said of the labels by their CPU time.
    `wrong`: functions named that did not run; `missing`: labels that ran for a fiftieth of the time and were not named;
    `impossible`: the part of the time in stacks that never were.
    """
    true = {label: ns / 1e9 for label, ns in told["labels"].items()}
    found = report.by_line(true) if by == "line" else report.by_function(true)
    whole = sum(report.stacks.values())
    never = sum(seconds for stack, seconds in report.stacks.items() if census.never_called(stack))
    real = shares(true)
    return {
        "true": true,
        "found": found,
        "error": worst_error(true, found),
        "error_bare": worst_error({label: bare[label] for label in true}, found),
        "coverage": sum(found.values()) / sum(true.values()),
        "wrong": sorted({f"{frame.function} ({frame.file})" for frame in report.frames() if census.never_ran(frame)}),
        "missing": sorted(label for label, part in real.items() if part >= LEAST and found[label] <= 0),
        "impossible": never / whole if whole > 0 else 0.0,
        "seconds": report.seconds(),
        "process_s": told["process_ns"] / 1e9,
    }
