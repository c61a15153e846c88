"""The tree of a flame graph: threads, and below them functions, lines merged."""

from __future__ import annotations

from .._functions import function_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._base import BaseProfile
    from .._model import Frame


class Box:
    """A box: a function under one caller, a thread, a mark such as ``[dropped]``, or everything."""

    __slots__ = ("children", "kind", "name", "own", "package", "packages", "place", "samples", "weight")

    def __init__(self, name: str, place: str = "", package: str = "", kind: str = "function") -> None:
        self.name = name
        self.place = place  # file, line and module, for the reader
        self.package = package
        self.kind = kind  # "function", "thread" or "mark"
        self.weight = self.own = self.samples = 0
        self.children: dict[tuple[str, str, int], Box] = {}
        self.packages: dict[str, int] = {}  # own time by package; only of the box for everything

    def sorted_children(self) -> list[Box]:
        """Children in the order of their names, whichever was met first."""
        return [self.children[key] for key in sorted(self.children)]

    @classmethod
    def merged(cls, boxes: Iterable[Box]) -> Box:
        """One box in place of many."""
        boxes = list(boxes)
        result = cls(f"({len(boxes)} small)", kind="mark")
        result.weight = sum(box.weight for box in boxes)
        result.samples = sum(box.samples for box in boxes)
        return result


def flame_tree(profile: BaseProfile) -> Box:
    """The box for everything."""
    tree = profile._tree
    root = Box("all", kind="thread")
    labels = profile._thread_labels()
    boxes: dict[tuple[int, int], Box] = {}

    def box_of(thread: int, node: int) -> Box:
        """The box of a node of the stack tree; those above it are made on the way."""
        missing = []
        while (thread, node) not in boxes:
            if node == 0:
                boxes[thread, 0] = root.children[labels[thread], "", thread] = Box(labels[thread], kind="thread")
                break
            missing.append(node)
            node = tree.parent_of[node]
        box = boxes[thread, node]
        for node in reversed(missing):
            frame = tree.frames[tree.frame_of[node]]
            key = function_key(frame)
            child = box.children.get(key)
            if child is None:
                child = box.children[key] = _box(frame)
            boxes[thread, node] = box = child
        return box

    def add(thread: int, node: int, count: int, weight: int) -> None:
        box = box_of(thread, node)
        box.own += weight
        box.weight += weight
        box.samples += count
        root.packages[box.package] = root.packages.get(box.package, 0) + weight

    for (thread, node), (count, weight) in profile._totals().items():
        add(thread, node, count, weight)
    for thread in range(len(labels)):
        for node, weight in profile._losses_by_node(thread).items():
            add(thread, node, 0, weight)
    _sum_up(root)
    return root


def _box(frame: Frame) -> Box:
    if not frame.filename:
        return Box(frame.function_name, kind="mark")
    place = f"{frame.filename}:{frame.firstlineno or frame.lineno}"
    if frame.module:
        place += f" ({frame.module})"
    package = frame.module.partition(".")[0] or "(no module)"
    return Box(frame.function_name, place, package)


def _sum_up(root: Box) -> None:
    """Adds children to their parents, the deepest first."""
    order = [root]
    for box in order:
        order.extend(box.children.values())
    for box in reversed(order):
        for child in box.children.values():
            box.weight += child.weight
            box.samples += child.samples
