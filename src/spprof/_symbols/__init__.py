"""Names, files and lines of native code, read from ELF and DWARF when a profile is presented, never while sampling.

    symbolize(path, build_id, offsets)    what is at these addresses of an object
    functions(path, build_id, wanted)     where these functions of an object are
    load_bias(path, build_id, ...)        what to take off an address in memory to have one of these
    problem(path, build_id)               why there are no names

An object is a program or a shared library: its path as ``/proc/PID/maps`` has it, and the build id that was in memory.
Offsets are addresses as the file itself counts them (address in memory less the load bias). Nothing here is imported
by programs that do not ask for native frames; only the standard library is needed.
"""

from __future__ import annotations

from .binary import SymbolError
from .lookup import Symbol, functions, load_bias, problem, symbolize
from .table import Function

__all__ = ["Function", "Symbol", "SymbolError", "functions", "load_bias", "problem", "symbolize"]
