"""Threads: wrapped start functions, names."""

from __future__ import annotations

import _thread
import threading
import time
from typing import Any

import pytest
from profiles import burn, names

import spprof
from spprof import _threads
from spprof._backend import backend

PLACES = [
    (module, name)
    for module, found in ((_thread, _threads._IN_THREAD), (threading, _threads._IN_THREADING))
    for name in found
    if hasattr(module, name)
]


def current() -> list[Any]:
    return [getattr(module, name) for module, name in PLACES]


class Marked:
    """Stands for the extension's type in tests of who is wrapped."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        started.append(self)
        return self.function(*args, **kwargs)


started: list[Marked] = []


@pytest.fixture
def _marked(monkeypatch: pytest.MonkeyPatch) -> None:
    started.clear()
    monkeypatch.setattr(backend, "ThreadStart", Marked)


def test_every_start_function_of_this_python_is_known() -> None:
    known = {name for _, name in PLACES}
    there = {name for module in (_thread, threading) for name in dir(module) if "start_" in name or name == "start_new"}
    assert there - known <= {"_start_joinable_thread", "_start_new_thread"} - known


def test_wrapped_while_active_and_restored_after() -> None:
    before = current()
    spprof.start()
    during = current()
    assert all(new is not old for new, old in zip(during, before))
    for new, old in zip(during, before):
        assert (new.__name__, new.__doc__) == (old.__name__, old.__doc__)
    spprof.stop()
    assert current() == before


@pytest.mark.usefixtures("_marked")
def test_all_ways_to_start_a_thread_are_armed() -> None:
    spprof.start()
    started.clear()  # the fallback starts a thread itself
    try:
        done = threading.Semaphore(0)
        _thread.start_new_thread(done.release, ())
        _thread.start_new_thread(lambda **names: done.release(names["n"]), (), {"n": 1})
        _thread.start_new(done.release, ())
        threading.Thread(target=done.release).start()
        threading.Thread(target=done.release, daemon=True).start()
        expected = 5
        if hasattr(_thread, "start_joinable_thread"):
            _thread.start_joinable_thread(done.release).join()
            _thread.start_joinable_thread(function=done.release, daemon=False).join()
            expected += 2
        for _ in range(expected):
            assert done.acquire(timeout=10)
    finally:
        spprof.stop()
    assert len(started) == expected
    threading.Thread(target=done.release).start()
    assert len(started) == expected


@pytest.mark.parametrize(
    "arguments", [(), (3, ()), (None,), (print,), (print, 3), (print, (), 3), (print, (), {}, 4)], ids=repr
)
def test_wrong_calls_fail_as_they_do_without(arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, RuntimeError)) as plain:
        _thread.start_new_thread(*arguments)
    spprof.start()
    try:
        with pytest.raises((TypeError, RuntimeError)) as profiled:
            _thread.start_new_thread(*arguments)
    finally:
        spprof.stop()
    assert (type(plain.value), str(plain.value)) == (type(profiled.value), str(profiled.value))


@pytest.mark.usefixtures("_marked")
def test_someone_elses_patch_over_ours_stays_and_works(monkeypatch: pytest.MonkeyPatch) -> None:
    before = current()
    spprof.start()
    started.clear()
    ours = _thread.start_new_thread
    calls = []

    def theirs(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return ours(*args, **kwargs)

    try:
        _thread.start_new_thread = theirs  # type: ignore[assignment]
        spprof.stop()
        assert _thread.start_new_thread is theirs
        done = threading.Semaphore(0)
        _thread.start_new_thread(done.release, ())
        assert done.acquire(timeout=10)
        assert started == []  # ours only passes through now
        spprof.start()
        started.clear()
        _thread.start_new_thread(done.release, ())
        assert done.acquire(timeout=10)
        assert len(started) == 1  # once, though two of ours are in the way
        spprof.stop()
        assert _thread.start_new_thread is theirs
        assert len(calls) == 2
    finally:
        _thread.start_new_thread = before[PLACES.index((_thread, "start_new_thread"))]
    assert current() == before


def test_a_failed_start_restores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = current()

    def refuse(**settings: object) -> None:
        raise OSError(1, "no tick")

    with monkeypatch.context() as patch:
        patch.setattr(backend, "start", refuse)
        with pytest.raises(OSError, match="no tick"):
            spprof.start()
    assert current() == before
    assert not spprof.is_active()
    with pytest.raises(RuntimeError):
        spprof.stop()


def test_names() -> None:
    event = threading.Event()
    thread = threading.Thread(target=event.wait, name="w\u00f6rker")
    thread.start()
    try:
        found = _threads.thread_names()
        assert found[threading.get_native_id()] == "MainThread"
        assert thread.native_id is not None
        assert found[thread.native_id] == "w\u00f6rker"
    finally:
        event.set()
        thread.join()


def test_threads_without_help_are_in_the_profile_by_name() -> None:
    """Those alive at the start, those born later, those gone before the stop."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            burn(0.002)

    before = threading.Thread(target=work, name="before")
    before.start()
    spprof.start(interval_ms=1)
    during = threading.Thread(target=work, name="during")
    during.start()
    ids = {before.native_id: "before", during.native_id: "during"}
    time.sleep(0.4)
    stop.set()
    before.join()
    during.join()
    profile = spprof.stop()
    found = {
        (sample.thread_id, sample.thread_name) for sample in profile.samples if "work" in names(sample.frames)[-2:][0]
    }
    assert set(ids.items()) <= found
