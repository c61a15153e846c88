"""Qualified names of functions on CPython 3.9 and 3.10, where code objects do not know theirs.

Functions do, while they live: their names are taken first. From there the compiler's rules are followed down through
the constants of each code object, which finds classes' bodies, lambdas, comprehensions and functions that are not alive
as function objects: within a function "outer.<locals>.inner", within a class "Class.method", within a module "name".
What neither way finds keeps its bare name.
"""

from __future__ import annotations

import gc
import sys
from types import AsyncGeneratorType, CodeType, CoroutineType, FunctionType, GeneratorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_CO_OPTIMIZED = 0x1  # set on functions, lambdas and comprehensions, not on class bodies and modules
_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")  # have no ".<locals>" of their own


def qualified_names() -> dict[int, str]:
    """Qualified names by ``id()`` of the code object. Valid as long as nothing runs that could free code."""
    names: dict[int, str] = {}
    roots: list[CodeType] = []
    for code, qualified in _named_code():
        # The name of a wrapper made with functools.wraps is another function's: only the last part can tell. The body of
        # a class is a function as well while it runs, but one that is not told its qualified name.
        if code.co_flags & _CO_OPTIMIZED and (qualified == code.co_name or qualified.endswith("." + code.co_name)):
            names[id(code)] = qualified
        roots.append(code)
    for running in list(sys._current_frames().values()):
        frame: FrameType | None = running
        while frame is not None:
            if frame.f_code.co_name == "<module>":
                names[id(frame.f_code)] = "<module>"
            roots.append(frame.f_code)
            frame = frame.f_back

    # Enclosing code first, so that a name is passed on before it is needed. A code object whose own name is not known
    # passes on nothing: better a bare name than a wrong one.
    seen: set[int] = set()
    waiting = [code for code in roots if id(code) in names]
    while waiting:
        code = waiting.pop()
        if id(code) in seen:
            continue
        seen.add(id(code))
        prefix = _prefix(code, names[id(code)])
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                names.setdefault(id(constant), prefix + constant.co_name)
                waiting.append(constant)
    return names


def _prefix(code: CodeType, qualified: str) -> str:
    """What stands before the names of functions and classes that are defined in *code*."""
    if code.co_name == "<module>":
        return ""
    if code.co_flags & _CO_OPTIMIZED and code.co_name not in _COMPREHENSIONS:
        return qualified + ".<locals>."
    return qualified + "."


def _named_code() -> Iterator[tuple[CodeType, str]]:
    """Code of everything alive that knows its qualified name."""
    for item in gc.get_objects():
        kind = type(item)
        if kind is FunctionType:
            yield item.__code__, item.__qualname__
        elif kind is GeneratorType:
            yield item.gi_code, item.__qualname__
        elif kind is CoroutineType:
            yield item.cr_code, item.__qualname__
        elif kind is AsyncGeneratorType:
            yield item.ag_code, item.__qualname__
    if gc.get_freeze_count():
        # A program that called gc.freeze() hides what it had then from get_objects(): look where functions are kept.
        for module in list(sys.modules.values()):
            yield from _named_in(getattr(module, "__dict__", {}), set())


def _named_in(namespace: object, seen: set[int]) -> Iterator[tuple[CodeType, str]]:
    """Functions of a module or a class, and of the classes in it."""
    for item in list(getattr(namespace, "values", list)()):
        members = (item.fget, item.fset, item.fdel) if isinstance(item, property) else (item,)
        for member in members:
            if isinstance(member, (staticmethod, classmethod)):
                member = member.__func__  # noqa: PLW2901
            if type(member) is FunctionType:
                yield member.__code__, member.__qualname__
            elif isinstance(member, type) and id(member) not in seen:
                seen.add(id(member))
                yield from _named_in(member.__dict__, seen)
