"""The tree of calls: threads, and below them functions, lines merged. Flame graphs, summaries and `Profile.tree` show it."""

from __future__ import annotations

from .._walk import function_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .._base import BaseProfile
    from .._model import Frame


class Box:
    """A box: a function under one caller, a thread, a mark such as ``[dropped]``, or everything."""

    __slots__ = (
        "children",
        "frame",
        "kind",
        "name",
        "own",
        "own_samples",
        "package",
        "packages",
        "place",
        "samples",
        "weight",
    )

    def __init__(
        self, name: str, place: str = "", package: str = "", kind: str = "function", frame: Frame | None = None
    ) -> None:
        self.name = name
        self.place = place  # file, line and module, for the reader
        self.package = package
        self.kind = kind  # "all", "function", "thread" or "mark"
        self.frame = frame  # of a function, as it was met first
        self.weight = self.own = self.samples = self.own_samples = 0
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


def flame_tree(profile: BaseProfile, threads: bool = True) -> Box:
    """The box for everything. threads: whether there is a box for each thread, or all stacks begin at the root."""
    tree = profile._tree
    root = Box("all", kind="all")
    labels = profile._thread_labels()
    boxes: dict[tuple[int, int], Box] = {}

    def box_of(thread: int, node: int) -> Box:
        """The box of a node of the stack tree; those above it are made on the way."""
        missing = []
        while (thread, node) not in boxes:
            if node == 0:
                boxes[thread, 0] = root
                if threads:
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
        box = box_of(thread if threads else 0, node)
        box.own += weight
        box.own_samples += count
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
        return Box(frame.function_name, kind="mark", frame=frame)
    place = f"{frame.filename}:{frame.firstlineno or frame.lineno}"
    if frame.module:
        place += f" ({frame.module})"
    package = frame.module.partition(".")[0] or "(no module)"
    return Box(frame.function_name, place, package, frame=frame)


def _sum_up(root: Box) -> None:
    """Adds children to their parents, the deepest first."""
    order = [root]
    for box in order:
        order.extend(box.children.values())
    for box in reversed(order):
        box.weight += box.own
        box.samples += box.own_samples
        for child in box.children.values():
            box.weight += child.weight
            box.samples += child.samples


class CallNode:
    """A function under one caller, with its own and its total time; `Profile.tree` gives the root.

    Times are nanoseconds of what `Profile.mode` says. For every node ``total_ns`` is ``self_ns`` and the ``total_ns`` of its
    children; that of the root is the time of all threads of the profile, losses included.
    """

    __slots__ = ("_box", "_children")

    def __init__(self, box: Box) -> None:
        self._box = box
        self._children: tuple[CallNode, ...] | None = None

    @property
    def name(self) -> str:
        """Qualified name of the function, name of the thread, a mark such as ``[unsampled]``, or "all" at the root."""
        return self._box.name

    @property
    def kind(self) -> str:
        """What it is: "all", "thread", "function" or "mark"."""
        # Native functions without source are drawn like marks, but are none.
        is_mark = self._box.kind == "mark" and self._box.name.startswith("[")
        return "function" if self._box.kind == "mark" and not is_mark else self._box.kind

    @property
    def filename(self) -> str:
        """The function's file, as in `Frame`; "" for what is none."""
        return self._box.frame.filename if self._box.frame else ""

    @property
    def firstlineno(self) -> int:
        """The line on which the function begins; 0 if there is none or it is not known."""
        return self._box.frame.firstlineno if self._box.frame else 0

    @property
    def module(self) -> str:
        """The function's module, as in `Frame`."""
        return self._box.frame.module if self._box.frame else ""

    @property
    def self_ns(self) -> int:
        """Nanoseconds in this function itself, called this way."""
        return self._box.own

    @property
    def total_ns(self) -> int:
        """Nanoseconds in it and in what it called."""
        return self._box.weight

    @property
    def self_samples(self) -> int:
        """Number of samples in which it was the leaf; 0 for losses."""
        return self._box.own_samples

    @property
    def total_samples(self) -> int:
        """Number of samples in which it was on the stack, called this way."""
        return self._box.samples

    @property
    def children(self) -> tuple[CallNode, ...]:
        """What was called from here, the heaviest first."""
        if self._children is None:
            boxes = sorted(self._box.sorted_children(), key=lambda box: -box.weight)
            self._children = tuple([CallNode(box) for box in boxes])
        return self._children

    def hot_path(self) -> list[CallNode]:
        """From this node on always the heaviest child.

        It ends where a function spends at least as much time itself as in any one function that it calls. Losses are no path.
        """
        path = [self]
        while True:
            calls = [child for child in path[-1].children if child.name not in ("[dropped]", "[unsampled]")]
            if not calls or calls[0].total_ns <= (path[-1].self_ns if path[-1].kind == "function" else 0):
                return path
            path.append(calls[0])

    def walk(self) -> Iterator[tuple[int, CallNode]]:
        """The node and all below it, callers before what they call, heaviest first: depth (from 0) and node."""
        waiting = [(0, self)]
        while waiting:
            depth, node = waiting.pop()
            yield depth, node
            waiting.extend([(depth + 1, child) for child in reversed(node.children)])

    def to_dict(self) -> dict[str, object]:
        """All of it, nested, ready for JSON."""
        result: dict[str, object] = {}
        waiting = [(self, result)]
        while waiting:
            node, entry = waiting.pop()
            entry.update(
                name=node.name, kind=node.kind, filename=node.filename, firstlineno=node.firstlineno, module=node.module,
                self_ns=node.self_ns, total_ns=node.total_ns, self_samples=node.self_samples, total_samples=node.total_samples,
            )  # fmt: skip
            below: list[dict[str, object]] = [{} for _ in node.children]
            entry["children"] = below
            waiting.extend(zip(node.children, below))
        return result

    def __repr__(self) -> str:
        return f"<CallNode {self.name!r}: {self.total_ns / 1e9:.3f} s, {self.self_ns / 1e9:.3f} s of it itself>"
