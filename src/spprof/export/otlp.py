"""OpenTelemetry profiles: ``ProfilesData`` of the schema v1development, as of opentelemetry-proto 1.43 to 1.45.

https://github.com/open-telemetry/opentelemetry-proto, opentelemetry/proto/profiles/v1development/profiles.proto. The schema is
not stable: 1.40 and 1.43 moved fields. To be sent to a collector's ``/v1development/profiles`` with the header
``OTLP-Profiles-Development-Version: 1``.

A profile of the file has one type of value: nanoseconds of CPU time, or of elapsed time and, in a second one, of CPU time.
Samples that are equal in thread, stack, state and task are one. Tables begin with an empty entry, as the schema demands.
"""

from __future__ import annotations

import struct

from .._version import __version__
from ._merged import merged
from ._protobuf import data, number, packed, text, varint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._base import BaseProfile
    from .._model import Frame


def render(profile: BaseProfile) -> Iterator[bytes]:
    """The file, in pieces."""
    tables = _Tables()
    samples = merged(profile)
    labels = profile._thread_labels()
    frames, path = profile._tree.frames, profile._tree.path
    locations: dict[int, int] = {}
    stacks: dict[int, int] = {}
    for each in samples:
        if each.node not in stacks:
            on_it = path(each.node)
            for index in on_it:
                if index not in locations:
                    locations[index] = tables.location(frames[index])
            stacks[each.node] = tables.stack([locations[index] for index in on_it])
    attributes = [
        packed(2, [
            tables.attribute(key, value)
            for key, value in (
                ("thread.name", labels[each.thread]), ("spprof.state", each.state),
                ("spprof.waiting_for", each.waiting_for), ("spprof.task", each.task),
            )
            if value
        ])
        for each in samples
    ]  # fmt: skip
    profiles = [_profile(profile, tables, profile.mode, samples, stacks, attributes, "weight_ns")]
    if profile.mode != "cpu":
        profiles.append(_profile(profile, tables, "cpu", samples, stacks, attributes, "cpu_ns"))
    scope = data(1, text(1, "spprof") + text(2, __version__)) + b"".join([data(2, each) for each in profiles])
    resource = b"".join(
        [
            data(1, text(1, key) + data(2, text(1, value)))
            for key, value in (
                ("service.name", profile.program or "python"),
                ("process.runtime.name", "cpython"),
                ("process.runtime.version", profile.python_version),
                ("host.os", profile.platform),
            )
        ]
    )
    yield data(1, data(1, resource) + data(2, scope))
    yield data(2, tables.encoded())


def _profile(
    profile: BaseProfile,
    tables: _Tables,
    kind: str,
    samples: list[Any],
    stacks: dict[int, int],
    attributes: list[bytes],
    value: str,
) -> bytes:
    import hashlib

    facts = profile._facts
    nanoseconds = tables.string("nanoseconds")
    value_type = number(1, tables.string(kind)) + number(2, nanoseconds)
    body = [data(1, value_type)]
    body.extend(
        [
            data(2, number(1, stacks[each.node]) + labels + packed(4, [getattr(each, value)]))
            for each, labels in zip(samples, attributes)
            if getattr(each, value)
        ]
    )
    start_ns = int(facts.start_time * 1e9)
    body.append(varint(3 << 3 | 1) + struct.pack("<Q", start_ns))
    body.append(number(4, facts.duration_ns))
    body.append(data(5, value_type))
    body.append(number(6, facts.interval_ns))
    # Any 16 bytes that no other profile has.
    identity = hashlib.sha256(
        f"{facts.program} {facts.platform} {start_ns} {facts.duration_ns} {kind}".encode("utf-8", "replace")
    )
    body.append(data(7, identity.digest()[:16]))
    return b"".join(body)


class _Tables:
    """The dictionary that all profiles of a file share: entries are numbered as they are met."""

    def __init__(self) -> None:
        self._strings: dict[str, int] = {"": 0}
        self._functions: dict[bytes, int] = {b"": 0}
        self._locations: dict[bytes, int] = {b"": 0}
        self._attributes: dict[bytes, int] = {b"": 0}
        self._stacks: dict[bytes, int] = {b"": 0}

    def string(self, value: str) -> int:
        return self._strings.setdefault(value, len(self._strings))

    def attribute(self, key: str, value: str) -> int:
        entry = number(1, self.string(key)) + data(2, text(1, value))
        return self._attributes.setdefault(entry, len(self._attributes))

    def stack(self, locations: list[int]) -> int:
        """Of *locations*, root first; the file has the leaf first."""
        entry = packed(1, reversed(locations))
        return self._stacks.setdefault(entry, len(self._stacks))

    def location(self, frame: Frame) -> int:
        name = self.string(frame.function_name)
        function = (
            number(1, name) + number(2, name) + number(3, self.string(frame.filename)) + number(4, frame.firstlineno)
        )
        index = self._functions.setdefault(function, len(self._functions))
        column = 0 if frame.column is None else frame.column + 1
        line = number(1, index) + number(2, frame.lineno) + number(3, column)
        kind = self.attribute("profile.frame.type", "native" if frame.is_native else "cpython")
        entry = data(3, line) + packed(4, [kind])
        return self._locations.setdefault(entry, len(self._locations))

    def encoded(self) -> bytes:
        """The message ``ProfilesDictionary``."""
        parts = [
            data(1, b""),
            *[data(2, entry) for entry in self._locations],
            *[data(3, entry) for entry in self._functions],
        ]
        parts.append(data(4, b""))
        parts.extend([text(5, entry) for entry in self._strings])
        parts.extend([data(6, entry) for entry in self._attributes])
        parts.extend([data(7, entry) for entry in self._stacks])
        return b"".join(parts)
