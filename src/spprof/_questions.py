"""What can be asked of any profile: its hottest functions, lines, calls and callers.

Times are nanoseconds of what `BaseProfile.mode` says. Every answer adds up to the time of all threads, losses included.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._analysis.calltree import CallNode
    from ._analysis.tables import Calls, FileLines, TopFunctions
    from ._base import BaseProfile


class Questions:
    """The methods; `BaseProfile` has them."""

    __slots__ = ()

    def top(self: BaseProfile, n: int = 10, by: str = "self") -> TopFunctions:  # type: ignore[misc]
        """The *n* hottest functions, and what the others come to. ``print(profile.top())`` shows a table.

        by: "self" (time in the function itself) or "total" (with what it called).

        Raises ValueError for a negative *n* or another *by*, TypeError if *n* is not an integer.
        """
        from ._analysis.tables import top

        return top(self, n, by)

    def lines(self: BaseProfile, filename: str | None = None) -> FileLines:  # type: ignore[misc]
        """The lines of a file that have samples, in their order; without a name those of all files, the hottest first.

        filename: the whole path, or as many of its last parts as leave no doubt ("app.py", "package/module.py").

        Raises ValueError, naming candidates, if no file or more than one is meant.
        """
        from ._analysis.tables import lines

        return lines(self, filename)

    def tree(self: BaseProfile, *, threads: bool = True) -> CallNode:  # type: ignore[misc]
        """The tree of calls: the node for everything, below it threads, below them functions, lines merged.

        threads: False merges the threads.
        """
        from ._analysis.calltree import CallNode, flame_tree

        return CallNode(flame_tree(self, threads))

    def callers(self: BaseProfile, function: str) -> Calls:  # type: ignore[misc]
        """Who called a function (for recursion: its outermost call), with the time spent that way.

        function: qualified name, or its last part; of several that fit, the one with the most total time is meant.

        Raises ValueError if there is none.
        """
        from ._analysis.tables import calls

        return calls(self, function, "callers")

    def callees(self: BaseProfile, function: str) -> Calls:  # type: ignore[misc]
        """What a function (for recursion: its innermost call) called, with the time spent there, and its own time.

        function: as in `callers`. Raises ValueError if there is none.
        """
        from ._analysis.tables import calls

        return calls(self, function, "callees")

    def _repr_html_(self: BaseProfile) -> str:  # type: ignore[misc]
        """The flame graph, for Jupyter."""
        from .export.notebook import flame_graph

        return flame_graph(self)
