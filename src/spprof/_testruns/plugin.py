"""The hooks of a profiled run: in a plain run, in each worker of pytest-xdist, and in the process that controls workers."""

from __future__ import annotations

import json
import os
import time
import warnings

import pytest

from ..export import format_of, save
from .gate import Comparison
from .measured import TestRecord, hot_lines, merged_workers
from .recorder import Recorder
from .summary import write_summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .._profile import Profile
    from .options import Options


class ProfiledRun:
    """A run with the profiler; registered if an option asks for it."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.options = options
        self.records: list[TestRecord] = []
        self.notes: list[str] = []
        self.written: list[str] = []
        self.comparison: Comparison | None = None
        self._config = config
        self._worker: str = getattr(config, "workerinput", {}).get("workerid", "")
        self._worker_files: list[str] = []
        self._recorder: Recorder | None = None
        self._finished = False

    @property
    def controls_workers(self) -> bool:
        """Whether tests run in processes of pytest-xdist, of which this one is none."""
        return bool(self._config.pluginmanager.has_plugin("dsession"))

    def _new_recorder(self) -> Recorder:
        recorder = Recorder(self.options.interval_ms, self.options.mode, self._worker)
        recorder.start()
        return recorder

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Pytest's hook."""
        if self.controls_workers:
            return
        from .._session import is_active

        if is_active():
            raise pytest.UsageError(
                "spprof: the profiler runs already (spprof run? a conftest.py?): leave out one of the two"
            )
        if self.options.whole:
            try:
                self._recorder = self._new_recorder()
            except (OSError, RuntimeError, ValueError) as error:
                raise pytest.UsageError(f"spprof: {error}") from None

    def pytest_report_header(self) -> str:
        """Pytest's hook."""
        from .._backend import has_native, reason

        what = " and ".join(["the whole run"] * self.options.whole + ["each test"] * self.options.per_test)
        how = f"every {self.options.interval_ms:g} ms" + ("" if has_native else f", in pure Python ({reason})")
        return f"spprof: profiling {what}, {how}"

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, None, None]:
        """Pytest's hook."""
        if self.controls_workers:
            yield
            return
        if not self.options.whole:
            self._recorder = self._new_recorder()
        recorder = self._recorder
        if recorder is None:
            yield
            return
        recorder.start()  # again, after a test that used the profiler
        recorder.interrupted = False
        begin, cpu = time.monotonic_ns(), time.process_time_ns()
        try:
            yield
        finally:
            cpu, end = time.process_time_ns() - cpu, time.monotonic_ns()
            record = TestRecord(item.nodeid, begin, end, cpu, self._worker)
            self.records.append(record)
            if recorder.interrupted:
                self.notes.append(f"{item.nodeid} uses the profiler itself: from there on it is not in the profile")
            if not self.options.whole:
                recorder.stop()
                self._recorder = None
                self._keep(record, recorder.profile())

    def take_over(self, profile: Profile | None, began: int, ended: int) -> None:
        """What the fixture has recorded is part of the run, which goes on."""
        recorder = self._recorder
        if recorder is not None:
            recorder.interrupted = False
            if profile is not None:
                recorder.add(profile, began, ended)
            recorder.start()

    def _keep(self, record: TestRecord, profile: Profile | None) -> None:
        """The artefact of one test, and its hot lines."""
        if profile is None:
            return
        record.hot = hot_lines(profile)
        if self.options.per_test:
            record.file = self.options.files.of_test(record.nodeid)
            self._save(profile, record.file, self.options.files.format, listed=False)

    def _save(self, profile: Profile, path: str, format: str, listed: bool = True) -> None:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            save(profile, path, format)
        except OSError as error:
            self.notes.append(f"{path} can't be written: {error.strerror}")
        else:
            if listed:
                self.written.append(path)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """pytest-xdist's hook: a worker has ended."""
        output = getattr(node, "workeroutput", None)
        report = output.get("spprof") if isinstance(output, dict) else None
        if report is None:
            self.notes.append(f"worker {node.gateway.id} ended without a profile" + (f": {error}" if error else ""))
            return
        report = json.loads(report)
        self.records.extend([TestRecord.from_dict(record) for record in report["tests"]])
        self.notes.extend(report["notes"])
        if report["file"]:
            self._worker_files.append(report["file"])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Pytest's hook: also after Ctrl-C, pytest.exit() and errors."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what there is to say is said in the summary
            self._finish(session)

    def _finish(self, session: pytest.Session) -> None:
        self._finished = True
        options, recorder = self.options, self._recorder
        profile: Profile | None = None
        if self.controls_workers:
            if options.whole:
                profile = merged_workers(sorted(self._worker_files), self.notes)
        elif recorder is not None:
            recorder.stop()
            profile = recorder.profile()
            slowest = set(map(id, self.slowest()))
            for record in self.records:
                if options.per_test or id(record) in slowest:
                    self._keep(record, recorder.profile(record.begin, record.end))
        if self._worker:
            path = ""
            if profile is not None:
                path = options.files.of_worker(self._worker)
                self._save(profile, path, format_of(path)[0])
            report = {"file": path, "notes": self.notes, "tests": [record.to_dict() for record in self.records]}
            session.config.workeroutput["spprof"] = json.dumps(report)
            return
        if profile is not None:
            self._save(profile, options.files.whole, options.files.whole_format)
            stats = profile.stats
            if stats.drop_rate > 0.05:
                self.notes.append(
                    f"{stats.drop_rate:.0%} of the samples were dropped: a longer --spprof-interval keeps more"
                )
        self._write_index()
        if options.base is not None:
            self.comparison = Comparison(
                options.base, profile, self.records, str(session.config.rootpath), options.tolerance
            )
            if not self.comparison.passed and session.exitstatus in {
                pytest.ExitCode.OK,
                pytest.ExitCode.NO_TESTS_COLLECTED,
            }:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write_index(self) -> None:
        path = self.options.files.index
        tests = [record.to_dict() for record in self.records]
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"version": 1, "tests": tests}, file, indent=1)
        except OSError as error:
            self.notes.append(f"{path} can't be written: {error.strerror}")
        if self.options.per_test:
            count = sum([bool(record.file) for record in self.records])
            self.written.append(f"{self.options.files.tests}{os.sep} ({count} tests; {path} lists them)")

    def slowest(self) -> list[TestRecord]:
        """The tests that took most, by what is measured."""
        by_cpu = self.options.mode in (None, "cpu")
        order = sorted(self.records, key=lambda record: (-record.cost(by_cpu), record.nodeid))
        return order[: self.options.slowest]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Pytest's hook."""
        write_summary(terminalreporter, self)

    def pytest_unconfigure(self) -> None:
        """Pytest's hook: whatever went wrong, the profiler does not go on running."""
        if not self._finished and self._recorder is not None:
            self._recorder.stop()
