"""The C extension. Not public: use the functions of `spprof`, which check their arguments and know the session.

Errors: RuntimeError for a wrong state and for a refused self-check, OSError with number and text where the system
refuses.
"""

from collections.abc import Callable
from types import CodeType
from typing import Any, Final, Optional, TypedDict, final

free_threaded_build: Final[bool]
"""Whether this extension is built for an interpreter without the GIL."""
free_threading_safe: Final[bool]
"""Whether it works without the GIL, so that importing it leaves the GIL off."""

evaluation_loop: Final[int]
"""An address in the interpreter's evaluation loop."""
entries_are_seen: Final[bool]
"""Whether its activations leave a mark on the stack by which they are found (3.11 on)."""
max_depth: Final[int]
"""Frames of the longest stack that is kept whole."""
signal: Final[int]
"""The number of the signal that samples are taken with."""

class _Thread(TypedDict):
    thread_id: int  # native id; 0: threads that came and went unseen
    name: str
    cpu_ns: int  # in mode "cpu" == sampled_ns + unsampled_ns + dropped_ns
    sampled_ns: int  # == the sum of its samples' weights
    unsampled_ns: int
    dropped_ns: int
    samples: int
    dropped: int
    start_ns: int
    end_ns: Optional[int]  # None: alive at stop
    wall_ns: int  # elapsed time from start_ns to its end
    cpu_unsampled_ns: int  # of cpu_ns, what is nobody's weight
    running_ns: int  # these three: of sampled_ns, in modes other than "cpu"
    gil_wait_ns: int
    sleeping_ns: int

class _Stats(TypedDict):
    active: bool
    mode: str
    collected: int
    dropped: int
    validation_drops: int
    subinterpreter_samples: int
    interval_ns: int
    duration_ns: int
    tick_source: str
    tick_reason: str
    kernel_hz: int
    threads_seen: int
    threads_live: int
    threads_by_source: dict[str, int]
    cpu_ns: int
    unsampled_ns: int
    dropped_ns: int
    memory_bytes: int
    memory_limit: int
    handler_ns: int
    handler_calls: int
    drain_cpu_ns: int
    sampler_cpu_ns: int
    ticks: int
    overruns: int
    foreign_signals: int
    handler_replaced: bool
    retried: int
    looks: int
    outside_reader: str
    outside_reads: int
    outside_retries: int
    outside_given_up: int
    gil_contended_ns: int
    native_stacks: int
    native_cut: int
    native_disagreements: int

# function_name, filename, lineno, column, end_lineno, end_column, is_native, firstlineno
_Frame = tuple[str, str, int, Optional[int], Optional[int], Optional[int], bool, int]
# kind ("dropped" or "unsampled"), thread_index, start_ns, end_ns, count, weight_ns
_Loss = tuple[str, int, int, int, int, int]

# number of the object in memory that the code belongs to, or -1; address as its file counts them; where its function begins
_Place = tuple[int, int, Optional[int]]
# path, build id, what addresses in memory have more, role (enum sp_object_role)
_Object = tuple[str, bytes, int, int, tuple[tuple[int, int, int], ...]]

class _NativeRecording(TypedDict, total=False):  # where native is not "off"
    native_frames: list[tuple[int, int, int, Optional[int]]]  # into frames; the rest is a _Place
    objects: list[_Object]

class _Recording(_NativeRecording):
    times: memoryview  # 'q', ns since the start, ascending
    weights: memoryview  # 'q', ns of CPU time
    walls: memoryview  # 'q', ns of elapsed time; empty in mode "cpu"
    states: memoryview  # 'B', enum sp_state; empty in mode "cpu"
    coroutines: memoryview  # 'Q', id() of the outermost coroutine on the stack, 0 if none; empty in mode "cpu"
    nodes: memoryview  # 'I', leaf node
    thread_index: memoryview  # 'I', into threads
    node_parent: memoryview  # 'I', smaller than the node's own index; the root, node 0, has 0
    node_frame: memoryview  # 'I', into frames; the root has 0xFFFFFFFF
    frames: list[_Frame]
    threads: list[_Thread]
    losses: list[_Loss]
    start_time: float  # seconds since the epoch
    start_ns: int  # the same moment as time.monotonic_ns() has it
    duration_ns: int
    interval_ns: int
    stats: _Stats

def start(
    *,
    interval_ns: int,
    memory_limit: int,
    tick: str = "auto",
    mode: str = "cpu",
    thread_names: dict[int, str],
    native: str = "off",
    evaluation_loops: list[tuple[int, int]] = ...,
) -> None:
    """Starts sampling. Discards a pending session.

    memory_limit in bytes; tick "auto", "perf", "timer" or "thread"; mode "cpu", "wall", "gil", or "auto": "cpu", else
    "wall"; native "off", "folded" (without the interpreter's own frames between Python's) or "all"; evaluation_loops: where its
    code is, [start, end), for interpreters where `entries_are_seen` is False.
    """

def halt() -> None:
    """Ends sampling and drains what is left; no error if that was done already and nothing is collected yet."""

def collect(thread_names: dict[int, str], qualnames: Optional[dict[int, str]], /) -> _Recording:
    """Hands over what the halted session has recorded, and frees it.

    qualnames: qualified names by id() of the code object, used before 3.11 only.
    """

class _Peek(TypedDict):
    frames: list[Any]  # a _Frame, or of machine code a _Place
    objects: list[_Object]
    node_parent: bytes  # columns as in _Recording, as bytes in the machine's order
    node_frame: bytes
    times: bytes
    ticks: bytes  # 'q', in place of weights
    nodes: bytes
    thread_index: bytes
    walls: bytes
    states: bytes
    # index, tid, name, start, end or None, CPU time, samples, dropped, wall, wall dropped, running, waiting for the GIL, sleeping
    threads: list[tuple[int, int, str, int, Optional[int], int, int, int, int, int, int, int, int]]
    complete: bool
    duration_ns: int
    interval_ns: int
    start_time: float

def peek(row: int, node: int, frame: int, object: int, thread: int, since_ns: int, /) -> Optional[_Peek]:
    """What the running session has recorded from these numbers on; None if there is none.

    threads: new ones, those that live, and those that ended after *since_ns*. Not everything comes in one call: rows only
    when all their nodes have come, nodes only when all their frames have; threads with the last rows (complete).
    """

def is_active() -> bool:
    """Whether a session is sampling."""

def is_pending() -> bool:
    """Whether a session is halted and not collected yet."""

def stats() -> Optional[_Stats]:
    """Figures of the running or the last session, None before the first."""

def register_thread() -> bool:
    """Whether the calling thread is being sampled now; arms it if it was not."""

def unregister_thread() -> bool:
    """Whether the calling thread had been registered. It goes on being sampled."""

@final
class ThreadStart:
    """``ThreadStart(function)`` is called in a new thread in place of *function*: arms the thread, then calls it."""

    def __new__(cls, func: Callable[..., Any]) -> ThreadStart: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

def arming(original: Callable[..., Any], wrap: Callable[[Any], Any], /) -> Callable[..., Any]:
    """Stands in for *original*, a function that starts a thread: calls it with ``wrap(target)`` for its target."""

def hide_thread() -> None:
    """The calling thread is one of spprof's own, and not sampled. Called again, books the CPU time that it has used."""

def sample_now() -> bool:
    """For tests: one sample of the calling thread, taken by the signal handler before this returns."""

def awaited(coroutine: object, running: str, awaited: str, /) -> Any:
    """Attribute *awaited* of a coroutine; None if its attribute *running* is true, or one of them is missing."""

def moments(tasks: list[Any], first: int, /) -> list[tuple[Any, list[tuple[CodeType, int, int]] | None]]:
    """Of *tasks* from *first* on, as many as there was room for: what each waits for, and its suspended coroutines from its own
    one on as (code, instruction, line), None if it is not suspended; all of one moment. CPython 3.13 and later;
    NotImplementedError before.
    """

def running_loops() -> list[Any]:
    """The event loop of each thread that runs one, the innermost if it runs several. CPython 3.14 and later;
    NotImplementedError before.
    """

def own_stack() -> tuple[list[_Place], list[_Object], str]:
    """The calling thread's frames of C code, leaf first; the objects; why the outermost is not there, or ""."""

def self_check() -> Optional[str]:
    """Why spprof refuses to sample on this interpreter; None if it does not."""

def tick_sources() -> dict[str, tuple[bool, str]]:
    """Each tick source with whether it can be had here, and why not or what it can do. Tried for real."""
