"""Qualified names where code objects do not know them, against those that function objects and CPython 3.11 know."""

from __future__ import annotations

import functools
import gc
import json
import sys
from types import CodeType, FunctionType
from typing import Any

import pytest
from children import python

from spprof._qualnames import qualified_names

SOURCE = """
import functools
def deco(f):
    @functools.wraps(f)
    def wrapper(*a):
        return f(*a)
    return wrapper
def plain():
    def inner():
        return [(lambda: x)() for x in range(2)], {y for y in ()}, (z for z in ())
    class Local:
        attribute = [n for n in range(3)]
        def method(self):
            class Deep:
                def bottom(self):
                    return lambda: None
            return Deep
        class Nested:
            key = lambda self: (lambda: 0)
    return inner, Local
class Top:
    lam = lambda self: [i for i in ()]
    @deco
    def decorated(self):
        def inside(): pass
        return inside
    @staticmethod
    def st(): return {k: 1 for k in ()}
    @classmethod
    def cl(cls): return lambda: cls
    @property
    def prop(self):
        def getter_helper(): pass
        return getter_helper
    class Inner:
        def __private(self): return (q for q in ())
        async def co(self): return [w async for w in self]
        async def ag(self): yield (lambda: 1)
    def gen(self): yield lambda: 2
module_lambda = lambda: (lambda: 3)
"""


def codes_below(code: CodeType) -> list[CodeType]:
    found = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += [constant, *codes_below(constant)]
    return found


def expected_names(code: CodeType, prefix: str = "") -> dict[int, str]:
    """The compiler's rules, spelled out for `SOURCE` (which declares nothing global)."""
    found = {}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            name = prefix + constant.co_name
            is_function = constant.co_flags & 1
            found[id(constant)] = name
            is_comprehension = constant.co_name.endswith(("comp>", "expr>"))
            found.update(
                expected_names(constant, name + (".<locals>." if is_function and not is_comprehension else "."))
            )
    return found


def is_class_body(code: CodeType) -> bool:
    return not code.co_flags & 1


@pytest.fixture(scope="module")
def module() -> tuple[CodeType, dict[str, Any]]:
    code = compile(SOURCE, "<qualnames>", "exec")
    namespace: dict[str, Any] = {"__name__": "m"}
    exec(code, namespace)
    return code, namespace


def test_the_rules_as_spelled_out_here_are_the_compilers(module: tuple[CodeType, dict[str, Any]]) -> None:
    code, _ = module
    expected = expected_names(code)
    if sys.version_info >= (3, 11):
        assert {each.co_qualname for each in codes_below(code)} == set(expected.values())
    functions = [
        each for each in gc.get_objects() if type(each) is FunctionType and each.__code__.co_filename == "<qualnames>"
    ]
    checked = 0
    for function in functions:
        if function.__code__.co_name != "wrapper":
            assert expected[id(function.__code__)] == function.__qualname__
            checked += 1
    assert checked >= 12


def test_all_code_under_living_functions_is_named(module: tuple[CodeType, dict[str, Any]]) -> None:
    """The bodies of the module's own classes have gone with the module's code; everything else is found."""
    code, _ = module
    expected = expected_names(code)
    found = qualified_names()
    reachable = [each for each in codes_below(code) if not (is_class_body(each) and each in code.co_consts)]
    missing = {expected[id(each)] for each in reachable if id(each) not in found}
    assert missing <= {"Top.Inner"}
    assert {id(each): found[id(each)] for each in reachable if id(each) in found} == {
        id(each): expected[id(each)] for each in reachable if id(each) in found
    }


def test_a_wrapper_is_not_called_what_it_wraps(module: tuple[CodeType, dict[str, Any]]) -> None:
    _, namespace = module
    decorated = namespace["Top"].decorated
    assert decorated.__qualname__ == "Top.decorated"
    found = qualified_names()
    assert found[id(decorated.__code__)] == "deco.<locals>.wrapper"
    assert found[id(decorated.__wrapped__.__code__)] == "Top.decorated"


def test_a_function_declared_global_keeps_its_own_name() -> None:
    def outer() -> None:
        global _declared_global

        def _declared_global() -> None: ...

    outer()
    assert qualified_names()[id(globals()["_declared_global"].__code__)] == "_declared_global"


def test_running_code_whose_function_is_gone() -> None:
    def make() -> Any:
        def gone() -> Any:
            yield qualified_names()[id(sys._getframe().f_code)]
            yield [qualified_names()[id(sys._getframe().f_code)] for _ in range(1)]

        return gone()

    generator = make()
    here = "test_running_code_whose_function_is_gone.<locals>.make.<locals>.gone"
    assert next(generator) == here
    names = next(generator)[0]
    assert names in (here, here + ".<locals>.<listcomp>")  # inlined from 3.12 on


def test_script_level_names() -> None:
    """A script's module code is running: even bodies of classes that are being made get their names."""
    code = (
        "import sys\nfrom spprof._qualnames import qualified_names\n"
        "class A:\n"
        "    class B:\n"
        "        name = qualified_names()[id(sys._getframe().f_code)]\n"
        "print(A.B.name, qualified_names()[id(sys._getframe().f_code)])\n"
    )
    result = python("-c", code)
    assert result.stdout.split() == ["A.B", "<module>"], result.stderr


def test_frozen_objects_are_found() -> None:
    code = (
        "import gc, json.decoder\nfrom spprof._qualnames import qualified_names\n"
        "gc.freeze()\n"
        "D = json.decoder.JSONDecoder\n"
        "print(qualified_names()[id(D.raw_decode.__code__)])\n"
    )
    result = python("-c", code)
    assert result.stdout.split() == ["JSONDecoder.raw_decode"], result.stderr


@pytest.mark.skipif(
    not (3, 11) <= sys.version_info < (3, 14), reason="nothing to compare with, or annotations are functions"
)
def test_no_wrong_name_in_a_big_program() -> None:
    """Every name found, for all the code that such a program has loaded, is the one that the code itself knows."""
    code = """
import argparse, ast, asyncio, concurrent.futures, ctypes, dataclasses, decimal, doctest, email.message, http.server, json
import logging.config, multiprocessing.pool, pickletools, pydoc, sqlite3, statistics, tarfile, typing, unittest.mock
import gc
from types import CodeType, FunctionType
from spprof._qualnames import qualified_names
found = qualified_names()
codes = {id(each): each for each in gc.get_objects() if isinstance(each, CodeType)}
waiting = [each.__code__ for each in gc.get_objects() if type(each) is FunctionType]
while waiting:
    each = waiting.pop()
    codes[id(each)] = each
    waiting.extend(c for c in each.co_consts if isinstance(c, CodeType) and id(c) not in codes)
wrong = {
    (found[number], each.co_qualname)
    for number, each in codes.items()
    # Functions that are made with exec, and named for the class that they are made for, as dataclasses' are.
    if found.get(number, each.co_qualname) != each.co_qualname and each.co_filename != "<string>"
}
print(json.dumps([sum(number in found for number in codes), sorted(wrong)]))
"""
    result = python("-c", code)
    assert result.returncode == 0, result.stderr
    named, wrong = json.loads(result.stdout)
    assert named > 5000
    # namedtuple's methods are one code object for all classes, renamed for the last one.
    assert len(wrong) <= named * 0.002, wrong[:20]


def test_is_quick_enough() -> None:
    import time

    start = time.process_time()
    qualified_names()
    assert time.process_time() - start < 2


def test_partial_is_no_function() -> None:
    assert isinstance(qualified_names(), dict)
    assert functools.partial(print)  # gc.get_objects() meets all sorts of things
