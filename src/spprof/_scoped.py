"""Profiling a stretch of code: the context manager `Profiler` and the decorator `profile`."""

from __future__ import annotations

from ._session import (
    check_asyncio,
    check_interval,
    check_memory_limit,
    check_mode,
    close_session,
    is_open,
    open_session,
)
from ._unwinding import check_native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar, overload

    from ._base import PathLike
    from ._profile import Profile
    from ._session import Session

    Function = TypeVar("Function", bound=Callable[..., Any])
else:

    def overload(function):  # typing is not imported at run time
        return function


# inspect's flags of a code object; inspect itself is slow to import.
_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


class Profiler:
    """``with Profiler() as p:`` profiles the block; ``p.profile`` is the result afterwards, None before.

    An exception in the block still gives a profile, and goes on. Arguments as for `start`.
    Can be used again when it has ended.
    """

    profile: Profile | None

    def __init__(
        self,
        interval_ms: float = 10,
        memory_limit_mb: float = 100,
        *,
        output_path: PathLike | None = None,
        mode: str | None = None,
        asyncio: bool = True,
        native: bool | str | None = None,
    ) -> None:
        check_interval(interval_ms)
        check_memory_limit(memory_limit_mb)
        check_mode(mode)
        check_asyncio(asyncio)
        check_native(native)
        self._arguments = (interval_ms, memory_limit_mb, output_path, mode, asyncio, native)
        self._session: Session | None = None
        self.profile = None

    def __enter__(self) -> Profiler:  # typing.Self is 3.11's
        self._session = open_session(*self._arguments, stacklevel=3)
        self.profile = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                _end(session, error, stacklevel=3)
            finally:
                self.profile = session.profile


@overload
def profile(function: Function, /) -> Function: ...
@overload
def profile(  # noqa: F811
    function: None = None,
    /,
    *,
    interval_ms: float = 10,
    memory_limit_mb: float = 100,
    output_path: PathLike | None = None,
    mode: str | None = None,
    asyncio: bool = True,
    native: bool | str | None = None,
) -> Callable[[Function], Function]: ...
def profile(  # noqa: F811
    function: Callable[..., Any] | None = None,
    /,
    *,
    interval_ms: float = 10,
    memory_limit_mb: float = 100,
    output_path: PathLike | None = None,
    mode: str | None = None,
    asyncio: bool = True,
    native: bool | str | None = None,
) -> Any:
    """Decorator that profiles each call: ``@profile``, or ``@profile(interval_ms=1, output_path="out.svg")``.

    The last call's profile is the function's attribute ``last_profile`` (None before the first); with *output_path* it
    is saved as well, each call over the one before. If a session is active already (also that of an outer or recursive
    call) the function just runs, as part of it.

    Works on functions, methods, static and class methods, generator functions, coroutine functions and asynchronous
    generator functions, and leaves each what it is. A generator is profiled from its first step until it ends or is
    closed, with what runs in between.
    """
    check_interval(interval_ms)
    check_memory_limit(memory_limit_mb)
    check_mode(mode)
    check_asyncio(asyncio)
    check_native(native)
    arguments = (interval_ms, memory_limit_mb, output_path, mode, asyncio, native)
    if function is None:
        return lambda decorated: _decorate(decorated, arguments)
    return _decorate(function, arguments)


class _Call:
    """The session of one call of a decorated function, if there is none yet."""

    __slots__ = ("_arguments", "_session", "_wrapper")

    def __init__(self, arguments: tuple[Any, ...], wrapper: Any) -> None:
        self._arguments = arguments
        self._wrapper = wrapper
        self._session: Session | None = None

    def __enter__(self) -> None:
        self._session = open_session(*self._arguments, stacklevel=4, if_idle=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        session = self._session
        if session is not None:
            try:
                _end(session, error, stacklevel=4)
            finally:
                if session.profile is not None:
                    self._wrapper.last_profile = session.profile


def _end(session: Session, error: BaseException | None, stacklevel: int) -> None:
    """Stops *session*, unless the code in it has done so, or this is the child of a fork, where it never was.

    If that fails while *error* is on its way, *error* matters more: the failure becomes a warning.
    """
    if not is_open(session):
        return
    try:
        close_session(session, stacklevel=stacklevel + 1)
    except Exception as failure:
        if error is None or isinstance(failure, Warning):
            raise
        import warnings

        warnings.warn(f"spprof could not save the profile: {failure}", RuntimeWarning, stacklevel=stacklevel)


def _decorate(function: Any, arguments: tuple[Any, ...]) -> Any:
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(_decorate(function.__func__, arguments))
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"profile decorates functions and methods, not {function!r}")

    from functools import wraps

    flags = _code_flags(function)
    wrapper: Any
    if flags & _COROUTINE:

        @wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with _Call(arguments, wrapper):
                return await function(*args, **kwargs)

    elif flags & _ASYNC_GENERATOR:

        @wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with _Call(arguments, wrapper):
                generator = function(*args, **kwargs)
                try:
                    # `yield from` does not exist here: every way into the generator is passed on by hand.
                    item = await generator.__anext__()
                    while True:
                        try:
                            sent = yield item
                        except GeneratorExit:
                            await generator.aclose()
                            raise
                        except BaseException as error:  # noqa: BLE001  # passed on
                            item = await generator.athrow(error)
                        else:
                            item = await generator.asend(sent)
                except StopAsyncIteration:
                    return

    elif flags & _GENERATOR:

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with _Call(arguments, wrapper):
                return (yield from function(*args, **kwargs))

        if flags & _ITERABLE_COROUTINE:
            from types import coroutine

            wrapper = coroutine(wrapper)

    else:

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with _Call(arguments, wrapper):
                return function(*args, **kwargs)

    wrapper.last_profile = None
    return wrapper


def _code_flags(function: Any) -> int:
    """What kind of function it is, seen through `functools.partial`, methods and objects that are called."""
    from functools import partial

    while isinstance(function, partial):
        function = function.func
    function = getattr(function, "__func__", function)
    if not hasattr(function, "__code__"):
        function = getattr(type(function).__call__, "__func__", type(function).__call__)
    code = getattr(function, "__code__", None)
    return code.co_flags if code is not None else 0
