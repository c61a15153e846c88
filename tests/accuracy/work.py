"""Functions that use CPU time in ways that samplers get wrong. Each takes the amount of work."""

from __future__ import annotations

import hashlib
import os
import signal
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = bytes(range(256)) * 256  # 64 KB


def spin(count: int) -> int:
    """A plain loop."""
    total = 0
    for i in range(count):
        total += i & 7
    return total


def loop(count: int) -> int:
    """A plain loop under another name."""
    total = 0
    for i in range(count):
        total ^= i
    return total


def deaf(count: int) -> None:
    """A loop that no signal gets through to, as in a long system call: ticks come at its end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])
    spin(count)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGURG])


def callee(value: int) -> int:
    """What `calls` calls."""
    return value + 1


def calls(count: int) -> int:
    """Nothing but calls."""
    total = 0
    for _ in range(count):
        total = callee(total)
    return total


def first(count: int) -> None:
    """One of five."""
    spin(count)


def second(count: int) -> None:
    """One of five."""
    spin(count)


def third(count: int) -> None:
    """One of five."""
    spin(count)


def fourth(count: int) -> None:
    """One of five."""
    spin(count)


def fifth(count: int) -> None:
    """One of five."""
    spin(count)


def held(count: int) -> int:
    """C code that keeps the GIL."""
    return sum(range(count))


def digest(count: int) -> None:
    """C code that gives the GIL back."""
    for _ in range(count):
        hashlib.sha256(BLOCK).digest()


def compress(count: int) -> None:
    """More C code that gives the GIL back."""
    for _ in range(count):
        zlib.compress(BLOCK, 1)


def reads(count: int) -> None:
    """System calls: CPU time in the kernel."""
    source = os.open("/dev/zero", os.O_RDONLY)
    sink = os.open("/dev/null", os.O_WRONLY)
    for _ in range(count):
        os.write(sink, os.read(source, 16384))
    os.close(source)
    os.close(sink)


def deep(depth: int, count: int) -> int:
    """`spin` far from the root."""
    return deep(depth - 1, count) if depth else spin(count)


def shallow(count: int) -> int:
    """`spin` close to the root."""
    return spin(count)


def fibonacci(n: int) -> int:
    """Recursion in all directions."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def plain_generator(count: int) -> Iterator[int]:
    """Works between yields."""
    while True:
        yield spin(count)


def delegating_generator(count: int) -> Iterator[int]:
    """Has another generator do the work."""
    yield from inner_generator(count)


def inner_generator(count: int) -> Iterator[int]:
    """The other one."""
    while True:
        yield spin(count)


def forked_path(depth: int, path: int) -> None:
    """One of 2**depth stacks."""
    if not depth:
        spin(200)
    elif path & 1:
        forked_path(depth - 1, path >> 1)
    else:
        forked_path(depth - 1, path >> 1)
