"""Adding up along the tree of stacks, each function, line or file once for each sample that it is in."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._base import Totals
    from ._functions import FunctionSummary
    from ._model import Frame
    from ._tree import StackTree


def own_sums(tree: StackTree, totals: Totals) -> tuple[list[int], list[int]]:
    """By node: number and weight of the samples that end there, all threads together."""
    counts, weights = [0] * len(tree), [0] * len(tree)
    for (_, node), (count, weight) in totals.items():
        counts[node] += count
        weights[node] += weight
    return counts, weights


def summed_up(tree: StackTree, own: Sequence[int]) -> list[int]:
    """By node: *own* of it and of everything below it. Only nodes that are `StackTree.canonical` have anything."""
    sums = list(own)
    parent_of, canonical = tree.parent_of, tree.canonical()
    for node in range(len(tree) - 1, 0, -1):  # children before their parents
        sums[canonical[parent_of[node]]] += sums[node]
    return sums


def sums_of(tree: StackTree, totals: Totals) -> tuple[list[int], list[int], list[int], list[int]]:
    """By node: number and weight of the samples that end there, and of those that go through it."""
    own_count, own_ns = own_sums(tree, totals)
    return own_count, own_ns, summed_up(tree, own_count), summed_up(tree, own_ns)


def walk(tree: StackTree, counts: Sequence[int], key_of: Sequence[int], keys: int) -> Iterator[tuple[int, int, bool]]:
    """The nodes of the tree with samples, depth first: node, its key, and whether no node above it has the same key.

    counts: by node what `summed_up` says of numbers of samples. key_of: by frame a number below *keys*.
    What is added up over the outermost nodes of a key counts each sample once, whatever the recursion.
    """
    # The number of nodes of each key on the way from the root. ~node in the work list means "leave node".
    open_count = [0] * keys
    children, frame_of = tree.children(), tree.frame_of
    waiting = list(children.get(0, ()))
    while waiting:
        node = waiting.pop()
        if node < 0:
            open_count[key_of[frame_of[~node]]] -= 1
            continue
        if not counts[node]:
            continue
        key = key_of[frame_of[node]]
        yield node, key, not open_count[key]
        open_count[key] += 1
        waiting.append(~node)
        waiting.extend(children.get(node, ()))


def function_key(frame: Frame | FunctionSummary) -> tuple[str, str, int]:
    """Equal for frames of one function.

    Of a native function the file is that of the source at each place, which may be another one's that was inlined: it is
    told by its module.
    """
    return frame.function_name, frame.module if frame.is_native else frame.filename, frame.firstlineno


def function_keys(tree: StackTree) -> tuple[list[int], list[int]]:
    """By frame the number of its function, and by function the first of its frames."""
    return numbered([function_key(frame) for frame in tree.frames])


def line_keys(tree: StackTree) -> tuple[list[int], list[int]]:
    """By frame the number of its line of source, and by line the first of its frames. What has no file is its function's."""
    return numbered([(f.filename, f.lineno) if f.filename else (f.function_name, f.module) for f in tree.frames])


def numbered(keys: Sequence[object]) -> tuple[list[int], list[int]]:
    """*keys* as numbers from 0 on, in the order in which they are met, and by number where it was met first."""
    numbers: dict[object, int] = {}
    first: list[int] = []
    result = []
    for place, key in enumerate(keys):
        number = numbers.setdefault(key, len(first))
        if number == len(first):
            first.append(place)
        result.append(number)
    return result, first
