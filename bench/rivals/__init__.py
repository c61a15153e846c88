"""Every profiler that the laboratories compare, spprof among them: one adapter each.

None of them is a dependency. Each is installed from PyPI when a laboratory first asks for it, into a virtual environment of
its own (`places.cache_folder`), made from the interpreter that runs the laboratory.
"""

from __future__ import annotations

from bench.rivals.inside import Pyinstrument, Scalene, Spprof
from bench.rivals.outside import Austin, PySpy, PySpyGil
from bench.rivals.places import NotHereError
from bench.rivals.report import Frame, Report, Total
from bench.rivals.rival import Rival
from bench.rivals.stdlib import Sampling
from bench.rivals.tracers import CProfile, Viztracer, Yappi

#: In the order of tables.
RIVALS: dict[str, Rival] = {
    rival.name: rival
    for rival in (
        Spprof(),
        PySpy(),
        PySpyGil(),
        Austin(),
        Pyinstrument(),
        Scalene(),
        Sampling("cpu", blocking=False),
        Sampling("wall", blocking=False),
        Sampling("wall", blocking=True),  # mode cpu finds nothing then: the threads have been stopped
        Sampling("gil", blocking=False),
        CProfile(),
        Yappi(),
        Viztracer(),
    )
}


def ready(names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Of the rivals named the versions of those that are here, installed now if need be, and why the others are not."""
    versions, absent = {}, {}
    for name in names:
        try:
            versions[name] = RIVALS[name].ready()
        except NotHereError as error:
            absent[name] = str(error)
    return versions, absent


__all__ = ["RIVALS", "Frame", "Report", "Rival", "Total", "ready"]
