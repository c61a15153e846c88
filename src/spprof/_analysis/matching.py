"""Which function of one profile is which of another: also when the source was edited or lies in another folder."""

from __future__ import annotations

import os

from .._walk import function_key, function_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .._model import Frame
    from .._tree import StackTree

#: What makes a function the same, the surest first. Each pairs only what is left and what it leaves no doubt about.
_STAGES: tuple[Callable[[Frame], tuple[object, ...]], ...] = (
    function_key,
    lambda f: (f.function_name, f.module if f.is_native else f.filename),
    lambda f: (f.function_name, _home(f), f.firstlineno),
    lambda f: (f.function_name, _home(f)),
)


def _home(frame: Frame) -> str:
    """The function's module, or the last part of its file where that says nothing."""
    if frame.module and frame.module != "__main__":
        return frame.module
    return os.path.basename(frame.filename)


def matched(
    first: StackTree, second: StackTree
) -> tuple[list[int], list[int], list[tuple[Frame | None, Frame | None]]]:
    """By frame of each tree the number of its function, equal ones of both equal; by number a frame of each that has it."""
    keys_1, of_1 = function_keys(first)
    keys_2, of_2 = function_keys(second)
    frames_1, frames_2 = [first.frames[i] for i in of_1], [second.frames[i] for i in of_2]
    partner = _pairs(frames_1, frames_2)
    functions: list[tuple[Frame | None, Frame | None]] = [
        (frame, frames_2[partner[number]] if number in partner else None) for number, frame in enumerate(frames_1)
    ]
    number_of = {two: one for one, two in partner.items()}
    for number, frame in enumerate(frames_2):
        if number not in number_of:
            number_of[number] = len(functions)
            functions.append((None, frame))
    return keys_1, [number_of[key] for key in keys_2], functions


def _pairs(first: list[Frame], second: list[Frame]) -> dict[int, int]:
    pairs: dict[int, int] = {}
    left_1, left_2 = list(range(len(first))), list(range(len(second)))
    for key_of in _STAGES:
        groups: dict[tuple[object, ...], tuple[list[int], list[int]]] = {}
        for side, (left, frames) in enumerate(((left_1, first), (left_2, second))):
            for number in left:
                groups.setdefault(key_of(frames[number]), ([], []))[side].append(number)
        pairs.update({one[0]: two[0] for one, two in groups.values() if len(one) == len(two) == 1})
        taken = set(pairs.values())
        left_1 = [number for number in left_1 if number not in pairs]
        left_2 = [number for number in left_2 if number not in taken]
    return pairs
