"""The options that the running interpreter was started with, so that it can be started again."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def options() -> list[str]:
    """The interpreter's own options (`-X dev`, `-O`, `-Wdefault`, `-u`, ...), as they were given."""
    return leading_options(original_arguments())


def leading_options(arguments: Sequence[str]) -> list[str]:
    """The options of `python` in `arguments` (without the executable), up to what it is to run."""
    return divide(arguments)[0]


def divide(arguments: Sequence[str]) -> tuple[list[str], str, str]:
    """The options of `python` in `arguments`, and what it is to run.

    That is a letter ("m", "c", "s" for a script, "" for standard input) and the module, code or script.
    """
    found: list[str] = []
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        if argument == "--check-hash-based-pycs":
            found += [argument, *arguments[position : position + 1]]
            position += 1
            continue
        if argument == "--":
            break
        if not argument.startswith("-") or argument == "-":
            return found, "" if argument == "-" else "s", argument
        if argument.startswith("--"):
            found.append(argument)
            continue
        for index in range(1, len(argument)):
            letter, rest = argument[index], argument[index + 1 :]
            if letter in "mc":  # the program starts here, perhaps after letters: -Bm x
                found += [argument[:index]] if index > 1 else []
                return found, letter, rest or "".join(arguments[position : position + 1])
            if letter in "XW":  # takes a value: the rest, or the next argument
                found.append(argument)
                if not rest:
                    found += arguments[position : position + 1]
                    position += 1
                break
        else:
            found.append(argument)
    word = "".join(arguments[position : position + 1])
    return found, "s" if word else "", word


def original_arguments() -> list[str]:
    """What this interpreter was started with, without its own name."""
    known: list[str] | None = getattr(sys, "orig_argv", None)  # 3.10
    if known is not None:
        return known[1:]
    try:
        with open("/proc/self/cmdline", "rb") as file:
            return [os.fsdecode(part) for part in file.read().split(b"\0")[1:-1]]
    except OSError:
        import subprocess

        # Private, but what multiprocessing itself uses; nothing public tells on 3.9.
        return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined,no-any-return]
