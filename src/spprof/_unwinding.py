"""Frames of C code between the Python frames. This build does not have them, and says so."""

from __future__ import annotations


def native_unwinding_available() -> bool:
    """Whether this build can show frames of C code. Ask before `set_native_unwinding`."""
    return False


def native_unwinding_enabled() -> bool:
    """Whether the next session shows frames of C code."""
    return False


def set_native_unwinding(enabled: bool) -> None:
    """Has frames of C code shown by the next session, or not. They are off at first.

    Raises RuntimeError if they are asked for and this build does not have them.
    """
    if enabled:
        raise RuntimeError(
            "native unwinding is not available in this build of spprof; native_unwinding_available() tells, and "
            "'spprof doctor' says what this build can do"
        )
