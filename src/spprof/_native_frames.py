"""Frames of C code: from addresses to names, and without the interpreter's own ways of calling."""

from __future__ import annotations

import re
from array import array

from ._model import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Optional

    # number of the object or -1, address as its file counts, where its function begins (if the unwind tables know)
    Place = tuple[int, int, Optional[int]]

#: Roles of objects (enum sp_object_role in csrc/codemap.h).
OTHER, INTERPRETER, RUNTIME = range(3)

MISSING = Frame("[missing native frames]", "", 0, True)
_UNKNOWN = Frame("[unknown code]", "", 0, True)

# What the interpreter does to get from Python code to the C function that was called: always the same, of no news.
_PLUMBING = re.compile(
    r"_?PyObject_(Vectorcall|Call|FastCall|MakeTpCall)\w*"
    r"|_?Py(Vectorcall|CFunction|Function|Stack|Method|MethodDescr|Cell)\w*_(Call|Vectorcall)\w*"
    r"|_?PyEval_(EvalFrame\w*|EvalCode\w*|Vector|CallFunction\w*)|_PyFunction_FastCall\w*|_PyMethodDef_Raw\w*"
    r"|_PyCallMethodDescriptor\w*|_Py_BuiltinCallFast\w*|_PyCall_\w*|_Py_VectorCall\w*"
    r"|(cfunction|method|builtin|classmethod|wrapper|slot|wrap|function_code)_(vectorcall|call|fastcall|init|new)\w*"
    r"|(classmethoddescr|methoddescr|method_descr\w*|wrapperdescr)_(call|vectorcall)\w*"
    r"|object_(vacall|vectorcall)|vectorcall_\w+|call_(function|cfunction|method|attribute|unbound\w*)|lookup_maybe_method"
    r"|do_call_core|trace_call_function|slot_(tp|nb|sq|mp|am)_\w+|property_descr_get"
    r"|_TAIL_CALL_\w+"
)
_PART = re.compile(r"(\.(cold|part|isra|constprop|lto_priv|localalias|llvm)(\.\d+)*)+\Z")


def is_plumbing(name: str) -> bool:
    """Whether a function of the interpreter's is only a way to another one."""
    return _PLUMBING.fullmatch(_PART.sub("", name)) is not None


def name_frames(places: Iterable[Place], objects: list[Any]) -> dict[Place, Frame]:
    """A frame for each of these places."""
    from ._symbols import symbolize

    by_object: dict[int, list[Place]] = {}
    named: dict[Place, Frame] = {}
    for place in dict.fromkeys(places):
        if place[0] < 0:
            named[place] = _UNKNOWN
        else:
            by_object.setdefault(place[0], []).append(place)
    for number, group in by_object.items():
        path, build_id = objects[number][:2]
        for place, symbol in zip(group, symbolize(path, build_id, [address for _, address, _ in group])):
            name = symbol.name
            if not name:  # of a stripped file: at least one name for all of the function
                start = symbol.offset if place[2] is None else place[2]
                name = f"{symbol.module}+{start:#x}"
            named[place] = Frame(name, symbol.file or path, symbol.line if symbol.file else 0, True, symbol.module)
    return named


def own_stack(places: list[Place], objects: list[Any], incomplete: str, file: str) -> tuple[Frame, ...]:
    """The frames of `capture_native_stack`, from what the extension hands over, leaf first. *file*: the extension's own."""
    while places and places[0][0] >= 0 and objects[places[0][0]][0] == file:
        places = places[1:]  # the capture itself
    named = name_frames(places, objects)
    stack = [named[place] for place in reversed(places)]
    return (MISSING, *stack) if incomplete else tuple(stack)


def put_names(raw: dict[str, Any], frames: list[Frame], fold: bool) -> None:
    """Names the frames of C code among *frames*, and takes out of *raw*'s stacks what is plumbing if *fold*."""
    objects = raw["objects"]
    places: list[tuple[int, Place]] = [(index, (number, *rest)) for index, number, *rest in raw["native_frames"]]
    named = name_frames([place for _, place in places], objects)
    plumbing = set()
    for index, place in places:
        frames[index] = frame = named[place]
        if fold and place[0] >= 0 and objects[place[0]][3] == INTERPRETER and is_plumbing(frame.function_name):
            plumbing.add(index)
    if plumbing:
        _take_out(raw, plumbing)


def _take_out(raw: dict[str, Any], unwanted: set[int]) -> None:
    """Nodes of unwanted frames become what is around them; a stack of nothing else stays as it is."""
    parent_of, frame_of = array("I", raw["node_parent"]), array("I", raw["node_frame"])
    stands_for = array("I", range(len(parent_of)))
    for node in range(1, len(parent_of)):
        parent = parent_of[node] = stands_for[parent_of[node]]
        if frame_of[node] in unwanted and parent:
            stands_for[node] = parent
    raw["node_parent"] = parent_of
    raw["nodes"] = array("I", [stands_for[node] for node in raw["nodes"]])
