"""CPU time of C functions: in the right function, under its Python caller, in known shares."""

from __future__ import annotations

import ctypes
import hashlib
import json
import re
import sqlite3
import subprocess
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

import spprof

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.needs_native

SOURCE = Path(__file__).resolve().parents[1] / "native_helper.c"


def share(samples: Iterable[spprof.Sample], wanted: Callable[[spprof.Sample], bool]) -> float:
    samples = list(samples)
    whole = sum(s.weight_ns for s in samples)
    return sum(s.weight_ns for s in samples if wanted(s)) / whole if whole else 0.0


def bound(expected: float, count: int) -> float:
    """Five standard deviations, and half a point for what is around the work."""
    return 5 * (expected * (1 - expected) / count) ** 0.5 + 0.005


@pytest.mark.parametrize(
    "flags", [["-O0"], ["-O2"], ["-O3", "-fomit-frame-pointer"], ["-O2", "-fno-omit-frame-pointer"]]
)
def test_known_shares(tmp_path: Path, flags: list[str]) -> None:
    library = tmp_path / "libshares.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", *flags, str(SOURCE), "-o", str(library), "-lpthread"], check=True
    )
    loaded = ctypes.CDLL(str(library))
    loaded.burn_shares(8)
    with spprof.Profiler(interval_ms=1, native=True) as p:
        loaded.burn_shares(3000)
    assert p.profile is not None
    mine = [s for s in p.profile.samples if any(f.function_name == "burn_shares" for f in s.frames)]
    assert share(p.profile.samples, lambda s: any(f.function_name == "burn_shares" for f in s.frames)) > 0.98
    one = share(mine, lambda s: any(f.function_name == "burn_one" for f in s.frames))
    two = share(mine, lambda s: any(f.function_name == "burn_two" for f in s.frames))
    assert abs(one - 0.25) < bound(0.25, len(mine))
    assert abs(two - 0.75) < bound(0.75, len(mine))
    for sample in mine:
        names = [f.function_name for f in sample.frames]
        assert names.index("test_known_shares") < names.index("burn_shares")


def packs(end: float) -> None:
    data = bytes(range(256)) * 2000
    while time.thread_time() < end:
        zlib.compress(data)


def hashes(end: float) -> None:
    data = bytes(1_000_000)
    while time.thread_time() < end:
        hashlib.sha256(data).digest()


def encodes(end: float) -> None:
    data = [{"a": i, "b": str(i)} for i in range(2000)]
    while time.thread_time() < end:
        json.dumps(data)


def queries(end: float) -> None:
    database = sqlite3.connect(":memory:")
    while time.thread_time() < end:
        list(
            database.execute(
                "with recursive c(x) as (select 1 union all select x+1 from c where x<20000) select sum(x) from c"
            )
        )
    database.close()


def matches(end: float) -> None:
    pattern, text = re.compile("(a+)+b"), "a" * 18
    while time.thread_time() < end:
        pattern.search(text)


CALLERS: list[tuple[Callable[[float], None], str]] = [
    (packs, r"zlib|libz"),
    (hashes, r"libcrypto|_hashlib|_sha2"),
    (encodes, r"_json|python"),
    (queries, r"sqlite3"),
    (matches, r"_sre|python"),
]


@pytest.mark.parametrize("in_thread", [False, True])
def test_c_code_is_under_its_caller(in_thread: bool) -> None:
    def work() -> None:
        for function, _ in CALLERS:
            function(time.thread_time() + 0.6)

    work_once: Any = threading.Thread(target=work) if in_thread else None
    with spprof.Profiler(interval_ms=1, native=True) as p:
        if work_once is None:
            work()
        else:
            work_once.start()
            work_once.join()
    assert p.profile is not None
    assert p.profile.stats.native_disagreements <= 0.001 * p.profile.sample_count
    for function, modules in CALLERS:
        mine = [s for s in p.profile.samples if any(f.function_name == function.__name__ for f in s.frames)]
        expected = 1 / len(CALLERS)
        assert abs(len(mine) / p.profile.sample_count - expected) < 0.03
        native = [s for s in mine if s.frames[-1].is_native]
        assert len(native) > 0.8 * len(mine), function.__name__
        found = [s for s in native if any(f.is_native and re.search(modules, f.module) for f in s.frames)]
        assert len(found) > 0.95 * len(native), function.__name__
        for sample in found:
            names = [f.function_name for f in sample.frames]
            first = next(i for i, f in enumerate(sample.frames) if f.is_native)
            assert names.index(function.__name__) < first
