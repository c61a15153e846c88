"""What is around the program is taken out of a profile, and nothing else."""

from __future__ import annotations

from array import array

import spprof.cli
from spprof._base import Facts
from spprof._model import Frame, ThreadInfo
from spprof._profile import Profile
from spprof._rows import Rows
from spprof._stats import Stats
from spprof._tree import StackTree
from spprof.cli._prefix import without_start_up

COMMAND = spprof.cli.__file__.replace("__init__", "_program")
HOOK = spprof.cli.__file__.replace("__init__.py", "_inject/sitecustomize.py")
SESSION = spprof._session.__file__

RUN_MAIN, RUN_CODE = ("_run_module_as_main", "<frozen runpy>"), ("_run_code", "/usr/lib/python3/runpy.py")
SITE, MODULE, WORK = ("main", "<frozen site>"), ("<module>", "/app/x.py"), ("work", "/app/x.py")


def profile_of(*stacks: list[tuple[str, str]]) -> Profile:
    """A profile with one sample of each of *stacks*, (function, file), root first."""
    frames: list[Frame] = []
    parents, frame_of, nodes = array("I", [0]), array("I", [0xFFFFFFFF]), array("I")
    for stack in stacks:
        node = 0
        for function, file in stack:
            frames.append(Frame(function, file, 1))
            parents.append(node)
            frame_of.append(len(frames) - 1)
            node = len(parents) - 1
        nodes.append(node)
    count = len(stacks)
    facts = Facts(
        cpu_time_ns=count, duration_ns=count, interval_ns=1, losses=(), mode="cpu", platform="", program="",
        python_version="", start_time=0.0, stats=Stats({}),
        threads=(ThreadInfo(1, "MainThread", count, count, 0, 0, count, 0, 0, None),),
    )  # fmt: skip
    rows = Rows(
        array("q", range(count)), array("q", [1] * count), nodes, array("I", [0] * count), array("q", [0] * count),
        array("B", [4] * count), array("I", [1] * count), ["", "chore"],
    )  # fmt: skip
    return Profile(facts, StackTree(frames, parents, frame_of), rows)


def names(profile: Profile) -> list[list[str]]:
    return [[frame.function_name for frame in sample.frames] for sample in profile.samples]


def test_a_profile_of_the_program_alone_is_not_touched() -> None:
    profile = profile_of([MODULE, WORK], [WORK])
    assert without_start_up(profile) is profile


def test_runpy_is_cut_from_the_root_only() -> None:
    profile = without_start_up(
        profile_of([RUN_MAIN, RUN_CODE, MODULE, WORK], [MODULE, RUN_CODE, WORK], [("_run_code", "/app/mine.py"), WORK])
    )
    assert names(profile) == [["<module>", "work"], ["<module>", "_run_code", "work"], ["_run_code", "work"]]


def test_time_of_runpy_itself_keeps_its_stack() -> None:
    profile = without_start_up(profile_of([RUN_MAIN], [RUN_MAIN, ("_get_code", "<frozen runpy>")]))
    assert names(profile) == [["_run_module_as_main"], ["_get_code"]]


def test_spprofs_frames_are_left_out() -> None:
    start = ("open_session", SESSION)
    profile = without_start_up(
        profile_of(
            [SITE, ("<module>", HOOK), ("begin", COMMAND), start, ("Thread.start", "/usr/lib/python3/threading.py")],
            [SITE, ("<module>", HOOK)],
            [SITE, ("site_only", "<frozen site>")],
            [("finish", COMMAND), ("close_session", SESSION)],
            [("finish", COMMAND)],
            [MODULE, start],
        )
    )
    assert names(profile) == [
        ["[spprof]"], ["[spprof]"], ["main", "site_only"], ["[spprof]"], ["[spprof]"], ["<module>", "open_session"],
    ]  # fmt: skip
    assert [sample.weight_ns for sample in profile.samples] == [1] * 6
    # What else is known of a sample is still there.
    assert {sample[5:] for sample in profile.samples} == {(0, "sleeping", "sleep", "chore")}
    assert "[spprof]" in profile.to_collapsed()
