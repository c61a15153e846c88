"""What the commands know about terminals: width, colours, and how to make names fit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


class Style:
    """Puts colours around text, or leaves it alone."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colours else text

    def bold(self, text: str) -> str:
        """For headings and names."""
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        """For what is there for completeness."""
        return self._paint("2", text)

    def good(self, text: str) -> str:
        """For what works."""
        return self._paint("32", text)

    def bad(self, text: str) -> str:
        """For what does not work."""
        return self._paint("1;31", text)

    def heat(self, share: float, text: str) -> str:
        """By how much of the whole this is (0.0 to 1.0)."""
        return self._paint("1;31", text) if share >= 0.2 else self._paint("33", text) if share >= 0.05 else text


def manner_of(stream: TextIO) -> tuple[Style, int]:
    """How to write to *stream*: `style_for` and `width_of`."""
    return style_for(stream), width_of(stream)


def style_for(stream: TextIO) -> Style:
    """Colours only on terminals that have them, and not if NO_COLOR asks for none."""
    try:
        terminal = stream.isatty()
    except ValueError:  # closed
        terminal = False
    return Style(terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb")


def width_of(stream: TextIO) -> int:
    """Columns to use on *stream*: those of the terminal, 60 to 120; 80 if it is none."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return min(max(columns, 60), 120) if columns else 80


def printable(text: str) -> str:
    """*text* without what would move the cursor or switch the terminal's state."""
    return "".join(char if char.isprintable() else "?" for char in text)


def cut_left(text: str, width: int) -> str:
    """*text* in at most *width* columns; of a name, the end says more than the beginning."""
    return text if len(text) <= width else ".." + text[max(len(text) - width + 2, 0) :]


def short_path(path: str) -> str:
    """*path* from the working directory if it is below it, from ~ if it is in the home directory."""
    try:
        here = os.getcwd()
    except OSError:  # removed meanwhile
        here = ""
    for base, prefix in ((here, ""), (os.path.expanduser("~"), "~" + os.sep)):
        if base not in ("", os.sep) and path.startswith(base + os.sep):
            return prefix + path[len(base) + 1 :]
    return path


def short_location(filename: str, line: int, width: int) -> str:
    """`file:line` in *width* columns, with as many of the last parts of the path as there is room for; of a file's own
    name nothing is cut unless *width* is more than 0 and too little."""
    if not filename:
        return ""
    suffix = f":{line}" if line else ""
    whole = short_path(filename)
    room = width - len(suffix)
    if len(whole) > room:
        parts = whole.split(os.sep)
        whole = parts.pop()
        if whole in ("__init__.py", "__main__.py") and parts:  # names nothing by itself
            whole = parts.pop() + os.sep + whole
        while parts and len(parts[-1]) + 1 + len(whole) <= room:
            whole = parts.pop() + os.sep + whole
    whole = printable(whole)
    return (cut_left(whole, room) if width else whole) + suffix
