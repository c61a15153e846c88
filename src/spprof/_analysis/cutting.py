"""Stacks without what is around the code that is of interest."""

from __future__ import annotations

from array import array

from .._profile import Profile
from .._tree import StackTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType


def without_callers(profile: Profile, code: CodeType) -> Profile:
    """*profile* with stacks that begin below the function of *code*, as far as they go through it."""
    tree = profile._tree
    count = len(tree) - 2  # the last two stand for lost time, and are made anew by the new tree
    names = {code.co_name, getattr(code, "co_qualname", code.co_name)}
    is_edge = [f.function_name in names and f.filename == code.co_filename for f in tree.frames]
    parents = array("I", tree.parent_of[:count])
    for node in range(1, count):
        parent = tree.parent_of[node]
        if parent and is_edge[tree.frame_of[parent]]:
            parents[node] = 0
    return Profile(
        profile._facts, StackTree(tree.frames[:-2], parents, tree.frame_of[:count]), profile._rows, profile._code
    )
