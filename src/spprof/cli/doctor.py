"""`spprof doctor`: does profiling work here, and if not, why and what to do.

Reads what the system allows (`_machine`), tries what can be tried in a child process (`_probe`), and turns both into
findings. The object that `--json` prints is documented in docs/command-line.md; within a `schema` number its keys stay.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from spprof._version import __version__
from spprof.cli import _interpreter, _machine, _terminal
from spprof.cli._arguments import Parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DESCRIPTION = """\
Check that spprof works on this interpreter and this machine: the C extension,
each source of ticks, and a short profile of a program whose truth is known.
Exit code 0 if profiling works, 1 if it does not; the last lines say why and
what to do."""
_EPILOG = "Please add the output of this command to reports of bugs."
_TIMEOUT_S = 60
_LABEL = 15

_REINSTALL = (
    "install spprof again for this interpreter, from a wheel or with a compiler and Python's headers there "
    "(Debian: apt-get install gcc python3-dev): pip install --force-reinstall --no-cache-dir spprof"
)
_CONTAINER = (
    "let the container make one of the system calls perf_event_open or timer_create "
    "(docker run --security-opt seccomp=PROFILE.json)"
)


def parser() -> Parser:
    """The command's options."""
    parser = Parser("spprof doctor", "spprof doctor [-h] [--json]", _DESCRIPTION, _EPILOG)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the checks; 0 if all is well, else 1."""
    as_json = parser().parse_args(argv).json

    report = examine()
    if as_json:
        import json

        json.dump(report, sys.stdout, indent=2)
        print()
    else:
        style, width = _terminal.manner_of(sys.stdout)
        for line in render(report, style, width):
            print(line)
    return 0 if report["working"] else 1


def examine() -> dict[str, Any]:
    """All facts and findings, as `--json` prints them."""
    probe, failure = run_probe()
    report: dict[str, Any] = {
        "schema": 1,
        "version": __version__,
        "interpreter": _machine.interpreter(),
        "system": _machine.system(),
        "extension": probe.get("extension"),
        "tick_sources": probe.get("tick_sources"),
        "quick_test": probe.get("quick_test"),
        "wall_clock": probe.get("wall_clock"),
    }
    problems = [failure] if failure else list(_problems(report))
    report["working"] = not problems
    report["problems"] = problems
    report["notes"] = list(_notes(report))
    return report


def run_probe() -> tuple[dict[str, Any], dict[str, str] | None]:
    """What the child process found, or nothing and the problem that it was."""
    import json

    code = f"import sys; sys.path[:] = {sys.path!r}; from spprof.cli._probe import main; main()"
    command = [sys.executable, *_interpreter.options(), "-c", code]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env=_own_environment()
        )
    except subprocess.TimeoutExpired:
        return {}, _problem(f"a short profile did not end within {_TIMEOUT_S} s", "report this as a bug")
    except OSError as error:
        return {}, _problem(f"{sys.executable} can't be started: {error.strerror}", "run spprof doctor where it can")
    if child.returncode < 0:
        return {}, _problem(
            f"a short profile ended by signal {-child.returncode}",
            "report this as a bug, with the output of: python -X faulthandler -m spprof.cli._probe",
        )
    try:
        found: dict[str, Any] = json.loads(child.stdout)
    except ValueError:
        last = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        return {}, _problem(f"a short profile failed: {last}", "report this as a bug")
    return found, None


def _own_environment() -> dict[str, str]:
    """The environment, but that nothing starts by itself: the probe wants to."""
    return {name: value for name, value in os.environ.items() if name != "SPPROF_AUTOSTART"}


def _problem(what: str, advice: str) -> dict[str, str]:
    return {"what": what, "advice": advice}


def _problems(report: dict[str, Any]) -> Iterator[dict[str, str]]:
    extension, test = report["extension"], report["quick_test"]
    if not extension["loaded"]:
        switched_off = "SPPROF_PURE_PYTHON" in (extension["reason"] or "")
        yield _problem(
            f"the C extension is not in use ({extension['reason']}); the pure-Python sampler takes its place, "
            "which measures elapsed time, less exactly",
            "unset SPPROF_PURE_PYTHON" if switched_off else _REINSTALL,
        )
    elif extension["self_check"] is not None:
        yield _problem(
            f"spprof does not know this interpreter well enough to sample it: {extension['self_check']}",
            "use a newer spprof, or an interpreter that it supports",
        )
        return
    if extension["loaded"] and not any(source["usable"] for source in report["tick_sources"].values()):
        yield _problem(
            "the system grants no source of ticks: elapsed time is measured instead of CPU time, and running threads can't "
            "be asked where they are",
            _CONTAINER,
        )
    elif not test["ok"]:
        yield _problem(f"the quick test failed: {test['problem']}", "report this as a bug, with this output")


def _notes(report: dict[str, Any]) -> Iterator[str]:
    system, sources = report["system"], report["tick_sources"] or {}
    perf = sources.get("perf")
    if (report["extension"] or {}).get("loaded") and perf is not None and not perf["usable"]:
        yield f"without perf events samples are taken by another source, which is a little less exact: {perf['detail']}"
    if system["environment"]:
        yield "set in the environment: " + " ".join(f"{name}={value}" for name, value in system["environment"].items())
    if report["interpreter"]["free_threaded"] and report["interpreter"]["gil_enabled"]:
        yield "this is a free-threaded build, but its GIL is on"


def render(report: dict[str, Any], style: _terminal.Style, width: int) -> Iterator[str]:
    """The report as lines of text, the last of them the verdict."""
    import textwrap

    def row(label: str, text: str) -> Iterator[str]:
        wrapped = textwrap.wrap(_terminal.printable(text), width - _LABEL, break_on_hyphens=False) or [""]
        for index, line in enumerate(wrapped):
            yield f"  {label if index == 0 else '':{_LABEL - 2}}" + line

    interpreter, system = report["interpreter"], report["system"]
    yield style.bold(f"spprof {report['version']}")
    kind = "free-threaded" if interpreter["free_threaded"] else "with the GIL"
    debug = ", debug build" if interpreter["debug_build"] else ""
    yield from row("python", f"{interpreter['implementation']} {interpreter['version']}, {kind}{debug}")
    yield from row("", str(interpreter["executable"]))
    libc = f", {system['libc']}" if system["libc"] else ""
    yield from row("system", f"{system['system']} {system['release']} {system['machine']}{libc}")
    quota = f" (quota {system['cpu_quota']:g})" if system["cpu_quota"] else ""
    yield from row("CPUs", f"{system['cpus']}{quota}")
    if system["container"]:
        yield from row("container", system["container"])
    yield from row("seccomp", _machine.seccomp_in_words(system["seccomp"]))
    yield from row("perf level", _paranoid_in_words(system))

    extension, sources, test = report["extension"], report["tick_sources"], report["quick_test"]
    if extension is not None:
        yield style.bold("C extension")
        yield from row("loaded", f"yes, {extension['path']}" if extension["loaded"] else f"no: {extension['reason']}")
        if extension["loaded"]:
            yield from row("self-check", extension["self_check"] or "passed")
    if sources and extension["loaded"]:
        yield style.bold("sources of ticks")
        for name, source in sources.items():
            yield from row(name, ("" if source["usable"] else "no: ") + (source["detail"] or "usable"))
    if test is not None:
        yield style.bold("quick test")
        if "samples" in test:
            yield from row(
                "profile",
                f"{test['samples']} samples, {test['share']:.0%} of their time in the function that used it; "
                f"{test['profile_seconds']:.3f} s of {test['cpu_seconds']:.3f} s of CPU",
            )
            yield from row("ticks by", f"{test['tick_source']}: {test['tick_reason']}")
            if test["kernel_hz"]:
                yield from row("kernel tick", f"{test['kernel_hz']} Hz")
    clock = report["wall_clock"]
    if clock is not None:
        reader = f"sleeping threads are read by {clock['reader']}; " if clock["reader"] else ""
        yield from row("wall clock", ("" if clock["usable"] else "no: ") + reader + clock["detail"])
    for note in report["notes"]:
        yield from textwrap.wrap("note: " + note, width, subsequent_indent="      ", break_on_hyphens=False)
    yield ""
    for problem in report["problems"]:
        lines = textwrap.wrap("problem: " + problem["what"], width, subsequent_indent=" " * 9, break_on_hyphens=False)
        yield from (style.bad(line) for line in lines)
        yield from textwrap.wrap(
            "what to do: " + problem["advice"], width, subsequent_indent=" " * 12, break_on_hyphens=False
        )
    if report["working"]:
        yield style.good("spprof is working correctly")


def _paranoid_in_words(system: dict[str, Any]) -> str:
    level = system["perf_event_paranoid"]
    if level is None:
        return "unknown (no /proc/sys/kernel/perf_event_paranoid)"
    if system["may_see_kernel"] or level <= 1:
        return f"{level}: user and kernel time of this process"
    return f"{level}: user time only" if level == 2 else f"{level}: perf events may be refused"
