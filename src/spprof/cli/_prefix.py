"""Takes out of a profile what `python` and spprof put around the program.

`spprof run` itself adds no frame to the program's stacks: their root is the program's `<module>`. What is left:

- `python -m` (and a directory or zip file) runs the program from two frames of `runpy`, which plain `python -m`
  has as well. They are cut off from the root.
- A sample may land while the profiler has been started and the start-up hook not yet returned, or while the exit
  callback is on its way to stopping it: such samples are shown as `[spprof]`, without the stack that led there.
"""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING

from spprof._model import Frame
from spprof._profile import Profile
from spprof._tree import StackTree

if TYPE_CHECKING:
    from collections.abc import Sequence

_OWN_FRAME = Frame("[spprof]", "", 0, True)
_COMMAND = os.path.dirname(os.path.abspath(__file__)) + os.sep
_RUNPY_FUNCTIONS = ("_run_module_as_main", "_run_code")

# What becomes of a node: it stays; it is cut from the root; it is spprof's own time, with all that is called from it.
_KEEP, _CUT, _OWN = range(3)


def without_start_up(profile: Profile) -> Profile:
    """*profile* with stacks that begin at the program; the same object if there is nothing to take out."""
    tree = profile._tree
    parent_of, frame_of = tree.parent_of, tree.frame_of
    count = len(tree) - 2  # the last two stand for lost time, and are made anew by the new tree
    fate = _fates(tree.frames, parent_of, frame_of, count)
    if not any(fate):
        return profile

    own_node = count
    target = array("I", range(count))  # by node: the node that stands for it
    parents = array("I", parent_of[:count])
    for node in range(1, count):
        if fate[node] == _OWN:
            target[node] = own_node
        # A sample whose leaf is in runpy itself keeps its whole stack: such nodes stay as they are.
        elif fate[parent_of[node]] == _CUT and fate[node] != _CUT:
            parents[node] = 0
    parents.append(0)
    frames = [*tree.frames[:-2], _OWN_FRAME]
    new_frame_of = array("I", frame_of[:count])
    new_frame_of.append(len(frames) - 1)

    moved = profile._rows.at(array("I", [target[node] for node in profile._rows.nodes]))
    return Profile(profile._facts, StackTree(frames, parents, new_frame_of), moved, profile._code)


def _fates(frames: Sequence[Frame], parent_of: Sequence[int], frame_of: Sequence[int], count: int) -> bytearray:
    by_frame = [_kind(frame) for frame in frames]
    fate = bytearray(count)
    for node in range(1, count):
        parent, kind = parent_of[node], by_frame[frame_of[node]]
        if fate[parent] == _OWN:
            fate[node] = _OWN  # nothing of the program's is called from there while the profiler runs
        elif kind != _CUT or parent == 0 or fate[parent] == _CUT:
            fate[node] = kind
    return fate


def _kind(frame: Frame) -> int:
    """What becomes of nodes with this frame; for a frame of runpy, if there is nothing else above it."""
    name = frame.filename
    if name.startswith(_COMMAND):
        return _OWN
    if frame.function_name in _RUNPY_FUNCTIONS and (name == "<frozen runpy>" or name.endswith(os.sep + "runpy.py")):
        return _CUT
    return _KEEP
