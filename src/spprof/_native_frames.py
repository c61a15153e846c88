"""Frames of C code: from addresses to names, and without the interpreter's own ways of calling."""

from __future__ import annotations

import re
from array import array

from ._code import INTERPRETER, NO_OBJECT, CodeObject, MachineCode, Place
from ._model import Frame
from ._tree import StackTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ._code import Parts

MISSING = Frame("[missing native frames]", "", 0, True)
UNKNOWN_CODE = Frame("[unknown code]", "", 0, True)

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


def name_frames(places: Iterable[Place], objects: Sequence[CodeObject]) -> dict[Place, tuple[Frame, bool]]:
    """By place: a frame, and whether it has got a name. Each object's file is read once, each distinct place looked up once."""
    from ._symbols import symbolize

    by_object: dict[int, list[Place]] = {}
    named: dict[Place, tuple[Frame, bool]] = {}
    for place in dict.fromkeys(places):
        if place.object == NO_OBJECT:
            named[place] = UNKNOWN_CODE, True
        else:
            by_object.setdefault(place.object, []).append(place)
    for number, group in by_object.items():
        path, build_id = objects[number].path, objects[number].build_id
        bias = _missing_bias(objects[number])
        for place, symbol in zip(group, symbolize(path, build_id, [max(0, place.address - bias) for place in group])):
            name = symbol.name
            if not name:  # of a stripped file: at least one name for all of the function
                start = symbol.offset if place.function is None else place.function
                name = f"{symbol.module}+{start:#x}"
            frame = Frame(name, symbol.file or path, symbol.line if symbol.file else 0, True, symbol.module)
            named[place] = frame, bool(symbol.name)
    return named


def _missing_bias(found: CodeObject) -> int:
    """What to take off addresses to have those of the file, where they are none: files of other formats don't say."""
    from ._symbols import load_bias

    if found.bias is not None:
        return 0
    for start, _, offset in found.segments:
        bias = load_bias(found.path, found.build_id, start, offset)
        if bias is not None:
            return bias
    return 0


def own_stack(
    found: Iterable[tuple[int, int, int | None]], raw_objects: Iterable[tuple[Any, ...]], incomplete: str, file: str
) -> tuple[Frame, ...]:
    """The frames of `capture_native_stack`, from what the extension hands over, leaf first. *file*: the extension's own."""
    places, objects = [Place(*place) for place in found], [CodeObject(*each) for each in raw_objects]
    while places and places[0].object >= 0 and objects[places[0].object].path == file:
        places = places[1:]  # the capture itself
    named = name_frames(places, objects)
    stack = [named[place][0] for place in reversed(places)]
    return (MISSING, *stack) if incomplete else tuple(stack)


def with_names(parts: Parts) -> Parts:
    """The same with a name for each frame of C code that can be named now, and without plumbing if that is to be folded.

    What has no name yet is looked up, and with it all that has no line of the same objects: where the files were missing before,
    they may be better now.
    """
    tree, rows, code = parts
    if code is None or rows is None:
        return parts
    frames = list(tree.frames[:-2])
    wanting = {code.places[index].object for index in code.unnamed if index in code.places}
    asked = {
        index: place
        for index, place in code.places.items()
        if place.object in wanting
        and (place.object == NO_OBJECT or code.is_known(place.object))
        and (index in code.unnamed or not frames[index].lineno)
    }
    named = name_frames(asked.values(), code.objects)
    unnamed = set(code.unnamed)
    plumbing = set()
    for index, place in asked.items():
        frame, has_name = named[place]
        if has_name:
            unnamed.discard(index)
        elif not code.is_here:  # it has what it was called before
            continue
        frames[index] = frame
        role = code.objects[place.object].role if place.object >= 0 else None
        if code.fold and role == INTERPRETER and is_plumbing(frame.function_name):
            plumbing.add(index)
    done = MachineCode(code.objects, code.places, frozenset(unnamed), fold=code.fold, is_here=code.is_here)
    parents, frame_of = tree.parent_of[:-2], tree.frame_of[:-2]
    if plumbing:
        parents, stands_for = _without(parents, frame_of, plumbing)
        rows = rows.at(array("I", [stands_for[node] for node in rows.nodes]))
    return StackTree(frames, parents, frame_of), rows, done


def _without(parents: array[int], frame_of: array[int], unwanted: set[int]) -> tuple[array[int], array[int]]:
    """Parents if nodes of unwanted frames become what is around them, and by node what stands for it.

    A stack of nothing else stays as it is.
    """
    parents = array("I", parents)
    stands_for = array("I", range(len(parents)))
    for node in range(1, len(parents)):
        parent = parents[node] = stands_for[parents[node]]
        if frame_of[node] in unwanted and parent:
            stands_for[node] = parent
    return parents, stands_for
