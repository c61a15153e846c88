"""The chunks that a `.spprof` file is made of (docs/formats.md, docs/adr/0019).

signature     8 bytes: 0x89 "SPP" CR LF 0x1a LF, as PNG has it, so that a transfer as text is noticed
chunk         4 bytes type, 8 bytes length of the data, the data, 4 bytes CRC-32 of type and data
...           integers little-endian; the last chunk is of type "END "
"""

from __future__ import annotations

import json
import struct
import zlib

from .._errors import ProfileFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SIGNATURE = b"\x89SPP\r\n\x1a\n"
END = b"END "
_HEAD = struct.Struct("<4sQ")
_CRC = struct.Struct("<I")
#: What is compressed as a whole is at most this long.
_MOST_UNPACKED = 1 << 30
#: A chunk of JSON is at most this long when it is inflated, and this many times as long as the file's part: real ones
#: are three to thirty times as long. A small file that is made to fill memory can't.
_MOST_JSON, _MOST_JSON_TIMES, _SOME_JSON = 1 << 30, 100, 1 << 20


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk."""
    return _HEAD.pack(kind, len(data)) + data + _CRC.pack(zlib.crc32(data, zlib.crc32(kind)))


def json_chunk(kind: bytes, value: object) -> bytes:
    """A chunk of JSON, deflated. Lone surrogates survive as escapes."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return chunk(kind, zlib.compress(text.encode("ascii"), 6))


def json_of(data: bytes) -> Any:
    """What such a chunk holds. Raises ValueError."""
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(data, min(_MOST_JSON, _SOME_JSON + _MOST_JSON_TIMES * len(data)))
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not inflate.eof:
        raise ValueError("it is cut off, or too large")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def opened(data: bytes) -> bytes:
    """The contents of a file that may have been compressed by gzip. Raises ProfileFileError.

    Of a `.spprof` file that was cut off, what there is: its chunks tell what they are worth.
    """
    if data[:2] != b"\x1f\x8b":
        return data
    inflate = zlib.decompressobj(31)
    try:
        contents = inflate.decompress(data, _MOST_UNPACKED)
    except zlib.error as error:
        raise ProfileFileError(f"it is compressed by gzip, and damaged ({error})") from None
    if inflate.unconsumed_tail:
        raise ProfileFileError(f"it is compressed by gzip, and longer than {_MOST_UNPACKED >> 20} MiB when it is not")
    if not inflate.eof and not contents.startswith(SIGNATURE):
        raise ProfileFileError("it is compressed by gzip, and cut off")
    return contents


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """The chunks of a whole file, in order: type and data, None for data that is damaged.

    Raises ProfileFileError if it does not begin as such a file does; (b"", None) is where it is cut off.
    """
    if data[: len(SIGNATURE)] != SIGNATURE:
        if not data:
            raise ProfileFileError("it is empty")
        if SIGNATURE.startswith(data):
            raise ProfileFileError("it is cut off at its very beginning")
        raise ProfileFileError("it is not a .spprof file (its first bytes are others)")
    at = len(SIGNATURE)
    while True:
        if len(data) - at < _HEAD.size:
            yield b"", None
            return
        kind, length = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        at = start + length + _CRC.size
        if at > len(data):
            yield b"", None
            return
        body = data[start : start + length]
        whole = _CRC.unpack_from(data, start + length)[0] == zlib.crc32(body, zlib.crc32(kind))
        yield kind, body if whole else None
        if kind == END and whole:
            return
