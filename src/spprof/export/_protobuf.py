"""Writing (and reading) protocol buffers, as far as profiles need them.

The wire format: https://protobuf.dev/programming-guides/encoding. A library would be a dependency of everybody who wants
one file, and versions of it are at war with those of other packages (docs/adr/0020).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SMALL = [bytes([n]) for n in range(128)]


def varint(value: int) -> bytes:
    """A number from -2**63 to 2**64 - 1."""
    if 0 <= value < 128:
        return _SMALL[value]
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A field of an integer type; nothing for 0, which is the default."""
    return varint(field << 3) + varint(value) if value else b""


def data(field: int, value: bytes) -> bytes:
    """A field of bytes, or of a message that is encoded already. Written also if it is empty."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """A field of type string. What UTF-8 can't hold is escaped."""
    return data(field, value.encode("utf-8", "backslashreplace"))


def packed(field: int, values: Iterable[int]) -> bytes:
    """A repeated field of an integer type; nothing if there are none."""
    body = b"".join([varint(value) for value in values])
    return data(field, body) if body else b""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message: an unsigned integer, or bytes. Raises ValueError if it is none."""
    at, end = 0, len(message)
    while at < end:
        key, at = _read_varint(message, at)
        field, wire = key >> 3, key & 7
        value: int | bytes
        if wire == 0:
            value, at = _read_varint(message, at)
        elif wire == 2:
            size, at = _read_varint(message, at)
            value, at = message[at : at + size], at + size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = int.from_bytes(message[at : at + size], "little"), at + size
        else:
            raise ValueError("not a protocol buffer")
        if at > end or field == 0:
            raise ValueError("a protocol buffer that is cut off")
        yield field, value


def numbers(value: int | bytes) -> list[int]:
    """The values of one occurrence of a repeated integer field: packed, or a single one."""
    if isinstance(value, int):
        return [value]
    result, at = [], 0
    while at < len(value):
        each, at = _read_varint(value, at)
        result.append(each)
    return result


def signed(value: int) -> int:
    """An int64 as it is, from its unsigned form on the wire."""
    return value - 2**64 if value >= 2**63 else value


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("a protocol buffer that is cut off")
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
