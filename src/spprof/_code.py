"""What a profile knows of machine code: the objects that were in memory, and where in them its native frames are.

It stays in the profile, also when the frames have names: with the objects' build ids it is all that is needed to name what
could not be named where the program ran, on a machine that has the files or their debug files.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple, Optional

    from ._rows import Rows
    from ._tree import StackTree

    # What is replaced as a whole when frames get their names.
    Parts = tuple[StackTree, Optional[Rows], Optional["MachineCode"]]

    class _CodeObjectFields(NamedTuple):
        path: str
        build_id: bytes
        bias: int | None
        role: int
        segments: tuple[tuple[int, int, int], ...]

    class _PlaceFields(NamedTuple):
        object: int
        address: int
        function: int | None

else:
    _CodeObjectFields = namedtuple("_CodeObjectFields", "path build_id bias role segments")
    _PlaceFields = namedtuple("_PlaceFields", "object address function")

#: Roles of objects (enum sp_object_role in csrc/codemap.h).
OTHER, INTERPRETER, RUNTIME = range(3)
#: Of a place whose object nobody knows.
NO_OBJECT = -1
MOST = 1 << 64


class CodeObject(_CodeObjectFields):
    """A program or library that was in memory.

    path: as the table of mappings had it, so perhaps ``[vdso]`` or with `` (deleted)`` at its end.
    build_id: b"" if it has none.
    bias: by how much addresses in memory exceed those in the file; None if it was read from a file that does not say so:
        addresses are those in memory then.
    role: what it is to the interpreter.
    segments: its code, as (start, end, offset in the file), addresses in memory.
    """

    __slots__ = ()


class Place(_PlaceFields):
    """Where a native frame is: number of the object (or `NO_OBJECT`), address as its file counts, where its function begins.

    The last one is None if the unwind tables do not know it.
    """

    __slots__ = ()


class MachineCode:
    """Objects, places of frames, and which of these have no name yet. Not changed once made.

    places: by index of the frame in the profile's tree.
    unnamed: indices of frames for which no name was found so far.
    fold: whether the interpreter's ways of calling are to be left out.
    is_here: whether the objects are those of this process, whose files are believed without a build id if they have none.
    pending: whether names are still to be looked up.
    """

    __slots__ = ("fold", "is_here", "objects", "pending", "places", "unnamed")

    def __init__(
        self,
        objects: tuple[CodeObject, ...],
        places: dict[int, Place],
        unnamed: frozenset[int],
        *,
        fold: bool,
        is_here: bool = False,
        pending: bool = False,
    ) -> None:
        self.objects = objects
        self.places = places
        self.unnamed = unnamed
        self.fold = fold
        self.is_here = is_here
        self.pending = pending

    def is_known(self, number: int) -> bool:
        """Whether files can be told to be this object."""
        return 0 <= number < len(self.objects) and (self.is_here or bool(self.objects[number].build_id))

    def address_in_memory(self, place: Place) -> int:
        """Where it was."""
        return (place.address + (self.objects[place.object].bias or 0)) % MOST

    def __getstate__(self) -> dict[str, Any]:
        return {
            "objects": [tuple(each) for each in self.objects],
            "places": {index: tuple(place) for index, place in self.places.items()},
            "unnamed": sorted(self.unnamed),
            "fold": self.fold,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickled profiles may have come from another machine: files are believed by their build id only.
        MachineCode.__init__(
            self,
            tuple([CodeObject(*each) for each in state["objects"]]),
            {index: Place(*place) for index, place in state["places"].items()},
            frozenset(state["unnamed"]),
            fold=state["fold"],
            pending=bool(state["unnamed"]),
        )


def code_of(raw: dict[str, Any]) -> MachineCode:
    """Of what the sampler hands over; its frames are named when someone looks at them."""
    objects = tuple([CodeObject(*each) for each in raw["objects"]])
    places = {index: Place(*place) for index, *place in raw["native_frames"]}
    return MachineCode(
        objects, places, frozenset(places), fold=raw["native"] != "all", is_here=True, pending=bool(places)
    )
