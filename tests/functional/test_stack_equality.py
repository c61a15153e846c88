"""P3: a stack is one that existed. At known points, reached in every way that Python code can be reached, the stack of
the signal handler equals the one that sys._getframe() shows at the same moment: names, files, lines, order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import operator
import re
import sys
import threading
import traceback
from typing import Any, Callable

import pytest

import spprof

pytestmark = pytest.mark.needs_native

HAS_QUALNAME = sys.version_info >= (3, 11)


class Recorder:
    """Takes a sample and the truth at the same place, as often as it is called."""

    def __init__(self) -> None:
        self.truth: list[list[Any]] = []

    def here(self) -> bool:
        # one line, so that the caller's frames and this one's have the same lines for both
        return self._note(spprof._native.sample_now(), sys._getframe())

    def _note(self, taken: bool, frame: Any) -> bool:
        assert taken
        stack = []
        while frame is not None:
            code = frame.f_code
            name = code.co_qualname if HAS_QUALNAME else code.co_name
            stack.append((name, code.co_filename, frame.f_lineno))
            frame = frame.f_back
        self.truth.append(stack[::-1])
        return True

    def key(self, value: Any) -> Any:
        self.here()
        return value


MARK = ("[truncated]", "", 0)


def kept(truth: list[Any], got: list[Any]) -> list[Any]:
    """What is to be seen of a stack. Deeper ones than the build keeps (a hostile one keeps 16 frames) are cut between
    root and leaf part; of much deeper ones the root part may be given up."""
    limit = spprof._native.max_depth
    if len(truth) <= limit:
        return truth
    leaf = truth[-(limit // 2) :]
    root_given_up = len(truth) >= 2 * limit and got[0] == MARK
    return [MARK, *leaf] if root_given_up else [*truth[: limit - limit // 2], MARK, *leaf]


def compare(scenario: Callable[[Recorder], Any], least: int = 1) -> None:
    recorder = Recorder()
    # an interval that never comes: every sample is one that the scenario asked for
    spprof.start(interval_ms=10_000)
    try:
        scenario(recorder)
    finally:
        profile = spprof.stop()
    seen = [sample for sample in profile.samples if sample.frames[-1].function_name.endswith("here")]
    assert len(seen) == len(recorder.truth) >= least
    assert profile.stats.validation_drops == 0
    for sample, truth in zip(seen, recorder.truth):
        got = [
            (f.function_name if HAS_QUALNAME else f.function_name.rpartition(".")[2], f.filename, f.lineno)
            for f in sample.frames
        ]
        assert got == kept(truth, got)


def plain(r: Recorder) -> None:
    for _ in range(20):
        r.here()


def recursion(r: Recorder) -> None:
    def down(n: int) -> None:
        if n % 7 == 0:
            r.here()
        if n:
            down(n - 1)

    down(300)


def mutual_recursion_through_c(r: Recorder) -> None:
    def down(n: int) -> int:
        r.here()
        return sum(map(down, [n - 1])) if n else 0

    down(20)


def callbacks_from_c(r: Recorder) -> None:
    sorted([3, 1, 2], key=lambda x: r.here() and x)
    list(map(lambda x: r.here(), range(3)))
    list(filter(lambda x: r.here(), range(3)))
    functools.reduce(lambda a, b: r.here(), range(3))
    max([1, 2, 3], key=r.key)
    re.sub("a", lambda m: r.here() and "b", "aXa")
    functools.partial(r.here)()
    operator.methodcaller("here")(r)
    list(itertools.starmap(lambda a, b: r.here(), [(1, 2), (3, 4)]))
    list(itertools.takewhile(lambda x: r.here(), [1, 2]))


def generators(r: Recorder) -> None:
    def gen(n: int) -> Any:
        r.here()
        yield n
        r.here()
        if n:
            yield from gen(n - 1)
        r.here()

    list(gen(5))
    for _ in gen(3):
        r.here()
    g = gen(2)
    next(g)
    with contextlib.suppress(ValueError):
        g.throw(ValueError("thrown in"))
    g = gen(2)
    next(g)
    g.close()
    next(x for x in [1, 2] if r.here())
    sum(1 for x in range(3) if r.here())


def generator_across_depths(r: Recorder) -> None:
    def gen() -> Any:
        while True:
            r.here()
            yield

    shared = gen()

    def down(n: int) -> None:
        next(shared)
        if n:
            down(n - 1)
        next(shared)

    down(6)


def comprehensions(r: Recorder) -> None:
    [r.here() for _ in range(2)]
    {r.here() for _ in range(2)}
    {i: r.here() for i in range(2)}
    [[r.here() for _ in range(2)] for _ in range(2)]
    list(r.here() for _ in range(2))


def class_bodies(r: Recorder) -> None:
    class Outer:
        r.here()

        class Inner:
            r.here()

        def method(self) -> None:
            r.here()

        @classmethod
        def on_class(cls) -> None:
            r.here()

        @staticmethod
        def static() -> None:
            r.here()

        @property
        def value(self) -> int:
            r.here()
            return 1

    Outer().method()
    Outer.on_class()
    Outer.static()
    _ = Outer().value


def special_methods(r: Recorder) -> None:
    class Thing:
        def __init__(self) -> None:
            r.here()

        def __eq__(self, other: object) -> bool:
            return r.here()

        def __hash__(self) -> int:
            return int(r.here())

        def __add__(self, other: Any) -> Any:
            r.here()
            return self

        def __getattr__(self, name: str) -> Any:
            r.here()
            return 1

        def __getitem__(self, i: Any) -> Any:
            r.here()
            return i

        def __len__(self) -> int:
            r.here()
            return 1

        def __iter__(self) -> Any:
            r.here()
            return iter([1])

        def __call__(self) -> None:
            r.here()

        def __enter__(self) -> None:
            r.here()

        def __exit__(self, *args: Any) -> None:
            r.here()

        def __bool__(self) -> bool:
            return r.here()

        def __repr__(self) -> str:
            r.here()
            return "x"

        def __del__(self) -> None:
            r.here()

    thing = Thing()
    _ = thing == 1, hash(thing), thing + 1, thing.missing, thing[3], len(thing), list(thing), bool(thing)
    thing()
    with thing:
        r.here()
    repr(thing), str(thing)
    _ = {thing: 1}[thing]
    _ = 1 in thing  # type: ignore[operator]
    del thing

    cycle: Any = Thing()
    cycle.me = cycle
    del cycle
    gc.collect()


def decorators(r: Recorder) -> None:
    def decorate(func: Any) -> Any:
        r.here()

        @functools.wraps(func)
        def wrapper(*args: Any) -> Any:
            r.here()
            return func(*args)

        return wrapper

    @decorate
    @functools.lru_cache
    def decorated(n: int) -> int:
        r.here()
        return decorated(n - 1) if n else 0

    decorated(4)


def exceptions(r: Recorder) -> None:
    def fail(n: int) -> None:
        try:
            if n:
                fail(n - 1)
            else:
                raise KeyError(n)
        except KeyError:
            r.here()
            raise
        finally:
            r.here()

    try:
        fail(4)
    except KeyError as error:
        r.here()
        traceback.format_exception(type(error), error, error.__traceback__)
        r.here()


def executed_code(r: Recorder) -> None:
    for i in range(5):
        source = f"\ndef made_{i}(r):\n    r.here()\n    return [r.here() for _ in range(2)]\nmade_{i}(r)\nr.here()\n"
        exec(compile(source, f"made-{i}.py", "exec"), {"r": r})
        eval("r.here()")


def coroutines(r: Recorder) -> None:
    async def leaf() -> None:
        r.here()
        await asyncio.sleep(0)
        r.here()

    async def middle() -> None:
        await leaf()
        async with Context():
            async for _ in ticks():
                r.here()

    async def ticks() -> Any:
        for i in range(3):
            r.here()
            yield i
            await asyncio.sleep(0)

    class Context:
        async def __aenter__(self) -> None:
            r.here()

        async def __aexit__(self, *args: Any) -> None:
            r.here()

    async def main() -> None:
        await asyncio.gather(*(middle() for _ in range(3)))
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        asyncio.get_running_loop().call_soon(r.here)
        await asyncio.sleep(0.001)

    asyncio.run(main())


def trace_functions(r: Recorder) -> None:
    def traced() -> int:
        a = 1
        return a + 1

    def tracer(frame: Any, event: str, arg: Any) -> Any:
        r.here()
        return tracer

    old = sys.gettrace()
    sys.settrace(tracer)
    try:
        traced()
    finally:
        sys.settrace(old)


def lambdas_on_one_line(r: Recorder) -> None:
    # fmt: off
    (lambda: (lambda: (lambda: r.here())())())()
    # fmt: on


def many_arguments(r: Recorder) -> None:
    def wide(*args: Any, **kwargs: Any) -> None:
        a = [args] * 3
        b = {k: v for k, v in kwargs.items()}
        r.here()
        if len(args) < 60:
            wide(*args, *a, **b)

    wide(1, **{f"k{i}": i for i in range(40)})


# fmt: off
def long_lines(r: Recorder) -> None:
    r.here(
    )
    value = (
        1 +
        r.here() +
        (
            r.here()
        )
    )
    assert value == 3
# fmt: on


def loops_with_far_jumps(r: Recorder) -> None:
    source = (
        "def far(r):\n"
        + "".join(f"    x{i} = {i}\n" for i in range(2000))
        + "    for i in range(3):\n        r.here()\n"
    )
    scope: dict[str, Any] = {}
    exec(compile(source, "far.py", "exec"), scope)
    scope["far"](r)


SCENARIOS = [
    value for value in list(globals().values()) if getattr(value, "__annotations__", {}).get("r") == "Recorder"
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda f: f.__name__)
def test_equals_getframe(scenario: Callable[[Recorder], None]) -> None:
    compare(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda f: f.__name__)
def test_equals_getframe_in_a_thread(scenario: Callable[[Recorder], None]) -> None:
    def in_thread(r: Recorder) -> None:
        errors: list[BaseException] = []

        def run() -> None:
            try:
                scenario(r)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]

    compare(in_thread)


def test_hundreds_of_points() -> None:
    """The scenarios together really are the hundreds of points that they claim to be."""

    def everything(r: Recorder) -> None:
        for scenario in SCENARIOS:
            scenario(r)

    compare(everything, least=300)


def names_below(depth: int) -> list[str]:
    """The names on one stack that deep, in a thread of its own; its leaf and its root are known."""

    def down(n: int) -> None:
        if n:
            down(n - 1)
        else:
            spprof._native.sample_now()

    old = sys.getrecursionlimit()
    spprof.start(interval_ms=10_000)
    try:
        sys.setrecursionlimit(depth + 100)
        thread = threading.Thread(target=down, args=(depth,))
        thread.start()
        thread.join()
    finally:
        profile = spprof.stop()
        sys.setrecursionlimit(old)
    [sample] = [s for s in profile.samples if s.frames[-1].function_name.endswith("down")]
    assert profile.stats.validation_drops == 0
    return [f.function_name for f in sample.frames]


def test_deep_recursion_keeps_root_and_leaf() -> None:
    limit = spprof._native.max_depth
    names = names_below(2 * limit)
    assert len(names) == limit + 1
    assert names.count("[truncated]") == 1
    cut = names.index("[truncated]")
    assert cut == limit - limit // 2
    assert all(name.endswith("down") for name in names[cut + 1 :])
    assert [name.rpartition(".")[2] for name in names[:3]] == ["_bootstrap", "_bootstrap_inner", "run"]


@pytest.mark.skipif(not HAS_QUALNAME, reason="before 3.11 such a stack needs more C stack than a thread has")
def test_runaway_recursion_keeps_the_leaf() -> None:
    """The handler's time has a bound: it follows 20,000 frames (64 in a hostile build)."""
    limit = spprof._native.max_depth
    names = names_below(21_000 if limit == 1024 else 100)
    assert names[0] == "[truncated]"
    assert len(names) == limit // 2 + 1
    assert all(name.endswith("down") for name in names[1:])
