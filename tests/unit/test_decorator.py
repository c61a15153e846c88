"""`Profiler` and `@profile`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import types
import warnings
from pathlib import Path
from typing import Any

import pytest
from profiles import burn, names

import spprof


def functions_of(profile: spprof.Profile | None) -> set[str]:
    assert profile is not None
    return {name for sample in profile.samples for name in names(sample.frames)}


class TestProfiler:
    def test_block(self) -> None:
        with spprof.Profiler(interval_ms=1) as p:
            assert p.profile is None
            assert spprof.is_active()
            burn(0.15)
        assert not spprof.is_active()
        assert p.profile is not None
        assert p.profile.interval_ms == 1
        assert "burn" in functions_of(p.profile)

    def test_exception_in_the_block(self, tmp_path: Path) -> None:
        p = spprof.Profiler(1, output_path=tmp_path / "a.txt")
        with pytest.raises(ZeroDivisionError), p:
            burn(0.15)
            raise ZeroDivisionError
        assert "burn" in functions_of(p.profile)
        assert "burn" in (tmp_path / "a.txt").read_text()

    def test_again_and_nested(self) -> None:
        p = spprof.Profiler(10)
        with p:
            pass
        first = p.profile
        with p:
            assert p.profile is None
            with pytest.raises(RuntimeError, match=r"^Profiler already running$"), spprof.Profiler():
                pass
            assert spprof.is_active()
        assert p.profile is not None
        assert p.profile is not first

    def test_stopped_inside(self) -> None:
        with spprof.Profiler() as p:
            mine = spprof.stop()
        assert p.profile is mine

    def test_stopped_and_another_started_inside(self) -> None:
        with spprof.Profiler() as p:
            mine = spprof.stop()
            spprof.start()
        assert p.profile is mine
        assert spprof.is_active()
        assert spprof.stop() is not mine

    def test_failed_save(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        p = spprof.Profiler(output_path=tmp_path / "sub" / "a.txt")
        with pytest.raises(FileNotFoundError), p:
            (tmp_path / "sub").rmdir()
        assert p.profile is not None
        assert not spprof.is_active()

    def test_failed_save_does_not_hide_the_blocks_own_error(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        p = spprof.Profiler(output_path=tmp_path / "sub" / "a.txt")

        def fail() -> None:
            with p:
                (tmp_path / "sub").rmdir()
                raise ZeroDivisionError

        with pytest.warns(RuntimeWarning, match="could not save the profile"), pytest.raises(ZeroDivisionError):
            fail()
        assert p.profile is not None

    def test_warning_points_at_the_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(spprof._session, "LOSS_WORTH_A_WARNING", -1)  # type: ignore[attr-defined]
        with pytest.warns(RuntimeWarning, match="dropped") as caught, spprof.Profiler():
            pass
        assert caught[0].filename == __file__

        @spprof.profile
        def f() -> None: ...

        with pytest.warns(RuntimeWarning, match="dropped") as caught:
            f()
        assert caught[0].filename == __file__


class TestThreadProfiler:
    def test_registers_for_the_block(self) -> None:
        with spprof.ThreadProfiler():
            pass  # no session: nothing happens
        assert spprof.register_thread() is False
        assert spprof.unregister_thread() is False
        spprof.start()
        with spprof.ThreadProfiler():
            assert spprof.unregister_thread() is True
            assert spprof.register_thread() is True
        assert spprof.unregister_thread() is False
        spprof.stop()


class TestFunctions:
    def test_without_and_with_parentheses(self) -> None:
        @spprof.profile
        def plain(x: int, *, y: int = 1) -> int:
            "Doc."
            return burn(0.15) * 0 + x + y

        @spprof.profile(interval_ms=1)
        def fine(x: int) -> int:
            return burn(0.15) * 0 + x

        assert plain.last_profile is None  # type: ignore[attr-defined]
        assert plain(1, y=2) == 3
        assert fine(4) == 4
        assert plain.last_profile.interval_ms == 10  # type: ignore[attr-defined]
        assert fine.last_profile.interval_ms == 1  # type: ignore[attr-defined]
        assert "burn" in functions_of(fine.last_profile)  # type: ignore[attr-defined]
        assert (plain.__name__, plain.__doc__) == ("plain", "Doc.")
        assert list(inspect.signature(plain).parameters) == ["x", "y"]
        assert not spprof.is_active()

    def test_recursion_and_nesting(self) -> None:
        @spprof.profile(interval_ms=1)
        def fib(n: int) -> int:
            if n == 12:
                assert spprof.is_active()
            return n if n < 2 else fib(n - 1) + fib(n - 2)

        @spprof.profile(interval_ms=1)
        def outer() -> int:
            burn(0.15)
            return fib(3)

        assert fib(12) == 144
        assert not spprof.is_active()
        first = fib.last_profile  # type: ignore[attr-defined]
        assert first is not None
        assert outer() == 2
        assert fib.last_profile is first  # type: ignore[attr-defined]
        assert "burn" in functions_of(outer.last_profile)  # type: ignore[attr-defined]

    def test_within_a_session_it_is_part_of_it(self) -> None:
        @spprof.profile(interval_ms=1)
        def work() -> None:
            burn(0.15)

        spprof.start(interval_ms=2)
        work()
        assert spprof.is_active()
        assert "burn" in functions_of(spprof.stop())
        assert work.last_profile is None  # type: ignore[attr-defined]

    def test_exceptions_pass_and_the_profile_is_there(self, tmp_path: Path) -> None:
        @spprof.profile(interval_ms=1, output_path=tmp_path / "a.txt")
        def fail() -> None:
            burn(0.15)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert "burn" in functions_of(fail.last_profile)  # type: ignore[attr-defined]
        assert "burn" in (tmp_path / "a.txt").read_text()
        assert not spprof.is_active()

    def test_methods(self) -> None:
        class A:
            @spprof.profile
            def method(self) -> object:
                return self

            @spprof.profile
            @staticmethod
            def inner_static(x: int) -> int:
                return x

            @staticmethod
            @spprof.profile
            def outer_static(x: int) -> int:
                return x

            @spprof.profile
            @classmethod
            def inner_class(cls) -> object:
                return cls

            @classmethod
            @spprof.profile
            def outer_class(cls) -> object:
                return cls

            @property
            @spprof.profile
            def value(self) -> int:
                return 5

        a = A()
        assert a.method() is a
        assert a.method.last_profile is not None  # type: ignore[attr-defined]
        assert A.inner_static(1) == a.outer_static(1) == 1
        assert a.inner_class() is A.outer_class() is A
        assert a.value == 5

    def test_callables(self) -> None:
        class Called:
            def __call__(self, x: int) -> int:
                return x + 1

        assert spprof.profile(Called())(1) == 2
        assert spprof.profile(functools.partial(max, 5))(3) == 5
        assert spprof.profile(len)("abc") == 3

    @pytest.mark.parametrize("thing", [int, 3, "f", type("C", (), {})])
    def test_what_can_not_be_decorated(self, thing: Any) -> None:
        with pytest.raises(TypeError, match="profile decorates functions and methods"):
            spprof.profile(thing)

    def test_wrong_settings_fail_at_decoration(self) -> None:
        with pytest.raises(ValueError, match="interval_ms"):
            spprof.profile(interval_ms=0)

    def test_threads_at_once(self) -> None:
        @spprof.profile(interval_ms=10)
        def work() -> int:
            return burn(0.002)

        errors: list[BaseException] = []

        def run() -> None:
            try:
                for _ in range(20):
                    work()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert not spprof.is_active()


class TestGenerators:
    def test_stays_a_generator_function(self) -> None:
        @spprof.profile(interval_ms=1)
        def count(n: int) -> Any:
            for number in range(n):
                burn(0.05)
                yield number
            return "end"

        assert inspect.isgeneratorfunction(count)
        generator = count(4)
        assert not spprof.is_active()  # nothing has run yet
        assert next(generator) == 0
        assert spprof.is_active()
        assert [next(generator) for _ in range(3)] == [1, 2, 3]
        with pytest.raises(StopIteration) as stop:
            next(generator)
        assert stop.value.value == "end"
        assert not spprof.is_active()
        assert "burn" in functions_of(count.last_profile)

    def test_send_throw_close(self) -> None:
        seen: list[object] = []

        @spprof.profile
        def echo() -> Any:
            try:
                got = yield "first"
                while True:
                    try:
                        got = yield got
                    except KeyError as error:
                        got = error
            finally:
                seen.append("closed")

        generator = echo()
        assert next(generator) == "first"
        assert generator.send(1) == 1
        error = KeyError("k")
        assert generator.throw(error) is error
        with pytest.raises(ZeroDivisionError):
            generator.throw(ZeroDivisionError())
        assert seen == ["closed"]
        assert not spprof.is_active()
        generator = echo()
        next(generator)
        generator.close()
        assert seen == ["closed", "closed"]
        assert not spprof.is_active()

    def test_abandoned(self) -> None:
        @spprof.profile
        def forever() -> Any:
            while True:
                yield

        next(forever())
        assert not spprof.is_active()

    def test_generator_based_coroutine(self) -> None:
        @spprof.profile
        @types.coroutine
        def pause() -> Any:
            yield
            return 5

        async def main() -> int:
            return await pause()

        coroutine = main()
        coroutine.send(None)
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        assert stop.value.value == 5


class TestAsync:
    def test_coroutine_function(self) -> None:
        @spprof.profile(interval_ms=1)
        async def work(x: int) -> int:
            burn(0.15)
            await asyncio.sleep(0)
            return x + 1

        assert inspect.iscoroutinefunction(work)
        assert asyncio.iscoroutinefunction(work) if not hasattr(inspect, "markcoroutinefunction") else True
        assert asyncio.run(work(1)) == 2
        assert "burn" in functions_of(work.last_profile)  # type: ignore[attr-defined]
        assert not spprof.is_active()

    def test_tasks_at_once(self) -> None:
        @spprof.profile
        async def work(x: int) -> int:
            await asyncio.sleep(0.001 * x)
            return x

        async def main() -> list[int]:
            return await asyncio.gather(*[work(x) for x in (3, 1, 2)])

        assert asyncio.run(main()) == [3, 1, 2]
        assert not spprof.is_active()

    def test_cancelled(self) -> None:
        @spprof.profile
        async def forever() -> None:
            await asyncio.sleep(1000)

        async def main() -> None:
            task = asyncio.ensure_future(forever())
            await asyncio.sleep(0)
            assert spprof.is_active()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert not spprof.is_active()
        assert forever.last_profile is not None  # type: ignore[attr-defined]

    def test_async_generator_function(self) -> None:
        seen: list[object] = []

        @spprof.profile
        async def echo(n: int) -> Any:
            try:
                got: object = n
                for _ in range(n):
                    try:
                        got = yield got
                    except KeyError as error:
                        got = error
            finally:
                seen.append("closed")

        assert inspect.isasyncgenfunction(echo)

        async def main() -> None:
            assert [item async for item in echo(2)] == [2, None]
            assert echo.last_profile is not None
            generator = echo(5)
            assert await generator.__anext__() == 5
            assert spprof.is_active()
            assert await generator.asend("x") == "x"
            error = KeyError()
            assert await generator.athrow(error) is error
            with pytest.raises(ZeroDivisionError):
                await generator.athrow(ZeroDivisionError())
            assert not spprof.is_active()
            generator = echo(5)
            await generator.__anext__()
            await generator.aclose()
            assert not spprof.is_active()
            assert [item async for item in echo(0)] == []

        asyncio.run(main())
        assert seen == ["closed"] * 4

    def test_async_method_and_partial(self) -> None:
        class A:
            @spprof.profile
            async def work(self, x: int) -> int:
                return x

        async def add(x: int, y: int) -> int:
            return x + y

        assert inspect.iscoroutinefunction(A.work)
        assert asyncio.run(A().work(3)) == 3
        partial = spprof.profile(functools.partial(add, 1))
        assert inspect.iscoroutinefunction(partial)
        assert asyncio.run(partial(2)) == 3


def test_body_that_stops_the_session_itself() -> None:
    @spprof.profile
    def work() -> object:
        return spprof.stop()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mine = work()
    assert work.last_profile is mine  # type: ignore[attr-defined]
