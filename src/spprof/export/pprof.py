"""pprof's format (https://github.com/google/pprof/blob/main/proto/profile.proto): `go tool pprof`, Pyroscope, many others.

A sample of the file is all samples of one thread that have the same stack, state and task; values are their number and
nanoseconds of CPU time, or of elapsed time and the CPU time in it. A location is a function at a line; of a native one with an
address of it, in a mapping with the object's build id, so that pprof can look up what has no name here. Losses are stacks of one
frame, ``[dropped]`` and ``[unsampled]``, so that the values add up to the threads' times.
"""

from __future__ import annotations

from .._base import MEASURES
from .._version import __version__
from ._merged import merged
from ._protobuf import data, number, packed, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._base import BaseProfile
    from .._code import MachineCode
    from .._model import Frame


def render(profile: BaseProfile) -> Iterator[bytes]:
    """The file, uncompressed, in pieces."""
    strings = _Strings()
    tree = profile._tree
    values = [("samples", "count"), (profile.mode, "nanoseconds")]
    if profile.mode != "cpu":
        values.append(("cpu", "nanoseconds"))
    for kind, unit in values:
        yield data(1, number(1, strings[kind]) + number(2, strings[unit]))

    labels = profile._thread_labels()
    locations = _Locations(strings, profile._code)
    number_of = [0] * len(tree.frames)
    stacks: dict[int, bytes] = {}
    for each in merged(profile):
        stack = stacks.get(each.node)
        if stack is None:
            path = tree.path(each.node)
            for index in path:
                if not number_of[index]:
                    number_of[index] = locations.number(index, tree.frames[index])
            stack = stacks[each.node] = packed(1, [number_of[index] for index in reversed(path)])
        counts = [each.samples, each.weight_ns] + [each.cpu_ns] * (len(values) - 2)
        body = stack + packed(2, counts)
        for key, label in (
            ("thread", labels[each.thread]),
            ("state", each.state),
            ("waiting_for", each.waiting_for),
            ("task", each.task),
        ):
            if label:
                body += data(3, number(1, strings[key]) + number(2, strings[label]))
        yield data(2, body)

    # One mapping of all Python code, without which some readers show nothing: names and lines are there already.
    yield data(
        3, number(1, 1) + number(5, strings[profile.program or "python"]) + b"".join([number(f, 1) for f in (7, 8, 9)])
    )
    yield from locations.mappings.messages()
    yield from locations.messages
    yield from locations.functions
    start_ns = int(profile._facts.start_time * 1e9)
    duration_ns = profile._facts.duration_ns
    tail = number(9, start_ns) + number(10, duration_ns)
    tail += data(11, number(1, strings[values[1][0]]) + number(2, strings["nanoseconds"]))
    tail += number(12, profile._facts.interval_ns)
    comments = [
        f"spprof {__version__}, Python {profile.python_version}, {profile.platform}",
        f"{MEASURES[profile.mode]}, every {profile.interval_ms:g} ms",
    ]
    tail += packed(13, [strings[comment] for comment in comments])
    tail += number(14, strings[values[1][0]])
    yield tail
    for entry in strings:  # last, when all are known
        yield text(6, entry)


class _Strings(dict[str, int]):
    """The string table: its first entry is empty."""

    def __init__(self) -> None:
        super().__init__({"": 0})

    def __missing__(self, key: str) -> int:
        self[key] = len(self)
        return self[key]


class _Mappings:
    """Parts of objects of machine code, numbered from 2 as frames in them are met: 1 is all Python code."""

    def __init__(self, strings: _Strings, code: MachineCode | None) -> None:
        self._strings = strings
        self._code = code
        self._numbers: dict[tuple[int, int], int] = {}
        self._complete: dict[int, list[bool]] = {}  # by number: whether all have names, files, lines

    def place(self, index: int, frame: Frame) -> tuple[int, int]:
        """Number of the mapping that a frame is in, and its address there."""
        place = self._code.places.get(index) if self._code is not None else None
        if self._code is None or place is None or place.object < 0:
            return 1, 0
        address = self._code.address_in_memory(place)
        for part, (start, end, _) in enumerate(self._code.objects[place.object].segments):
            if start <= address < end:
                found = self._numbers.setdefault((place.object, part), len(self._numbers) + 2)
                has_name = index not in self._code.unnamed
                self._note(found, [has_name, has_name and bool(frame.filename), frame.lineno > 0])
                return found, address
        return 1, 0

    def _note(self, mapping: int, has: list[bool]) -> None:
        self._complete[mapping] = [a and b for a, b in zip(self._complete.get(mapping, [True] * 3), has)]

    def messages(self) -> Iterator[bytes]:
        for (number_of_object, part), mapping in self._numbers.items():
            assert self._code is not None
            found = self._code.objects[number_of_object]
            start, end, offset = found.segments[part]
            body = number(1, mapping) + number(2, start) + number(3, end) + number(4, offset)
            body += number(5, self._strings[found.path]) + number(6, self._strings[found.build_id.hex()])
            has = zip((7, 8, 9), self._complete[mapping])
            yield data(3, body + b"".join([number(field, 1) for field, all_have in has if all_have]))


class _Locations:
    """Locations and functions, numbered from 1 as they are met."""

    def __init__(self, strings: _Strings, code: MachineCode | None) -> None:
        self.messages: list[bytes] = []
        self.functions: list[bytes] = []
        self.mappings = _Mappings(strings, code)
        self._strings = strings
        self._locations: dict[tuple[str, str, int, int, int], int] = {}
        self._functions: dict[tuple[str, str, int], int] = {}

    def number(self, index: int, frame: Frame) -> int:
        name = frame.function_name or "(unnamed)"
        function = (name, frame.filename, frame.firstlineno)
        mapping, address = self.mappings.place(index, frame)
        location = (*function, frame.lineno, mapping)
        known = self._locations.get(location)
        if known is None:
            known = self._locations[location] = len(self._locations) + 1
            of = self._functions.get(function)
            if of is None:
                of = self._functions[function] = len(self._functions) + 1
                text_of = self._strings[name]
                body = (
                    number(1, of) + number(2, text_of) + number(3, text_of) + number(4, self._strings[frame.filename])
                )
                self.functions.append(data(5, body + number(5, frame.firstlineno)))
            line = number(1, of) + number(2, frame.lineno)
            head = number(1, known) + number(2, mapping) + (number(3, address) if address else b"")
            self.messages.append(data(4, head + data(4, line)))
        return known
