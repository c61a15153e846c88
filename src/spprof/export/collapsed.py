r"""Collapsed stacks: a line per thread and distinct stack, sorted.

    thread;root (file:line);...;leaf (file:line) weight

The weight is in nanoseconds, so that no rounding is needed and all lines together are exactly the time of all threads.
A stack's frames are told apart by line. ``;`` and control characters in names become ``\x3b`` and the like: a line
always is one stack, its last word the weight.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._base import BaseProfile
    from .._model import Frame

# What would end a name, a stack or a line (U+2028 and its like count as line ends for str.splitlines).
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), 0x3B, 0x7F, *range(0x80, 0xA0))}
_ESCAPES.update({0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"})


def render(profile: BaseProfile) -> Iterator[str]:
    """The lines, each with its line end."""
    tree = profile._tree
    labels = [_label(frame) for frame in tree.frames]
    threads = [escape(label) for label in profile._thread_labels()]
    weights: dict[str, int] = {}

    def add(thread: int, node: int, weight: int) -> None:
        stack = ";".join([threads[thread], *[labels[frame] for frame in tree.path(node)]])
        weights[stack] = weights.get(stack, 0) + weight

    for (thread, node), (_, weight) in profile._totals().items():
        add(thread, node, weight)
    for thread in range(len(threads)):
        for node, weight in profile._losses_by_node(thread).items():
            add(thread, node, weight)
    for stack in sorted(weights):
        if weights[stack]:
            yield f"{stack} {weights[stack]}\n"


def escape(text: str) -> str:
    """*text* without anything that separates names, stacks or lines."""
    return text.translate(_ESCAPES)


def _label(frame: Frame) -> str:
    return escape(str(frame))
