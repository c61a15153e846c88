"""`--spprof-compare`: what takes significantly more than in an earlier run.

Shares are compared, with confidence intervals that hold for all functions at once (`Profile.diff`): a slower machine changes
times, not shares. A share also rises when something else became faster, so the time must have grown as well, by more than the
tolerance. Tests that only one of the runs has are left out of both.
"""

from __future__ import annotations

import json
import os

from .._analysis.difference import compare
from .._analysis.filtering import reordered
from .._profile import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._analysis.difference import FunctionChange
    from .._analysis.evidence import ShareChange
    from .measured import TestRecord

_CONFIDENCE = 0.95
_FOREIGN = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Base:
    """The run to compare with. Raises ValueError, saying what to do, if there is none or it can't be read."""

    def __init__(self, path: str) -> None:
        self.path = path
        folder = os.path.isdir(path)
        file = os.path.join(path, "run.spprof") if folder else path
        index = os.path.join(path, "tests.json") if folder else _index_beside(path)
        if not os.path.exists(file):
            raise ValueError(
                f"--spprof-compare: there is no {file!r}: make it with pytest --spprof --spprof-output={path}, where things "
                "are as they should be"
            )
        try:
            self.profile = Profile.load(file)
            self.cases = _cases(_tests_of(index)) if os.path.exists(index) else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"--spprof-compare: {path!r} can't be read: {error}") from None

    def check_mode(self, mode: str | None) -> None:
        """ValueError if a run of *mode* can't be compared with it."""
        if (mode or "cpu") != self.profile.mode and not (mode is None and self.profile.mode == "wall"):
            raise ValueError(
                f"--spprof-compare: {self.path!r} is a profile of mode {self.profile.mode!r}: "
                f"compare with --spprof-mode={self.profile.mode}"
            )


class Regression:
    """One function that takes more."""

    def __init__(self, function: FunctionChange, change: ShareChange, kind: str) -> None:
        self.function = function
        self.change = change
        self.kind = kind  # "total" or "self"


class Comparison:
    """A run compared with its base.

    regressions: the worst first. failure: why nothing could be compared, "" if it could.
    left_out: test functions that are not the same in both.
    """

    def __init__(
        self, base: Base, profile: Profile | None, records: Iterable[TestRecord], root: str, tolerance: float
    ) -> None:
        self.base = base
        self.regressions: list[Regression] = []
        self.left_out: list[str] = []
        self.compared = 0
        self.failure = ""
        if profile is None:
            self.failure = "this run has no profile"
            return
        before, after = base.profile, profile
        if base.cases is not None:
            cases = _cases(record.nodeid for record in records)
            different = {test for test in {*cases, *base.cases} if cases.get(test) != base.cases.get(test)}
            self.left_out = sorted("::".join(test) for test in different)
            if different and len(different) == len({*cases, *base.cases}):
                self.failure = "no test is in both runs"
                return
            before, after = _without(before, different), _without(after, different)
        if not before.sample_count or not after.sample_count:
            self.failure = "there are no samples to compare: a shorter --spprof-interval, or more work, gives some"
            return
        try:
            difference = compare(before, after, _CONFIDENCE)
        except ValueError as error:
            self.failure = str(error)
            return
        for function in difference.functions:
            if not _is_ours(function, root):
                continue
            self.compared += 1
            for kind, change in (("total", function.total_change), ("self", function.self_change)):
                if _is_worse(change, tolerance):
                    self.regressions.append(Regression(function, change, kind))
                    break
        self.regressions.sort(key=lambda worse: (-worse.change.change, worse.function.function_name))

    @property
    def passed(self) -> bool:
        """Whether nothing takes significantly more."""
        return not self.failure and not self.regressions


def _is_worse(change: ShareChange, tolerance: float) -> bool:
    # What is new has nothing to compare with; whoever calls it takes more.
    return (
        change.is_significant
        and change.low > 0
        and change.before_samples > 0
        and change.after_ns > change.before_ns * (1 + tolerance / 100)
    )


def _is_ours(function: FunctionChange, root: str) -> bool:
    """Functions of the project. Its modules' own code is left out: it runs at import, which also writes caches."""
    name = function.filename
    return (
        not function.is_native
        and function.function_name != "<module>"
        and (name.startswith(root.rstrip(os.sep) + os.sep) or (bool(name) and not os.path.isabs(name)))
        and not any(part in name for part in _FOREIGN)
    )


def _cases(nodeids: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """By file and function the ids of its cases."""
    result: dict[tuple[str, str], list[str]] = {}
    for nodeid in nodeids:
        plain, _, _ = nodeid.partition("[")
        file, _, rest = plain.partition("::")
        result.setdefault((file, rest.replace("::", ".")), []).append(nodeid)
    return {test: sorted(cases) for test, cases in result.items()}


def _without(profile: Profile, tests: set[tuple[str, str]]) -> Profile:
    """The profile without the samples of *tests*: those with the test's function on the stack. Only its rows are right."""
    if not tests:
        return profile
    tree, rows = profile._tree, profile._rows
    names = {name for _, name in tests}
    gone = [
        frame.function_name in names
        and any(name == frame.function_name and _is_file(frame.filename, file) for file, name in tests)
        for frame in tree.frames
    ]
    below = bytearray(len(tree))
    for node in range(1, len(tree)):
        below[node] = below[tree.parent_of[node]] or gone[tree.frame_of[node]]
    kept = [row for row, node in enumerate(rows.nodes) if not below[node]]
    return Profile(profile._facts, tree, reordered(rows, kept))


def _is_file(path: str, wanted: str) -> bool:
    path = path.replace(os.sep, "/")
    return path == wanted or path.endswith("/" + wanted)


def _tests_of(index: str) -> list[str]:
    with open(index, encoding="utf-8") as file:
        return [test["test"] for test in json.load(file)["tests"]]


def _index_beside(path: str) -> str:
    """Of a file its own index, or that of the folder it lies in."""
    own = path + ".tests.json"
    beside = os.path.join(os.path.dirname(path), "tests.json")
    return beside if os.path.basename(path) == "run.spprof" and not os.path.exists(own) else own
