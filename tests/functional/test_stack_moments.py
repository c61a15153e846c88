"""P3 at the moments in which a stack changes: frames are entered and left as fast as the interpreter can, under the
fastest ticks. Whatever the tick meets, the stack begins at the program's first frame and leads to the function by a way
that exists.

`test_stack_equality.py` looks at points where the interpreter is at rest; here it never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from children import python

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs_native

SECONDS = 1.5

PROGRAM = """
import functools, sys, time
import spprof

def leaf():
    pass

def numbers():
    while True:
        yield 1

def delegated():
    yield from numbers()

class Nothing:
    def __await__(self):
        return iter(())

async def awaited():
    await Nothing()

async def ticks():
    while True:
        yield 1

class Operand:
    def __add__(self, other):
        return self
    def __del__(self):
        leaf()

def calls():
    for _ in range(1000):
        leaf()

def callbacks():
    for _ in range(50):
        list(map(lambda x: leaf(), range(10)))
        functools.reduce(lambda a, b: a, range(10))

def generator():
    n = 0
    for _ in numbers():
        n += 1
        if n == 1000:
            return

def delegation():
    n = 0
    for _ in delegated():
        n += 1
        if n == 1000:
            return

def next_from_c():
    g = numbers()
    for _ in range(1000):
        next(g)

def short_lived():
    for _ in range(300):
        next(numbers())
        sum(x for x in (1, 2))

def coroutines():
    for _ in range(300):
        try:
            awaited().send(None)
        except StopIteration:
            pass

def async_generator():
    async def consume():
        n = 0
        async for _ in ticks():
            n += 1
            if n == 1000:
                return
    try:
        consume().send(None)
    except StopIteration:
        pass

def special_methods():
    a = Operand()
    for _ in range(300):
        a + a
        Operand()

def deep(n=100):
    if n:
        deep(n - 1)

def main(case, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        case()

ROOT = ["<module>", "check", "main"]
# what may run in place of the case: its locals, let go when it has returned
FINALIZED = ("__del__", "numbers", "ticks")
# who may call whom
CALLERS = {
    "leaf": {"calls", "<lambda>", "__del__"},
    "<lambda>": {"callbacks"},
    "numbers": {"generator", "delegated", "next_from_c", "short_lived", "main", "delegation"},  # the last two: closed
    "delegated": {"delegation"},
    "<genexpr>": {"short_lived"},
    "awaited": {"coroutines"},
    "__await__": {"awaited"},
    "consume": {"async_generator"},
    "ticks": {"consume", "async_generator", "main"},  # the last two: closed
    "__add__": {"special_methods"},
    "__del__": {"special_methods", "main"},
    "deep": {"main", "deep"},
}

def wrong(stack, case):
    names = [f.function_name.rpartition(".")[2] for f in stack]
    if names[0] == "[truncated]" and spprof._native.max_depth < 100:  # a hostile build gives up the root early
        names = [*ROOT, case]
    begin = [*ROOT, names[3] if names[3:4] and names[3] in FINALIZED else case]
    if names[:4] != begin[: len(names)]:
        return True
    known = [pair for pair in zip(names[2:], names[3:]) if "[truncated]" not in pair]
    return any(inner in CALLERS and outer not in CALLERS[inner] for outer, inner in known)

def check(case):
    spprof.start(interval_ms=0.1)
    main(case, float(sys.argv[1]))
    profile = spprof.stop()
    # but for the moments within start() and stop()
    inside = [s for s in profile.samples if not any("/spprof/_" in f.filename for f in s.frames)]
    bad = {s.frames for s in inside if wrong(s.frames, case.__name__)}
    assert not bad, (case.__name__, [[f.function_name for f in stack] for stack in list(bad)[:5]], len(inside))
    assert len(inside) > 10, (case.__name__, len(inside))
    assert profile.stats.validation_drops == 0, profile.stats
"""


CASES = (
    "calls callbacks generator delegation next_from_c short_lived coroutines async_generator special_methods deep"
).split()


@pytest.mark.parametrize("case", CASES)
def test_every_stack_begins_at_the_first_frame(case: str, tmp_path: Path) -> None:
    script = tmp_path / "moments.py"
    script.write_text(PROGRAM + f"\ncheck({case})\n", encoding="utf-8")
    result = python(script, str(SECONDS))
    assert result.returncode == 0, result.stderr
