"""Frames of C code between the Python frames: whether they can be had, whether they are asked for, and one's own stack."""

from __future__ import annotations

import sys

from ._backend import backend, has_native, native, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._model import Frame

_EVALUATION_LOOP = "_PyEval_EvalFrameDefault"
#: Of the stack of a thread that runs Python: the loop, what called it, and what the loop has called.
_FEWEST_FRAMES = 4

_enabled = False
_refusal: str | None = None
_checked = False


def native_unwinding_available() -> bool:
    """Whether frames of C code can be shown here.

    Found out by trying, the first time: the calling thread's own stack must be followed from its innermost function through
    the interpreter to its outermost one. 'spprof doctor' says why it can't.
    """
    return refusal() is None


def native_unwinding_enabled() -> bool:
    """Whether the next session shows frames of C code, if `start` is not told otherwise."""
    return _enabled


def set_native_unwinding(enabled: bool) -> None:
    """Has frames of C code shown by the sessions to come, or not. They are off at first.

    Raises TypeError; RuntimeError if a session is active, or if they are asked for and can't be had.
    """
    global _enabled
    if not isinstance(enabled, bool):
        raise TypeError(f"enabled must be True or False, not {type(enabled).__name__}")
    if backend.is_active():
        raise RuntimeError("native unwinding can't be switched while the profiler is running; call spprof.stop() first")
    if enabled:
        _require()
    _enabled = enabled


def capture_native_stack() -> tuple[Frame, ...]:
    """The calling thread's frames of C code at this moment, root first: a debugging aid, for a few milliseconds a call.

    Nothing is left out, so that the evaluation loop of the interpreter is there once for each time that it was entered, and
    no Python functions are. A stack that can't be followed to its root begins with ``[missing native frames]``.

    Raises RuntimeError if frames of C code can't be had here.
    """
    _require()
    from ._native_frames import own_stack

    places, objects, incomplete = backend.own_stack()
    return own_stack(places, objects, incomplete, getattr(native, "__file__", ""))


def refusal() -> str | None:
    """Why frames of C code can't be had here; None if they can."""
    global _refusal, _checked
    if not _checked:
        _refusal = _check()
        _checked = True
    return _refusal


def check_native(value: bool | str | None) -> str:
    """The sampler's word for the *native* of `start`. TypeError, ValueError, RuntimeError."""
    if value is None:
        value = _enabled
    if not isinstance(value, (bool, str)):
        raise TypeError(f"native must be True, False, 'all' or None, not {type(value).__name__}")
    if isinstance(value, str) and value != "all":
        raise ValueError(f"native must be True, False, 'all' or None, not {value!r}")
    if value is False:
        return "off"
    _require()
    return "all" if value == "all" else "folded"


def evaluation_loops() -> list[tuple[int, int]]:
    """Where the code of the evaluation loop is, for interpreters whose loops leave no mark on the stack (before 3.11)."""
    if native is None or native.entries_are_seen:
        return []
    from ._symbols import functions, load_bias

    address: int = native.evaluation_loop
    mapping = _mapping_of(address)
    if mapping is None:
        return []
    path, start, offset = mapping
    bias = load_bias(path, None, start, offset)
    if bias is None:
        return []
    return [(bias + found.start, bias + found.end) for found in functions(path, None, {_EVALUATION_LOOP})]


def _mapping_of(address: int) -> tuple[str, int, int] | None:
    """File, start and offset of the mapping with this address."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
            for line in maps:
                fields = line.rstrip("\n").split(None, 5)
                start, _, end = fields[0].partition("-")
                if int(start, 16) <= address < int(end, 16):
                    return (fields[5], int(start, 16), int(fields[2], 16)) if len(fields) == 6 else None
    except OSError:
        pass
    return None


def _require() -> None:
    why_not = refusal()
    if why_not is not None:
        raise RuntimeError(f"native unwinding is not available here: {why_not}")


def _check() -> str | None:
    if not has_native:
        return f"it needs spprof's C extension, which is not in use ({reason})"
    try:
        frames, objects, incomplete = backend.own_stack()
    except OSError as error:  # not for want of memory, of which there may be more the next time
        return str(error)
    if incomplete:
        return f"this thread's own stack can't be followed to its end: {incomplete}"
    if len(frames) < _FEWEST_FRAMES or not any(_is_interpreter(objects, number) for number, _, _ in frames):
        return "this thread's own stack was not recognized"
    if not backend.entries_are_seen and not evaluation_loops():
        return (
            f"the interpreter's {_EVALUATION_LOOP} was not found (Python {sys.version_info[0]}.{sys.version_info[1]})"
        )
    return None


def _is_interpreter(objects: list[Any], number: int) -> bool:
    from ._code import INTERPRETER

    return number >= 0 and objects[number][3] == INTERPRETER
