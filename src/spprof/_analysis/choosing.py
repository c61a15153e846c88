"""What people name when they choose a part of a profile: threads, modules, functions, files; one or several, with wildcards."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Union

    from .._tree import StackTree

    Names = Union[str, Iterable[str]]
    Threads = Union[str, int, Iterable[Union[str, int]]]


def matcher(what: str, wanted: Names, *, parts: str = "") -> Callable[[str], bool]:
    """A function that tells whether a name is wanted. ``*`` and ``?`` stand for any characters, and one.

    parts: what separates parts of a name; then a name fits also if it begins with a wanted one and that.

    Raises TypeError if *wanted* is neither a string nor several, ValueError if there is none.
    """
    names = [wanted] if isinstance(wanted, str) else _listed(what, wanted)
    if not names:
        raise ValueError(f"{what}: no name is given")
    tail = f"(?:{re.escape(parts)}.*)?" if parts else ""
    patterns = [re.escape(name).replace(r"\*", ".*").replace(r"\?", ".") + tail for name in names]
    fits = re.compile("|".join(patterns), re.DOTALL).fullmatch
    return lambda name: fits(name) is not None


def _listed(what: str, wanted: Iterable[str]) -> list[str]:
    try:
        names = list(wanted)
    except TypeError:
        names = [wanted]  # type: ignore[list-item]
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{what} must be a string or several, not {type(name).__name__}")
    return names


def file_matcher(wanted: Names) -> Callable[[str], bool]:
    """The same for files: a wanted name is a whole path, or its last parts."""
    names = [wanted] if isinstance(wanted, str) else _listed("filename", wanted)
    return matcher("filename", [*names, *["*/" + name.lstrip("/") for name in names if not name.startswith("/")]])


def one_file(tree: StackTree, wanted: str) -> str:
    """The one file of the profile that *wanted* names: its whole path, or the last parts of it.

    Raises ValueError, naming candidates, if there is none or more than one.
    """
    import os

    wanted = os.fspath(wanted)
    if not isinstance(wanted, str):
        raise TypeError(f"filename must be a string, not {type(wanted).__name__}")
    files = sorted({frame.filename for frame in tree.frames if frame.filename})
    if wanted in files:
        return wanted
    absolute = os.path.abspath(wanted) if wanted else ""
    if absolute in files:
        return absolute
    tail = os.path.normpath(wanted).replace("\\", "/") if wanted else ""
    fitting = [file for file in files if tail and file.replace("\\", "/").endswith("/" + tail)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"{wanted!r} is more than one file of this profile: {_some(fitting)}; name more of its path")
    base = os.path.basename(tail)
    similar = [file for file in files if os.path.basename(file) == base] or files
    raise ValueError(
        f"no file {wanted!r} in this profile" + (f"; it has {_some(similar)}" if similar else ": it has no files")
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def printable(text: str) -> str:
    """*text* without what would move a terminal's cursor or switch its state: a profile may come from elsewhere."""
    return "".join([char if char.isprintable() else "?" for char in text])
