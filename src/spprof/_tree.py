"""`StackTree`: every stack of a profile, stored once.

A node is (parent, frame); a stack is the way from the root, node 0, to a node. A parent has a smaller index than its
children, so one pass forward or backward replaces recursion. Two nodes are added to what the sampler delivers, children
of the root that stand for lost time: everything that reads a tree then shows losses without knowing about them.

Different nodes may look the same (two code objects of one function; two instructions of one line where the interpreter
has no columns): `canonical` names one node for all of them, and counting is done on those.
"""

from __future__ import annotations

from array import array

from ._model import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DROPPED_FRAME = Frame("[dropped]", "", 0, True)
UNSAMPLED_FRAME = Frame("[unsampled]", "", 0, True)

_NO_FRAME = 0xFFFFFFFF
# Stacks handed out are kept for the next sample that has them, up to this many frames in all (8 bytes each).
_CACHED_FRAMES = 2_000_000


class StackTree:
    """Frames, and the nodes that make stacks of them. Not changed once made."""

    __slots__ = (
        "_cached",
        "_canonical",
        "_stacks",
        "dropped_node",
        "frame_of",
        "frames",
        "parent_of",
        "unsampled_node",
    )

    def __init__(self, frames: Iterable[Frame], parent_of: Iterable[int], frame_of: Iterable[int]) -> None:
        """*parent_of*, *frame_of*: by node, node 0 being the root. Both are copied."""
        self.frames: tuple[Frame, ...] = (*frames, DROPPED_FRAME, UNSAMPLED_FRAME)
        self.parent_of = array("I", parent_of)
        self.frame_of = array("I", frame_of)
        if not self.parent_of:
            self.parent_of.append(0)
            self.frame_of.append(_NO_FRAME)
        self.dropped_node = len(self.parent_of)
        self.unsampled_node = self.dropped_node + 1
        self.parent_of.extend((0, 0))
        self.frame_of.extend((len(self.frames) - 2, len(self.frames) - 1))
        self._canonical: array[int] | None = None
        self._stacks: dict[int, tuple[Frame, ...]] = {}
        self._cached = 0

    def __len__(self) -> int:
        return len(self.parent_of)

    def canonical(self) -> Sequence[int]:
        """By node: the first node whose stack looks the same."""
        if self._canonical is None:
            first: dict[Frame, int] = {}
            frame_ids = [first.setdefault(frame, index) for index, frame in enumerate(self.frames)]
            count = len(self.frames)
            seen: dict[int, int] = {}
            result = array("I", bytes(4 * len(self.parent_of)))
            nodes = zip(self.parent_of, self.frame_of)
            next(nodes)
            for node, (parent, frame) in enumerate(nodes, 1):
                result[node] = seen.setdefault(result[parent] * count + frame_ids[frame], node)
            self._canonical = result
        return self._canonical

    def path(self, node: int) -> list[int]:
        """Indices of the frames from the root to *node*."""
        parent_of, frame_of = self.parent_of, self.frame_of
        frames = []
        while node:
            frames.append(frame_of[node])
            node = parent_of[node]
        frames.reverse()
        return frames

    def stack(self, node: int) -> tuple[Frame, ...]:
        """Frames from the root to *node*. Nodes that look the same give the same tuple, as long as it is cached."""
        node = self.canonical()[node]
        stack = self._stacks.get(node)
        if stack is None:
            frames = self.frames
            stack = tuple([frames[index] for index in self.path(node)])
            if self._cached + len(stack) > _CACHED_FRAMES:
                self._stacks.clear()
                self._cached = 0
            self._stacks[node] = stack
            self._cached += len(stack)
        return stack

    def frames_in(self, nodes: Iterable[int]) -> set[int]:
        """Indices of all frames of these nodes' stacks."""
        parent_of, frame_of = self.parent_of, self.frame_of
        seen = bytearray(len(parent_of))
        seen[0] = 1
        frames = set()
        for leaf in nodes:
            node = leaf
            while not seen[node]:
                seen[node] = 1
                frames.add(frame_of[node])
                node = parent_of[node]
        return frames

    def children(self) -> dict[int, list[int]]:
        """Child nodes by node, nodes that look the same merged, in the order of their indices."""
        canonical = self.canonical()
        result: dict[int, list[int]] = {}
        for node in range(1, len(canonical)):
            if canonical[node] == node:
                result.setdefault(canonical[self.parent_of[node]], []).append(node)
        return result

    def __getstate__(self) -> tuple[tuple[Frame, ...], bytes, bytes]:
        return self.frames[:-2], self.parent_of[:-2].tobytes(), self.frame_of[:-2].tobytes()

    def __setstate__(self, state: tuple[tuple[Frame, ...], bytes, bytes]) -> None:
        frames, parents, frame_of = state
        StackTree.__init__(self, frames, array_of("I", parents), array_of("I", frame_of))


def array_of(typecode: str, data: bytes) -> array[int]:
    """An array from its bytes."""
    result: array[int] = array(typecode)
    result.frombytes(data)
    return result
