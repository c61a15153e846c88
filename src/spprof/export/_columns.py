"""Columns of integers as few bytes: what the `.spprof` file stores its rows and its tree in.

A column is stored as it is or as differences from row to row, in the narrowest integers that hold it, with the bytes of equal
significance together, deflated. Rows of a profile repeat themselves, and their times differ in the low bytes only, so this
comes to a few bytes a sample.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from operator import le

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD = struct.Struct("<BBQI")  # encoding, bytes of an integer, the first value, bytes of the deflated rest
_WIDTHS = (("B", 1), ("H", 2), ("I", 4), ("Q", 8))
_PLAIN, _DIFFERENCES, _ZIGZAG = 0, 1, 2


def packed(values: Sequence[int]) -> bytes:
    """*values*, integers from 0 to 2**63 - 1, as bytes. `unpacked` needs to know how many there are."""
    numbers = list(values)
    encoding = _best_encoding(numbers)
    first, stored = _encoded(encoding, numbers)
    body = _deflated(stored)
    return _HEAD.pack(encoding, _width(stored), first, len(body)) + body


def unpacked(data: bytes, at: int, count: int, typecode: str) -> tuple[array[int], int]:
    """The column of *count* values that begins at *at*, and where the next one does. ValueError if there is none."""
    if len(data) - at < _HEAD.size:
        raise ValueError("a column is missing")
    encoding, width, first, size = _HEAD.unpack_from(data, at)
    at += _HEAD.size
    code = {bytes_: code for code, bytes_ in _WIDTHS}.get(width)
    if encoding > _ZIGZAG or code is None or size > len(data) - at:
        raise ValueError("a column is damaged")
    inflate = zlib.decompressobj()
    try:
        # Not a byte more than there should be, whatever the data claims.
        raw = inflate.decompress(data[at : at + size], count * width + 1)
    except zlib.error as error:
        raise ValueError(f"a column is damaged: {error}") from None
    if len(raw) != count * width:
        raise ValueError("a column has another length than it should")
    together = bytearray(len(raw))
    for k in range(width):
        together[k::width] = raw[k * count : (k + 1) * count]
    numbers = array(code)
    numbers.frombytes(bytes(together))
    if sys.byteorder == "big":
        numbers.byteswap()
    try:
        return array(typecode, _restored(encoding, first, numbers)), at + size
    except OverflowError:
        raise ValueError("a column has a number that is too large") from None


def _encoded(encoding: int, numbers: list[int]) -> tuple[int, list[int]]:
    """The first value, and what is to be stored, none of it negative."""
    if encoding == _PLAIN:
        return 0, numbers
    differences = [b - a for a, b in zip(numbers, numbers[1:])]
    if encoding == _ZIGZAG:
        # Signs in the lowest bit, as protobuf does: 0, -1, 1, -2 are 0, 1, 2, 3.
        differences = [d * 2 if d >= 0 else -d * 2 - 1 for d in differences]
    return numbers[0], [0, *differences]


def _best_encoding(numbers: list[int]) -> int:
    """The one that makes least of the first few thousand numbers."""
    if not numbers:
        return _PLAIN
    if all(map(le, numbers, numbers[1:])):
        return _DIFFERENCES
    sample = numbers[:4096]
    sizes = {encoding: len(_deflated(_encoded(encoding, sample)[1])) for encoding in (_PLAIN, _ZIGZAG)}
    return _PLAIN if sizes[_PLAIN] <= sizes[_ZIGZAG] else _ZIGZAG


def _restored(encoding: int, first: int, numbers: array[int]) -> list[int]:
    if encoding == _PLAIN:
        return numbers.tolist()
    value = first
    if encoding == _ZIGZAG:
        steps = [n >> 1 if not n & 1 else -((n + 1) >> 1) for n in numbers]
    else:
        steps = numbers.tolist()
    result = []
    for step in steps:
        value += step
        result.append(value)
    return result


def _width(numbers: list[int]) -> int:
    top = max(numbers, default=0)
    return next(width for _, width in _WIDTHS if top < 256**width)


def _deflated(numbers: list[int]) -> bytes:
    width = _width(numbers)
    column = array({bytes_: code for code, bytes_ in _WIDTHS}[width], numbers)
    if sys.byteorder == "big":
        column.byteswap()
    raw = column.tobytes()
    return zlib.compress(b"".join([raw[k::width] for k in range(width)]), 6)
