"""Frames of C code: the right functions in the right place between the Python frames, at known points."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from life import in_child

import spprof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.needs_native

SOURCE = Path(__file__).resolve().parents[1] / "native_helper.c"
#: No tick comes by itself.
NEVER = 10_000
MARK = "[missing native frames]"
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)

QUICK = ["-O2"]
FLAGS = [
    ["-O0"], ["-O1"], ["-O3"], ["-O2", "-fno-omit-frame-pointer"], ["-Os", "-fomit-frame-pointer"], ["-O2", "-flto"],
    ["-O2", "-fno-plt"], ["-O2", "-fcf-protection=full"],
]  # fmt: skip


def build(folder: Path, flags: list[str]) -> Path:
    library = folder / "libnative_helper.so"
    command = ["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", *flags, str(SOURCE), "-o", str(library), "-lpthread"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs a C compiler")
    return library


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = build(tmp_path_factory.mktemp("native"), QUICK)
    ctypes.CDLL(str(path))  # before a session starts, which then knows it at once
    return path


@pytest.fixture
def sampling() -> Iterator[Callable[[], bool]]:
    """A session in which samples are taken by hand."""
    spprof.start(interval_ms=NEVER, native=True)
    try:
        assert spprof._native is not None
        yield spprof._native.sample_now
    finally:
        if spprof.is_active():
            spprof.stop()


def the_stack(names: Callable[[spprof.Frame], bool]) -> tuple[list[str], spprof.Profile]:
    """The frames of the one sample that are of interest, and the profile."""
    profile = spprof.stop()
    [sample] = profile.samples
    return [f.function_name for f in sample.frames if names(f)], profile


def is_interpreter(name: str) -> bool:
    """The evaluation loop; in a stripped interpreter parts of it have no name."""
    return name.startswith(("_PyEval_EvalFrameDefault", "python3", "libpython3"))


def ours(frame: spprof.Frame) -> bool:
    return frame.function_name == MARK or frame.module == "libnative_helper.so" or frame.filename == __file__


def four_levels(path: Path, sample_now: Callable[[], bool]) -> tuple[list[str], spprof.Profile]:
    loaded = ctypes.PyDLL(str(path))

    @Callback
    def back(n: int) -> int:
        return down(n - 1)

    def down(n: int) -> int:
        if n == 0:
            sample_now()
            return 0
        return int(loaded.outer_c(back, n))

    down(4)
    return the_stack(ours)


LEVEL = ["down", "outer_c", "inner_c", "back"]


def check_four_levels(names: list[str], profile: spprof.Profile) -> None:
    mine = [name.rpartition(".")[2] for name in names]
    assert mine[mine.index("down") :] == [*(LEVEL * 4), "down"]
    assert profile.stats.native_stacks == 1
    assert profile.stats.native_cut == profile.stats.native_disagreements == 0


def test_callbacks_four_levels_deep(library: Path, sampling: Callable[[], bool]) -> None:
    check_four_levels(*four_levels(library, sampling))


@pytest.mark.slow
@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_callbacks_however_compiled(tmp_path: Path, flags: list[str], request: pytest.FixtureRequest) -> None:
    path = build(tmp_path, flags)
    ctypes.CDLL(str(path))
    check_four_levels(*four_levels(path, request.getfixturevalue("sampling")))


def test_leaf_part_is_the_called_function(sampling: Callable[[], bool]) -> None:
    sampling()
    profile = spprof.stop()
    [sample] = profile.samples
    python = [f.function_name for f in sample.frames if not f.is_native]
    assert python[-1] == "test_leaf_part_is_the_called_function"
    at = max(i for i, f in enumerate(sample.frames) if not f.is_native)
    native = sample.frames[at + 1 :]
    assert [f.module for f in native][-1] in {"libc.so.6", Path(spprof._native.__file__).name}
    assert any(f.function_name == "native_sample_now" for f in native)
    assert not any(f.is_native for f in sample.frames[: at + 1])


def test_recursion_in_c(library: Path, sampling: Callable[[], bool]) -> None:
    loaded = ctypes.PyDLL(str(library))

    @Callback
    def back(n: int) -> int:
        return int(sampling()) + n

    loaded.recursive_c(back, 100)
    names, profile = the_stack(ours)
    assert names[-102:] == ["recursive_c"] * 101 + [names[-1]]
    assert names[-1].endswith("back")
    assert profile.stats.native_cut == 0


def test_callback_within_a_builtin(sampling: Callable[[], bool]) -> None:
    """The interpreter's own function between two Python functions is left out, or kept on demand."""

    def look(a: object, b: object) -> object:
        return sampling() and (a, b)

    functools.reduce(look, [1, 2])
    names, profile = the_stack(lambda frame: True)
    mine = [name.rpartition(".")[2] for name in names]
    assert mine.index("look") >= mine.index("test_callback_within_a_builtin") + 1
    assert profile.stats.native_disagreements == 0


def test_all_frames() -> None:
    spprof.start(interval_ms=NEVER, native="all")
    assert spprof._native is not None
    list(map(lambda _: spprof._native.sample_now(), [1]))
    names, profile = the_stack(lambda frame: True)
    assert names.count("test_all_frames") == 1
    at = max(i for i, name in enumerate(names) if name.endswith("<lambda>"))
    assert is_interpreter(names[at - 1]), names
    assert "test_all_frames" in names[: at - 2]
    assert names[0] == "_start" or names[0].startswith("python")
    assert profile.stats.native_cut == profile.stats.native_disagreements == 0


def test_deep_recursion(sampling: Callable[[], bool]) -> None:
    def down(n: int) -> object:
        return sampling() if n == 0 else down(n - 1)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    try:
        down(2000)
    finally:
        sys.setrecursionlimit(limit)
    names, profile = the_stack(lambda frame: True)
    assert "native_sample_now" in names
    assert sum(name.endswith("down") for name in names) >= 900
    assert "[truncated]" in names
    assert profile.stats.native_disagreements == 0


def test_generators_and_classes(sampling: Callable[[], bool]) -> None:
    def numbers() -> Iterator[int]:
        yield from inside()

    def inside() -> Iterator[int]:
        sampling()
        yield 1

    class Counts:
        def __init__(self) -> None:
            self.total = sum(numbers())

    Counts()
    names, profile = the_stack(lambda frame: frame.filename == __file__)
    assert [name.rpartition(".")[2] for name in names] == [
        "test_generators_and_classes", "__init__", "numbers", "inside",
    ]  # fmt: skip
    assert profile.stats.native_disagreements == profile.stats.native_cut == 0


# ---- stacks that can't be followed


@pytest.mark.parametrize("how", ["call_on_other_stack", "call_in_signal_on_other_stack"])
def test_stack_that_is_not_the_threads(library: Path, how: str, sampling: Callable[[], bool]) -> None:
    loaded = ctypes.PyDLL(str(library))
    callback = Callback(lambda n: int(sampling()) + n)
    getattr(loaded, how)(callback, 1)
    names, profile = the_stack(ours)
    assert names[0] == "test_stack_that_is_not_the_threads"
    assert names[1].endswith("<lambda>")
    assert names[2:] == [MARK]
    assert profile.stats.native_cut == 1


def test_signal_handler_of_the_program(library: Path, sampling: Callable[[], bool]) -> None:
    loaded = ctypes.PyDLL(str(library))
    callback = Callback(lambda n: int(sampling()) + n)
    loaded.call_in_signal(callback, 1)
    names, profile = the_stack(ours)
    assert names[0] == "test_signal_handler_of_the_program"
    assert names[1:3] == ["call_in_signal", "call_in_handler"] or names[1:3] == ["call_in_signal", "on_usr1"]
    assert names[-2] == "on_usr1"
    assert names[-1].endswith("<lambda>")
    assert profile.stats.native_cut == 0


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="a function in assembler")
@pytest.mark.parametrize("value", [0, 1, 8, 0x4141414141414141, 2**63, 2**64 - 8, 2**64 - 1, "self", "stack"])
def test_frame_pointer_that_is_a_number(library: Path, value: Any, sampling: Callable[[], bool]) -> None:
    loaded = ctypes.PyDLL(str(library))
    if value == "stack":
        value = int(Path("/proc/self/stat").read_text().split()[27]) - 64  # where the first thread's begins
    number = ctypes.c_uint64.in_dll(loaded, "odd_frame_pointer")
    number.value = ctypes.addressof(number) if value == "self" else value
    callback = Callback(lambda n: int(sampling()) + n)
    loaded.call_with_odd_frame_pointer(callback, 1)
    names, profile = the_stack(ours)
    assert names[0] == "test_frame_pointer_that_is_a_number"
    assert [name.rpartition(".")[2] for name in names if name not in {MARK, "call_with_odd_frame_pointer"}] == [
        names[0], "<lambda>",
    ]  # fmt: skip
    assert profile.stats.native_cut == 1


# ---- threads, and code that comes later


def test_thread_that_never_runs_python(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    spprof.start(interval_ms=1, native=True)
    assert loaded.burn_in_thread(60, 256 * 1024) == 0
    profile = spprof.stop()
    mine = [s for s in profile.samples if s.thread_name == "pool-worker"]
    assert len(mine) > 5
    stacks = [[f.function_name for f in s.frames] for s in mine]
    # the first look may come before it is known where the thread's stack is, or before the thread has come that far
    right = [frames for frames in stacks if frames[:2] == ["pool_worker", "burn_one"]]
    assert len(right) >= 0.7 * len(mine), stacks


def test_library_loaded_while_sampling(tmp_path: Path) -> None:
    path = build(tmp_path, QUICK)
    spprof.start(interval_ms=1, native=True)
    loaded = ctypes.CDLL(str(path))
    loaded.burn_shares(200)
    profile = spprof.stop()
    named = [s for s in profile.samples if any(f.function_name == "burn_shares" for f in s.frames)]
    assert sum(s.weight_ns for s in named) > 0.4 * sum(s.weight_ns for s in profile.samples)
    assert all(s.frames[-1].is_native for s in named)


# ---- asking for it


def test_off_is_off() -> None:
    spprof.start(interval_ms=NEVER)
    assert spprof._native is not None
    spprof._native.sample_now()
    profile = spprof.stop()
    assert profile.stats.native_stacks == 0
    assert not any(f.is_native for s in profile.samples for f in s.frames)


def test_switch() -> None:
    assert spprof.native_unwinding_available()
    spprof.set_native_unwinding(True)
    try:
        assert spprof.native_unwinding_enabled()
        with spprof.Profiler(interval_ms=NEVER) as p:
            spprof._native.sample_now()
            with pytest.raises(RuntimeError, match="can't be switched while the profiler is running"):
                spprof.set_native_unwinding(False)
        assert p.profile is not None
        assert p.profile.stats.native_stacks == 1
        with spprof.Profiler(interval_ms=NEVER, native=False) as p:
            spprof._native.sample_now()
        assert p.profile is not None
        assert p.profile.stats.native_stacks == 0
    finally:
        spprof.set_native_unwinding(False)
    assert not spprof.native_unwinding_enabled()


@pytest.mark.parametrize(("value", "error"), [("some", ValueError), (1, TypeError), ([], TypeError)])
def test_wrong_values(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="native must be True, False, 'all' or None"):
        spprof.start(native=value)
    with pytest.raises(error, match="native must be"):
        spprof.profile(native=value)
    with pytest.raises(TypeError, match="enabled must be True or False"):
        spprof.set_native_unwinding(value)


def test_too_little_memory() -> None:
    assert spprof._native is not None
    spprof._native._fail_allocations(20)  # type: ignore[attr-defined]
    try:
        with pytest.raises(MemoryError, match="memory_limit_mb"):
            spprof.start(native=True)
    finally:
        spprof._native._fail_allocations(0)  # type: ignore[attr-defined]
    assert not spprof.is_active()


def test_own_stack(library: Path) -> None:
    stacks: list[tuple[spprof.Frame, ...]] = []
    callback = Callback(lambda n: stacks.append(spprof.capture_native_stack()) or n)
    ctypes.PyDLL(str(library)).outer_c(callback, 1)
    names = [f.function_name for f in stacks[0]]
    assert all(f.is_native and f.filename for f in stacks[0])
    assert names[names.index("outer_c") + 1] == "inner_c"
    assert sum(is_interpreter(name) for name in names) >= 2
    assert names[0] != MARK


def test_own_stack_of_a_small_thread() -> None:
    told = in_child(
        """
threading.stack_size(256 * 1024)
seen = []
thread = threading.Thread(target=lambda: seen.append(spprof.capture_native_stack()))
thread.start(); thread.join()
tell([f.function_name for f in seen[0]][:2])
"""
    )
    assert told[0] != MARK


def test_command_line(tmp_path: Path) -> None:
    from children import spprof as command

    script = tmp_path / "hashes.py"
    script.write_text(
        "import hashlib, time\nend = time.thread_time() + 0.3\nwhile time.thread_time() < end: hashlib.sha256(bytes(100000))\n"
    )
    done = command("run", "--native", "--interval-ms", "2", "-o", tmp_path / "out.txt", script)
    assert done.returncode == 0, done.stderr
    assert "libcrypto" in done.stderr or "sha" in done.stderr.lower() or "_hashlib" in done.stderr
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert any(line.split(";")[-1] != line and "<module>" in line and "sha" in line.lower() for line in lines), lines[
        :5
    ]
