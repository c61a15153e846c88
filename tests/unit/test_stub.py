"""The type stub of the C extension says what the extension has: names, kinds, parameters.

stubtest compares as well, where mypy is installed, but functions of a C module that have no text signature are beyond
it. Their parameters are found out by calls that fail before they do anything.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from children import environment

import spprof
from spprof import _fallback

STUB = Path(spprof.__file__).with_name("_native.pyi")


class Parameters(NamedTuple):
    """Names of a function's parameters, by how they may be given."""

    positional_only: list[str]
    either: list[str]
    keyword_only: list[str]
    required: int
    open: bool  # takes any


def _names(arguments: list[ast.arg]) -> list[str]:
    return [argument.arg for argument in arguments]


def parameters_of(function: ast.FunctionDef) -> Parameters:
    a = function.args
    optional = len(a.defaults) + sum(default is not None for default in a.kw_defaults)
    count = len(a.posonlyargs) + len(a.args) + len(a.kwonlyargs)
    return Parameters(
        _names(a.posonlyargs), _names(a.args), _names(a.kwonlyargs), count - optional, bool(a.vararg or a.kwarg)
    )


def signature_of(function: Any) -> Parameters | None:
    """The same of a live function; None if it does not tell."""
    try:
        values = list(inspect.signature(function).parameters.values())
    except ValueError:
        return None
    kinds = [[value.name for value in values if value.kind is kind] for kind in (
        inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY,
    )]  # fmt: skip
    required = sum(value.default is value.empty for value in values)
    return Parameters(*kinds, required, any(value.kind.name.startswith("VAR_") for value in values))


def stub_names() -> tuple[dict[str, ast.FunctionDef], dict[str, ast.ClassDef], set[str]]:
    """Public functions, classes and variables of the stub."""
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")}
    classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")}
    variables = {n.target.id for n in tree.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    return functions, classes, variables


FUNCTIONS, CLASSES, VARIABLES = stub_names()


def public_names(module: Any) -> set[str]:
    return {name for name in vars(module) if not name.startswith("_")}


@pytest.mark.needs_native
def test_same_names() -> None:
    assert public_names(spprof._native) == {*FUNCTIONS, *CLASSES, *VARIABLES}


@pytest.mark.needs_native
def test_same_kinds() -> None:
    native = spprof._native
    assert all(isinstance(getattr(native, name), type) for name in CLASSES)
    assert all(inspect.isbuiltin(getattr(native, name)) for name in FUNCTIONS)
    assert all(isinstance(getattr(native, name), (bool, int, str)) for name in VARIABLES)


def refusal(function: Any, *args: Any, **kwargs: Any) -> str:
    """The text of the TypeError that a call must raise."""
    with pytest.raises(TypeError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def probe(function: Any, expected: Parameters) -> None:
    """Calls with an argument too many, and with wrong types, tell how many parameters there are and their names.

    None of them gets as far as to do anything: one argument is always of a type that no function accepts.
    """
    nothing = object()
    if expected.keyword_only:
        assert not expected.positional_only and not expected.either
        wrong = dict.fromkeys(expected.keyword_only, nothing)
        assert "keyword" not in refusal(function, **wrong)  # all names are known
        assert f"at most {len(wrong)} keyword" in refusal(
            function, **wrong, one_more=nothing
        )  # and there are no others
        assert "no positional" in refusal(function, nothing)
    else:
        count = len(expected.positional_only)
        assert not expected.either, "a builtin without a signature has no names for these: end them with / in the stub"
        assert "argument" in refusal(function, *[nothing] * (count + 1))
        assert "keyword" in refusal(function, *[nothing] * count, one_more=nothing)
        if count:
            assert "argument" in refusal(function, *[nothing] * (count - 1))


@pytest.mark.needs_native
@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_parameters(name: str) -> None:
    expected = parameters_of(FUNCTIONS[name])
    actual = signature_of(getattr(spprof._native, name))
    if actual is None:
        probe(getattr(spprof._native, name), expected)
    else:
        assert actual == expected


@pytest.mark.needs_native
@pytest.mark.parametrize("name", CLASSES)
def test_same_constructor(name: str) -> None:
    [new] = [n for n in CLASSES[name].body if isinstance(n, ast.FunctionDef) and n.name in ("__new__", "__init__")]
    expected = [*parameters_of(new).positional_only, *parameters_of(new).either][1:]  # but for cls
    actual = signature_of(getattr(spprof._native, name))
    if actual is None:  # 3.9
        assert f"'{expected[0]}'" in refusal(getattr(spprof._native, name))
    else:
        assert [*actual.positional_only, *actual.either] == expected


def test_the_fallback_has_the_same_functions() -> None:
    """Everything above the sampler calls either of the two."""
    for name, function in FUNCTIONS.items():
        expected, actual = parameters_of(function), signature_of(getattr(_fallback, name))
        assert actual is not None
        assert [*actual.positional_only, *actual.either, *actual.keyword_only] == [
            *expected.positional_only, *expected.either, *expected.keyword_only,
        ], name  # fmt: skip
        assert not expected.keyword_only or actual.keyword_only == expected.keyword_only, name
    for name in (*CLASSES, *VARIABLES):
        assert hasattr(_fallback, name)


@pytest.mark.needs_native
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_stubtest(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "spprof._native"],
        cwd=tmp_path,
        env=environment({"MYPY_CACHE_DIR": str(tmp_path / "cache")}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
