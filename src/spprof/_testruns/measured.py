"""What is known of each test, and the profile of all workers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._profile import Profile

_HOT_LINES = 3


class TestRecord:
    """One test of the run: its times (ns, by `time.monotonic_ns`), its profile's file and its hot lines.

    hot: (function, file, line, share of the test's time), the hottest first.
    """

    __test__ = False  # pytest would take it for tests

    def __init__(self, nodeid: str, begin: int, end: int, cpu_ns: int, worker: str = "") -> None:
        self.nodeid = nodeid
        self.begin = begin
        self.end = end
        self.cpu_ns = cpu_ns
        self.worker = worker
        self.file = ""
        self.hot: list[tuple[str, str, int, float]] = []

    def cost(self, by_cpu: bool) -> int:
        """Its time in nanoseconds."""
        return self.cpu_ns if by_cpu else self.end - self.begin

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "test": self.nodeid, "worker": self.worker, "cpu_ns": self.cpu_ns, "elapsed_ns": self.end - self.begin,
            "file": self.file, "hot_lines": [list(line) for line in self.hot],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TestRecord:
        """What `to_dict` gave."""
        record = cls(values["test"], 0, values["elapsed_ns"], values["cpu_ns"], values["worker"])
        record.file = values["file"]
        record.hot = [(line[0], line[1], line[2], line[3]) for line in values["hot_lines"]]
        return record


def hot_lines(profile: Profile) -> list[tuple[str, str, int, float]]:
    """The lines with the most own time."""
    whole = sum([thread.time_ns for thread in profile.threads])
    return [
        (line.function_name, line.filename, line.lineno, line.self_ns / whole)
        for line in list(profile.lines())[:_HOT_LINES]
        if whole and line.self_ns
    ]


def merged_workers(paths: list[str], notes: list[str]) -> Profile | None:
    """The profiles of all workers as one."""
    from .._analysis.merging import merge_profiles
    from .._profile import Profile

    profiles = []
    for path in paths:
        try:
            profiles.append(Profile.load(path))
        except (OSError, ValueError) as error:
            notes.append(f"the profile of a worker can't be read: {error}")
    return merge_profiles(profiles) if profiles else None
