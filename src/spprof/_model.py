"""The records that a profile is made of: frames, samples, threads and losses.

Stacks are tuples of `Frame`, root first and leaf last: ``sample.frames[-1]`` is the running function.
All of them are immutable, can be compared, hashed and pickled. They are tuples underneath because a profile
may hand out a million of them: a tuple is made, compared and hashed in C.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class _FrameFields(NamedTuple):
        function_name: str
        filename: str
        lineno: int
        is_native: bool = False
        module: str = ""
        column: int | None = None
        end_lineno: int | None = None
        end_column: int | None = None
        firstlineno: int = 0
        is_suspended: bool = False

    class _SampleFields(NamedTuple):
        timestamp_ns: int
        thread_id: int
        thread_name: str
        frames: tuple[Frame, ...]
        weight_ns: int
        cpu_ns: int | None = None
        state: str = "running"
        waiting_for: str = ""
        task: str = ""

    class _ThreadInfoFields(NamedTuple):
        thread_id: int
        name: str
        cpu_ns: int
        sampled_ns: int
        unsampled_ns: int
        dropped_ns: int
        samples: int
        dropped: int
        start_ns: int
        end_ns: int | None
        wall_ns: int = 0
        running_ns: int = 0
        gil_wait_ns: int = 0
        sleeping_ns: int = 0
        cpu_unsampled_ns: int = 0

    class _LossFields(NamedTuple):
        kind: str
        thread_index: int
        start_ns: int
        end_ns: int
        count: int  # type: ignore[assignment]  # hides tuple.count, of no use on a record
        weight_ns: int

else:
    # typing.NamedTuple would do for both, but importing typing costs more than the rest of spprof together.
    _FrameFields = namedtuple(
        "_FrameFields",
        "function_name filename lineno is_native module column end_lineno end_column firstlineno is_suspended",
        defaults=(False, "", None, None, None, 0, False),
    )
    _SampleFields = namedtuple(
        "_SampleFields",
        "timestamp_ns thread_id thread_name frames weight_ns cpu_ns state waiting_for task",
        defaults=(None, "running", "", ""),
    )
    _ThreadInfoFields = namedtuple(
        "_ThreadInfoFields",
        "thread_id name cpu_ns sampled_ns unsampled_ns dropped_ns samples dropped start_ns end_ns "
        "wall_ns running_ns gil_wait_ns sleeping_ns cpu_unsampled_ns",
        defaults=(0, 0, 0, 0, 0),
    )
    _LossFields = namedtuple("_LossFields", "kind thread_index start_ns end_ns count weight_ns")


class Frame(_FrameFields):
    """One function on a stack, at the place where it was.

    function_name: qualified name (``Class.method``, ``outer.<locals>.inner``). Before CPython 3.11 code does not
        know its qualified name; it is then looked up among the live functions, and is the bare name if none is found.
        Marks in brackets, such as ``[native]`` (no Python frame) or ``[truncated]`` (middle of a very deep stack
        left out), are not functions; they have no file and ``is_native`` is True.
    filename: as the code object has it; "" where there is none.
    lineno: the line that was running (or, in a caller, the line of the call), from 1; 0 where there is none.
    is_native: whether this is not a Python frame.
    module: name of the module whose file this is (``__main__`` for the program's script); "" if none was loaded
        from it when the profile was stopped.
    column, end_lineno, end_column: range of the running expression, columns in bytes from 0;
        None where the interpreter does not have them (before 3.11, or with -X no_debug_ranges).
    firstlineno: line on which the function begins; 0 where there is none.
    is_suspended: whether it is a coroutine that waits, of an asyncio task that is not running.
    """

    __slots__ = ()

    def __str__(self) -> str:
        if not self.filename:
            return self.function_name
        return f"{self.function_name} ({self.filename}:{self.lineno})"


class Sample(_SampleFields):
    """One look at one thread.

    timestamp_ns: nanoseconds from the start of the profile.
    thread_id: the system's id of the thread (``threading.get_native_id()``).
    thread_name: as `threading` has it, else as the system has it; also for threads that have ended.
    frames: the stack, root first, leaf last. Samples with equal stacks share one tuple.
    weight_ns: nanoseconds that this sample stands for: CPU time, or elapsed time where `Profile.mode` is "wall" or
        "gil". A thread that sleeps has one sample for all of its sleep, from timestamp_ns on.
    cpu_ns: nanoseconds of CPU time that it stands for: weight_ns in mode "cpu"; None where that is not known.
    state: "running" (or ready to), "waiting for the GIL" or "sleeping"; "" where that is not known. Of an asyncio task
        that waits, "sleeping", or "waiting for the event loop" if it could go on.
    waiting_for: of a sleeping thread, as the kernel has it: "lock", "I/O", "sleep", "process", "signal", or "" for
        anything else; of a task, "lock", "I/O", "sleep", "task" (another one) or "".
    task: name of the asyncio task, in mode "wall". Of one that waits (its frames are `is_suspended`): such samples are
        under an entry of their own in `Profile.threads`, one for each event loop. Of one that a thread was running, or
        blocking its loop in; "" if there was none, or the task was too short-lived for its name to be seen.
    """

    __slots__ = ()


#: (`Sample.state`, `Sample.waiting_for`) by the sampler's number (enum sp_state in csrc/core/sample.h).
STATES = (
    ("running", ""),
    ("waiting for the GIL", ""),
    ("sleeping", "lock"),
    ("sleeping", "I/O"),
    ("sleeping", "sleep"),
    ("sleeping", "process"),
    ("sleeping", "signal"),
    ("sleeping", ""),
    ("waiting for the event loop", ""),
    ("sleeping", "task"),
)


class ThreadInfo(_ThreadInfoFields):
    """What is known of one thread as a whole. Times in nanoseconds.

    ``sampled_ns + unsampled_ns + dropped_ns == time_ns`` exactly.

    thread_id: the system's id; 0 for the entry that stands for threads that came and went unseen.
    name: as in `Sample.thread_name`.
    cpu_ns: CPU time that the thread used during the profile.
    sampled_ns: the part that its samples weigh.
    unsampled_ns: the part in which no sample was taken.
    dropped_ns: the part whose samples were lost.
    samples, dropped: number of samples kept, and lost.
    start_ns, end_ns: first and last time seen, from the start of the profile; end_ns is None if alive at the end.
    wall_ns: elapsed time for which it was there.
    running_ns, gil_wait_ns, sleeping_ns: what of sampled_ns it was in which `Sample.state`; 0 in mode "cpu".
    cpu_unsampled_ns: the part of cpu_ns that no sample's cpu_ns stands for.
    """

    __slots__ = ()

    @property
    def time_ns(self) -> int:
        """All of the thread's time in what weights measure: CPU time, or elapsed time (with the GIL in mode "gil")."""
        return self.sampled_ns + self.unsampled_ns + self.dropped_ns


class Loss(_LossFields):
    """A stretch of one thread's time that no sample shows.

    kind: "dropped" (samples were taken and lost) or "unsampled" (none were taken).
    thread_index: index into `Profile.threads`.
    start_ns, end_ns: from the start of the profile.
    count: number of samples lost; 0 for "unsampled".
    weight_ns: the time that is missing: CPU time, or elapsed time where `Profile.mode` is not "cpu".
    """

    __slots__ = ()
