"""Rust's mangling since 2020 (RFC 2603, "v0"): `_RNvCs1234_7mycrate3foo` is `mycrate::foo`.

Written as rustc's own short form: without hashes of crates and types of constants. A name can repeat its parts by
reference, and so stand for a text that is exponentially longer: depth, length and steps are limited.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_DEPTH, _OUTPUT, _STEPS = 100, 16 << 10, 20_000

_BASIC = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8", "i": "isize", "j": "usize",
    "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_", "s": "i16", "t": "u16", "u": "()", "v": "...",
    "x": "i64", "y": "u64", "z": "!",
}  # fmt: skip
_BASE_62 = {c: i for i, c in enumerate("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")}
_SUFFIX = re.compile(r"[.$][0-9A-Za-z_.@$]*\Z")
_SIGNED, _UNSIGNED = frozenset("aslxni"), frozenset("htmyoj")


class _BadNameError(Exception):
    """Not such a name, or beyond the limits."""


class _Reader:
    """Reads a name from left to right and writes what it stands for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pos = 2  # behind "_R"; references count from there
        self._out: list[str] = []
        self._length = 0
        self._silent = 0  # inside of parts that are read and not shown
        self._depth = 0
        self._steps = 0
        self._lifetimes = 0  # bound by the `for<>`s around

    def text(self) -> str:
        return "".join(self._out)

    def _write(self, text: str) -> None:
        if not self._silent:
            self._length += len(text)
            if self._length > _OUTPUT:
                raise _BadNameError
            self._out.append(text)

    # --------------------------------------------------------------------------------------------- small parts

    def peek(self) -> str:
        return self.name[self.pos : self.pos + 1]

    def _eat(self, letter: str) -> bool:
        if self.peek() == letter:
            self.pos += 1
            return True
        return False

    def _next(self) -> str:
        letter = self.peek()
        if not letter:
            raise _BadNameError
        self.pos += 1
        return letter

    def _enter(self) -> None:
        self._depth += 1
        self._steps += 1
        if self._depth > _DEPTH or self._steps > _STEPS:
            raise _BadNameError

    def _integer_62(self) -> int:
        """``_`` is 0, ``0_`` is 1, and so on."""
        if self._eat("_"):
            return 0
        value = 0
        while not self._eat("_"):
            digit = _BASE_62.get(self._next())
            if digit is None or value > 1 << 64:
                raise _BadNameError
            value = value * 62 + digit
        return value + 1

    def _optional_62(self, tag: str) -> int:
        return self._integer_62() + 1 if self._eat(tag) else 0

    def _identifier(self) -> str:
        punycode = self._eat("u")
        digits = self.pos
        while self.peek() in set("0123456789") and self.pos - digits < 6:
            self.pos += 1
            if self.name[digits] == "0":
                break
        if digits == self.pos:
            raise _BadNameError
        length = int(self.name[digits : self.pos])
        self._eat("_")
        text = self.name[self.pos : self.pos + length]
        if len(text) != length:
            raise _BadNameError
        self.pos += length
        if punycode:
            head, found, tail = text.rpartition("_")
            text = f"{head}-{tail}" if found else tail
            if len(text) > 256:  # decoding takes the square of the length
                raise _BadNameError
            text = text.encode("ascii").decode("punycode")
            if not text.isprintable():
                raise _BadNameError
        return text

    def _hex(self) -> str:
        start = self.pos
        while self.peek() in set("0123456789abcdef"):
            self.pos += 1
        digits = self.name[start : self.pos]
        if not self._eat("_"):
            raise _BadNameError
        return digits

    def _reference(self, read: Callable[[], object]) -> None:
        """Reads again what stands further left. The letter B is already read."""
        start = self.pos - 1
        target = self._integer_62() + 2
        if target >= start:
            raise _BadNameError
        if not self._silent:
            back, self.pos = self.pos, target
            read()
            self.pos = back

    def _list(self, read: Callable[[], object], separator: str = ", ") -> int:
        count = 0
        while not self._eat("E"):
            if count:
                self._write(separator)
            read()
            count += 1
        return count

    def _lifetime(self, index: int) -> None:
        if index == 0:
            self._write("'_")
            return
        depth = self._lifetimes - index
        if depth < 0:
            raise _BadNameError
        self._write(f"'{chr(ord('a') + depth)}" if depth < 26 else f"'_{depth}")

    def _binder(self, read: Callable[[], None]) -> None:
        """``for<'a, 'b>`` in front of what is read next."""
        bound = self._optional_62("G")
        if bound > 256:
            raise _BadNameError
        if bound:
            self._write("for<")
            for i in range(bound):
                self._write(", " if i else "")
                self._lifetimes += 1
                self._lifetime(1)
            self._write("> ")
        read()
        self._lifetimes -= bound

    # --------------------------------------------------------------------------------------------------- paths

    def path(self, in_value: bool) -> None:
        """A path; *in_value*: generic arguments need the turbofish there (``f::<u8>``)."""
        self._enter()
        tag = self._next()
        if tag == "C":
            self._optional_62("s")
            self._write(self._identifier())
        elif tag == "N":
            namespace = self._next()
            if not (namespace.isascii() and namespace.isalpha()):
                raise _BadNameError
            self.path(in_value)
            index = self._optional_62("s")
            name = self._identifier()
            if namespace.isupper():
                kind = {"C": "closure", "S": "shim"}.get(namespace, namespace)
                self._write(f"::{{{kind}{':' if name else ''}{name}#{index}}}")
            elif name:
                self._write(f"::{name}")
        elif tag in {"M", "X", "Y"}:
            if tag != "Y":
                self._optional_62("s")
                self._silent += 1
                self.path(False)
                self._silent -= 1
            self._write("<")
            self.type()
            if tag != "M":
                self._write(" as ")
                self.path(False)
            self._write(">")
        elif tag == "I":
            self.path(in_value)
            self._write("::<" if in_value else "<")
            self._list(self._generic_argument)
            self._write(">")
        elif tag == "B":
            self._reference(lambda: self.path(in_value))
        else:
            raise _BadNameError
        self._depth -= 1

    def _generic_argument(self) -> None:
        self._steps += 1
        if self._eat("L"):
            self._lifetime(self._integer_62())
        elif self._eat("K"):
            self._constant(False)
        else:
            self.type()

    # --------------------------------------------------------------------------------------------------- types

    def type(self) -> None:
        """A type."""
        self._enter()
        tag = self._next()
        if tag in _BASIC:
            self._write(_BASIC[tag])
        elif tag in {"R", "Q"}:
            self._write("&")
            if self._eat("L"):
                lifetime = self._integer_62()
                if lifetime:
                    self._lifetime(lifetime)
                    self._write(" ")
            self._write("mut " if tag == "Q" else "")
            self.type()
        elif tag in {"P", "O"}:
            self._write("*const " if tag == "P" else "*mut ")
            self.type()
        elif tag in {"A", "S"}:
            self._write("[")
            self.type()
            if tag == "A":
                self._write("; ")
                self._constant(True)
            self._write("]")
        elif tag == "T":
            self._write("(")
            self._write(",)" if self._list(self.type) == 1 else ")")
        elif tag == "F":
            self._binder(self._function)
        elif tag == "D":
            self._write("dyn ")
            self._binder(self._bounds)
            if not self._eat("L"):
                raise _BadNameError
            lifetime = self._integer_62()
            if lifetime:
                self._write(" + ")
                self._lifetime(lifetime)
        elif tag == "B":
            self._reference(self.type)
        else:
            self.pos -= 1
            self.path(False)
        self._depth -= 1

    def _function(self) -> None:
        self._write("unsafe " if self._eat("U") else "")
        if self._eat("K"):
            abi = "C" if self._eat("C") else self._identifier().replace("_", "-")
            self._write(f'extern "{abi}" ')
        self._write("fn(")
        self._list(self.type)
        self._write(")")
        if not self._eat("u"):
            self._write(" -> ")
            self.type()

    def _bounds(self) -> None:
        self._list(self._dyn_trait, " + ")

    def _dyn_trait(self) -> None:
        is_open = self._path_left_open()
        while self._eat("p"):
            self._write(", " if is_open else "<")
            is_open = True
            self._write(f"{self._identifier()} = ")
            self.type()
        self._write(">" if is_open else "")

    def _path_left_open(self) -> bool:
        """A path; if it ends with generic arguments, their bracket is left open for the trait's bindings."""
        self._enter()
        is_open = False
        if self._eat("B"):
            answers: list[bool] = []
            self._reference(lambda: answers.append(self._path_left_open()))
            is_open = any(answers)
        elif self._eat("I"):
            self.path(False)
            self._write("<")
            self._list(self._generic_argument)
            is_open = True
        else:
            self.path(False)
        self._depth -= 1
        return is_open

    # ----------------------------------------------------------------------------------------------- constants

    def _constant(self, in_value: bool) -> None:
        """A constant; braces are put around what is not a literal, unless *in_value*."""
        self._enter()
        tag = self._next()
        if tag == "p":
            self._write("_")
        elif tag in _SIGNED or tag in _UNSIGNED:
            sign = "-" if tag in _SIGNED and self._eat("n") else ""
            digits = self._hex().lstrip("0") or "0"
            self._write(sign + (str(int(digits, 16)) if len(digits) <= 16 else f"0x{digits}"))
        elif tag == "b":
            value = {"0": "false", "1": "true"}.get(self._hex())
            if value is None:
                raise _BadNameError
            self._write(value)
        elif tag == "c":
            digits = self._hex()
            if len(digits) > 8:
                raise _BadNameError
            self._write(_quoted(chr(int(digits or "0", 16)), "'"))
        elif tag == "R" and self._eat("e"):
            self._write(_quoted(self._string(), '"'))
        elif tag == "B":
            self._reference(lambda: self._constant(in_value))
        else:
            self._write("" if in_value else "{")
            self._compound(tag)
            self._write("" if in_value else "}")
        self._depth -= 1

    def _compound(self, tag: str) -> None:
        if tag == "e":
            self._write("*" + _quoted(self._string(), '"'))
        elif tag in {"R", "Q"}:
            self._write("&" if tag == "R" else "&mut ")
            self._constant(True)
        elif tag == "A":
            self._write("[")
            self._list(lambda: self._constant(True))
            self._write("]")
        elif tag == "T":
            self._write("(")
            self._write(",)" if self._list(lambda: self._constant(True)) == 1 else ")")
        elif tag == "V":
            self.path(True)
            kind = self._next()
            if kind == "T":
                self._write("(")
                self._list(lambda: self._constant(True))
                self._write(")")
            elif kind == "S":
                self._write(" { ")
                self._list(self._field)
                self._write(" }")
            elif kind != "U":
                raise _BadNameError
        else:
            raise _BadNameError

    def _field(self) -> None:
        self._optional_62("s")
        self._write(f"{self._identifier()}: ")
        self._constant(True)

    def _string(self) -> str:
        return bytes.fromhex(self._hex()).decode("utf-8")


_ESCAPES = {"\t": "\\t", "\r": "\\r", "\n": "\\n", "\\": "\\\\", "\0": "\\0"}


def _quoted(text: str, quote: str) -> str:
    """A literal, as Rust writes it."""
    written = []
    for c in text:
        if c == quote:
            written.append(f"\\{c}")
        elif c in _ESCAPES:
            written.append(_ESCAPES[c])
        else:
            written.append(c if c.isprintable() else f"\\u{{{ord(c):x}}}")
    return f"{quote}{''.join(written)}{quote}"


def demangle(name: str) -> str | None:
    """What a name that starts with ``_R`` stands for; None if it isn't a name of this kind, or too long a story."""
    try:
        reader = _Reader(name)
        if not name.isascii() or not reader.peek().isupper():
            return None
        reader.path(True)
        shown = reader.text()
        rest = name[reader.pos :]
        if rest[:1].isupper():  # the crate that this copy was made for
            reader.path(False)
            rest = name[reader.pos :]
    except (_BadNameError, ValueError, RecursionError, OverflowError):
        return None
    if rest and _SUFFIX.match(rest) is None:
        return None
    return shown + ("" if rest.startswith(".llvm.") else rest)
