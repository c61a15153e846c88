"""Names as they were in the source: C++ (Itanium), Rust's old scheme; its new one is in rust.py.

A name that isn't mangled, or not understood, stays as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import rust

if TYPE_CHECKING:
    from collections.abc import Callable

#: Longer names stay mangled. Real ones reach some thousand bytes.
LENGTH_LIMIT = 16 << 10
#: Any one of them knows __cxa_demangle. A program with C++ in it has one loaded already.
_LIBRARIES = ("libstdc++.so.6", "libc++abi.so.1", "libc++.so.1")

_RUST_LEGACY = re.compile(r"_ZN([0-9][0-9A-Za-z_.$]*)17h[0-9a-f]{16}E(\.[0-9A-Za-z_.@$]+)?\Z")
_RUST_ESCAPE = re.compile(r"\$(SP|BP|RF|LT|GT|LP|RP|C|u[0-9a-f]{1,6})\$|\.\.")
_RUST_ESCAPES = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ","}
_CPLUSPLUS = re.compile(r"_{1,2}Z[0-9A-Za-z_.$]+\Z")

_cxa_demangle: Callable[[bytes], bytes | None] | None = None
_looked_for = False


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1)
    if code is None:
        return "::"
    found = _RUST_ESCAPES.get(code)
    if found is None:
        value = int(code[1:], 16)
        found = chr(value) if value < 0x110000 and not 0xD800 <= value < 0xE000 else match.group()
    return found if found.isprintable() else match.group()


def _rust_legacy(name: str) -> str | None:
    """``core::fmt::Formatter::pad`` of ``_ZN4core3fmt9Formatter3pad17h0123456789abcdefE``; None if it isn't such a name."""
    match = _RUST_LEGACY.match(name)
    if match is None:
        return None
    text, pos, parts = match.group(1), 0, []
    while pos < len(text):
        digits = pos
        while digits < len(text) and text[digits].isdigit():
            digits += 1
        if not 0 < digits - pos <= 5:
            return None
        pos = digits + int(text[pos:digits])
        part = text[digits:pos]
        if not part or pos > len(text):
            return None
        if part.startswith("_$"):  # an identifier can't start with a dollar
            part = part[1:]
        parts.append(_RUST_ESCAPE.sub(_unescaped, part))
    suffix = match.group(2) or ""
    return "::".join(parts) + ("" if suffix.startswith(".llvm.") else suffix)


def _find_cxa_demangle() -> Callable[[bytes], bytes | None] | None:
    try:
        import ctypes

        free = ctypes.CDLL(None).free
    except (ImportError, OSError, AttributeError):
        return None
    function = None
    for library in _LIBRARIES:
        try:
            function = ctypes.CDLL(library).__cxa_demangle
            break
        except (OSError, AttributeError):
            continue
    if function is None:
        return None
    free.argtypes, free.restype = [ctypes.c_void_p], None
    function.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    function.restype = ctypes.c_void_p

    def call(name: bytes) -> bytes | None:
        result = function(name, None, None, None)
        if not result:
            return None
        try:
            return ctypes.string_at(result)
        finally:
            free(result)

    return call


def _cplusplus(name: str) -> str | None:
    global _cxa_demangle, _looked_for
    if not _looked_for:
        _cxa_demangle = _find_cxa_demangle()
        _looked_for = True
    if _cxa_demangle is None:
        return None
    found = _cxa_demangle(name.encode("ascii"))
    return found.decode("utf-8", "backslashreplace") if found else None


def demangle(name: str) -> str:
    """The name as the source has it; the same name if it isn't mangled or can't be demangled. Never fails.

    The C++ library is asked, and loaded if need be, for names that start with ``_Z`` only.
    """
    if not name.startswith(("_Z", "__Z", "_R")) or len(name) > LENGTH_LIMIT:
        return name
    if name.startswith("_R"):
        return rust.demangle(name) or name
    if _CPLUSPLUS.match(name) is None:
        return name
    return _rust_legacy(name) or _cplusplus(name) or name
