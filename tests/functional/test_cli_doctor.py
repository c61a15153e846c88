"""`spprof doctor`: says whether profiling works, and is right about it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from children import spprof

from spprof.cli import doctor
from spprof.cli._terminal import Style

if TYPE_CHECKING:
    from pathlib import Path

# What --json promises within schema 1.
KEYS = {
    "": {
        "schema", "version", "working", "problems", "notes", "interpreter", "system", "extension", "tick_sources",
        "quick_test", "wall_clock",
    },
    "interpreter": {
        "version", "implementation", "executable", "compiler", "free_threaded", "gil_enabled", "debug_build",
    },
    "system": {
        "system", "release", "machine", "libc", "container", "user_id", "seccomp", "no_new_privileges",
        "may_see_kernel", "perf_event_paranoid", "open_files_limit", "cpus", "cpu_quota", "environment",
    },
    "extension": {
        "loaded", "path", "reason", "self_check", "free_threaded_build", "free_threading_safe", "native_unwinding",
    },
    "tick_sources": {"perf", "timer", "thread"},
    "quick_test": {
        "ok", "problem", "cpu_seconds", "profile_seconds", "samples", "share", "thread_found", "tick_source",
        "tick_reason", "kernel_hz",
    },
}  # fmt: skip
MACHINE_ENV = {"SPPROF_PURE_PYTHON": None, "SPPROF_TICK": None}
PURE = {"SPPROF_PURE_PYTHON": "1"}


@pytest.mark.parametrize("env", [PURE, pytest.param(MACHINE_ENV, marks=pytest.mark.needs_native)])
def test_json_has_the_promised_keys(env: dict[str, str | None]) -> None:
    result = spprof("doctor", "--json", env=env)
    report = json.loads(result.stdout)
    for name, keys in KEYS.items():
        assert set(report[name] if name else report) == keys, name
    assert report["schema"] == 1
    assert result.returncode == (0 if report["working"] else 1)
    assert bool(report["problems"]) is not report["working"]


@pytest.mark.needs_native
def test_all_is_well_here() -> None:
    result = spprof("doctor", env=MACHINE_ENV)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[-1] == "spprof is working correctly"
    assert max(map(len, lines)) <= 80


@pytest.mark.needs_native
@pytest.mark.parametrize("tick", ["perf", "timer", "thread"])
def test_each_source_that_is_usable_passes_the_quick_test(tick: str) -> None:
    report = json.loads(spprof("doctor", "--json", env={**MACHINE_ENV, "SPPROF_TICK": tick}).stdout)
    if not report["tick_sources"][tick]["usable"]:
        pytest.skip(report["tick_sources"][tick]["detail"])
    assert report["quick_test"]["ok"], report["quick_test"]
    assert report["quick_test"]["tick_source"] == tick
    assert f"SPPROF_TICK={tick}" in " ".join(report["notes"])


def test_fallback_is_a_problem_with_a_cure() -> None:
    result = spprof("doctor", env=PURE)
    assert result.returncode == 1
    assert "SPPROF_PURE_PYTHON is set" in result.stdout
    assert "what to do: unset SPPROF_PURE_PYTHON" in result.stdout.splitlines()
    # It samples all the same, and the test says so.
    assert "quick test" in result.stdout
    assert "of their time in the function that used it" in result.stdout


def interpreter_that(tmp_path: Path, does: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("does", "what"),
    [
        ("kill -SEGV $$", "ended by signal 11"),
        ("exec sleep 20", "did not end within"),
        ("echo 'Fatal: no way' >&2; exit 3", "Fatal: no way"),
        ("exit 3", "exit code 3"),
    ],
)
def test_profiling_that_crashes_or_hangs_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, what: str
) -> None:
    monkeypatch.setattr(sys, "executable", interpreter_that(tmp_path, does))
    monkeypatch.setattr(doctor, "_TIMEOUT_S", 1)
    report = doctor.examine()
    assert not report["working"]
    assert [what in problem["what"] for problem in report["problems"]] == [True]
    text = "\n".join(doctor.render(report, Style(colours=False), 80))
    assert "spprof is working correctly" not in text
    assert text.rpartition("\n")[2].lstrip().startswith(("what to do: report this as a bug", "spprof.cli._probe"))


def report_with(**changes: object) -> dict[str, object]:
    report: dict[str, object] = {
        "extension": {"loaded": True, "self_check": None, "reason": None},
        "tick_sources": {"perf": {"usable": True, "detail": ""}},
        "quick_test": {"ok": True},
        "wall_clock": None,
    }
    return {**report, **changes}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, None),
        ({"extension": {"loaded": True, "self_check": "offset of f_code", "reason": None}}, "offset of f_code"),
        ({"extension": {"loaded": False, "self_check": None, "reason": "no symbol x"}}, "no symbol x"),
        ({"tick_sources": {"perf": {"usable": False, "detail": "EPERM"}}}, "grants no source"),
        ({"quick_test": {"ok": False, "problem": "no sample was taken"}}, "no sample was taken"),
    ],
)
def test_each_finding_becomes_one_problem_with_advice(changes: dict[str, object], what: str | None) -> None:
    problems = list(doctor._problems(report_with(**changes)))
    assert [what in problem["what"] for problem in problems if what] == ([True] if what else [])
    assert all(problem["advice"] for problem in problems)
