"""`Profile`, `AggregatedProfile` and their records, against profiles of known content."""

from __future__ import annotations

import copy
import pickle
import random
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
from profiles import EXAMPLE, MS, example, make_profile, names, raw_profile

import spprof
from spprof import Frame, Sample
from spprof._build import module_names, profile_from


class TestRecords:
    def test_frame_has_the_promised_fields_in_order(self) -> None:
        frame = Frame("A.f", "a.py", 3, False)
        assert (frame.function_name, frame.filename, frame.lineno, frame.is_native) == ("A.f", "a.py", 3, False)
        assert (frame.module, frame.column, frame.end_lineno, frame.end_column) == ("", None, None, None)
        assert str(frame) == "A.f (a.py:3)"
        assert str(Frame("[native]", "", 0, True)) == "[native]"

    def test_frame_is_immutable_hashable_and_pickles(self) -> None:
        frame = Frame("f", "a.py", 3, False, "a", 1, 3, 9)
        with pytest.raises(AttributeError):
            frame.lineno = 4  # type: ignore[misc]
        with pytest.raises(AttributeError):
            frame.anything = 4  # type: ignore[attr-defined]
        copied = pickle.loads(pickle.dumps(frame))
        assert copied == frame
        assert type(copied) is Frame
        assert len({frame, copied}) == 1

    def test_sample_fields(self) -> None:
        sample = Sample(1, 2, "MainThread", (), 3)
        assert (sample.timestamp_ns, sample.thread_id, sample.thread_name, sample.frames, sample.weight_ns) == (
            1, 2, "MainThread", (), 3,
        )  # fmt: skip


class TestSamples:
    def test_content_root_first_leaf_last(self) -> None:
        sample = example().samples[0]
        assert names(sample.frames) == ["main", "load", "parse"]
        assert sample.frames[-1] == Frame("parse", "/src/p.py", 7, False, firstlineno=sample.frames[-1].firstlineno)
        assert (sample.timestamp_ns, sample.thread_id, sample.thread_name) == (10 * MS, 1000, "MainThread")
        assert sample.weight_ns == 10 * MS

    def test_is_a_sequence(self) -> None:
        samples = example().samples
        everything = list(samples)
        assert len(samples) == len(everything) == len(EXAMPLE)
        assert [samples[index] for index in range(len(samples))] == everything
        assert [samples[-1 - index] for index in range(len(samples))] == everything[::-1]
        assert list(reversed(samples)) == everything[::-1]
        assert everything[2] in samples
        assert samples.index(everything[3]) == 3
        assert samples.count(everything[0]) == 1

    @pytest.mark.parametrize(
        "part",
        [slice(None), slice(2, 5), slice(-3, None), slice(None, None, -1), slice(5, 1, -2), slice(5, None, -3),
         slice(3, 3), slice(100, 200), slice(None, None, 2), slice(0, 1), slice(-100, 2)],
    )  # fmt: skip
    def test_slices_are_sequences_of_the_same_samples(self, part: slice) -> None:
        samples = example().samples
        cut = samples[part]
        expected = list(samples)[part]
        assert list(cut) == expected
        assert len(cut) == len(expected)
        assert [cut[index] for index in range(len(cut))] == expected
        assert list(cut[::-1]) == expected[::-1]
        assert list(reversed(cut)) == expected[::-1]

    def test_wrong_index(self) -> None:
        samples = example().samples
        for index in (7, -8):
            with pytest.raises(IndexError, match="7 samples"):
                samples[index]
        with pytest.raises(TypeError):
            samples["0"]  # type: ignore[call-overload]

    @pytest.mark.parametrize("merge_nodes", [True, False])
    def test_equal_stacks_are_one_tuple(self, merge_nodes: bool) -> None:
        samples = example(merge_nodes=merge_nodes).samples
        assert samples[0].frames is samples[1].frames
        first, second, *_ = samples
        assert first.frames is second.frames
        assert samples[0].frames is first.frames

    def test_without_samples(self) -> None:
        profile = make_profile([])
        assert len(profile.samples) == 0
        assert list(profile.samples) == []
        assert not profile.samples
        assert profile.effective_rate_hz == 0.0
        assert profile.aggregate().stacks == ()
        assert profile.aggregate().compression_ratio == 1.0
        assert profile.functions() == []
        assert profile.to_collapsed() == ""


class TestFacts:
    def test_numbers(self) -> None:
        profile = example()
        assert profile.sample_count == 7
        assert profile.dropped_count == 2
        assert profile.total_duration_ms == 80.0
        assert profile.effective_rate_hz == pytest.approx(7 / 0.080)
        assert profile.interval_ms == 10.0
        assert profile.cpu_time_ns == 51 * MS
        assert profile.mode == "cpu"

    def test_times_know_their_zone(self) -> None:
        profile = example()
        assert profile.start_time == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=timezone.utc)
        assert profile.end_time - profile.start_time == timedelta(milliseconds=80)

    def test_where_it_ran(self) -> None:
        import platform

        profile = example()
        assert profile.python_version == platform.python_version()
        assert platform.machine() in profile.platform
        assert platform.system() in profile.platform

    def test_threads_and_losses(self) -> None:
        profile = example()
        assert [thread.name for thread in profile.threads] == ["MainThread", "worker"]
        for thread in profile.threads:
            assert thread.sampled_ns + thread.unsampled_ns + thread.dropped_ns == thread.cpu_ns
        (loss,) = profile.losses
        assert (loss.kind, loss.thread_index, loss.count, loss.weight_ns) == ("dropped", 0, 2, 3 * MS)

    def test_wall_mode_has_the_samplers_cpu_time(self) -> None:
        profile = example(mode="wall", cpu_ns=123)
        assert profile.mode == "wall"
        assert profile.cpu_time_ns == 123


class TestAggregate:
    @pytest.mark.parametrize("merge_nodes", [True, False])
    def test_against_counting_by_hand(self, merge_nodes: bool) -> None:
        random.seed(3)
        rows = [
            (random.randrange(3), tuple(random.choice("abc") for _ in range(random.randrange(4))), random.randrange(9))
            for _ in range(2000)
        ]
        profile = make_profile(rows, threads="XYZ", merge_nodes=merge_nodes)
        counts = Counter(stack for _, stack, _ in rows)
        weights: Counter[tuple[str, ...]] = Counter()
        for _, stack, weight in rows:
            weights[stack] += weight
        aggregated = profile.aggregate()
        assert aggregated.total_samples == len(rows)
        assert aggregated.unique_stack_count == len(counts)
        assert aggregated.compression_ratio == len(rows) / len(counts)
        assert {tuple(names(stack.frames)): stack.count for stack in aggregated.stacks} == counts
        assert {tuple(names(stack.frames)): stack.weight_ns for stack in aggregated.stacks} == weights
        in_order = [stack.weight_ns for stack in aggregated.stacks]
        assert in_order == sorted(in_order, reverse=True)

    def test_keeps_the_facts(self) -> None:
        profile = example()
        aggregated = profile.aggregate()
        for name in (
            "cpu_time_ns",
            "dropped_count",
            "threads",
            "losses",
            "interval_ms",
            "start_time",
            "python_version",
        ):
            assert getattr(aggregated, name) == getattr(profile, name)
        assert aggregated.functions() == profile.functions()


class TestFunctions:
    def test_self_and_total_with_recursion_counted_once(self) -> None:
        by_name = {function.function_name: function for function in example().functions()}
        assert set(by_name) == {"main", "load", "parse", "run", "fib"}
        fib = by_name["fib"]
        assert (fib.self_ns, fib.total_ns, fib.self_samples, fib.total_samples) == (15 * MS, 15 * MS, 2, 2)
        main = by_name["main"]
        assert (main.self_ns, main.total_ns, main.self_samples, main.total_samples) == (1 * MS, 31 * MS, 1, 5)
        assert by_name["load"].self_ns == 4 * MS
        assert by_name["run"].self_ns == 0

    def test_hottest_line(self) -> None:
        by_name = {function.function_name: function for function in example().functions()}
        assert (by_name["parse"].hottest_line, by_name["parse"].hottest_line_ns) == (7, 21 * MS)
        assert (by_name["fib"].hottest_line, by_name["fib"].hottest_line_ns) == (4, 15 * MS)
        assert (by_name["run"].hottest_line, by_name["run"].hottest_line_ns) == (2, 15 * MS)  # no self time: total

    def test_order_is_by_self_time(self) -> None:
        own = [function.self_ns for function in example().functions()]
        assert own == sorted(own, reverse=True)

    def test_very_deep_recursion(self) -> None:
        profile = make_profile([(0, ["a", *["f"] * 5000], 3), (0, ["a", *["f"] * 10], 4)])
        (f, a) = profile.functions()
        assert (f.function_name, f.total_ns, f.self_ns) == ("f", 7, 7)
        assert (a.function_name, a.total_ns, a.self_ns) == ("a", 7, 0)

    def test_same_name_in_other_places_is_another_function(self) -> None:
        raw = raw_profile([(0, ("f:3",), 1), (0, ("f:4",), 2)])
        first, second = raw["frames"]
        raw["frames"] = [first, (*second[:-1], second[-1] + 100)]
        assert [function.self_ns for function in profile_from(raw).functions()] == [2, 1]


class TestPickling:
    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_profile(self, protocol: int) -> None:
        profile = example()
        copied = pickle.loads(pickle.dumps(profile, protocol))
        assert list(copied.samples) == list(profile.samples)
        assert copied.to_speedscope() == profile.to_speedscope()
        assert copied.threads == profile.threads
        assert copied.stats == profile.stats
        assert copied.start_time == profile.start_time

    def test_profile_with_memoryviews(self) -> None:
        raw = raw_profile(EXAMPLE, threads=("a", "b"))
        for name in ("times", "weights", "nodes", "thread_index", "node_parent", "node_frame"):
            raw[name] = memoryview(raw[name])
        profile = profile_from(raw)
        copied = pickle.loads(pickle.dumps(profile))
        assert list(copied.samples) == list(profile.samples)
        assert list(copied.samples[::-2]) == list(profile.samples[::-2])
        assert copied.to_collapsed() == profile.to_collapsed()

    def test_aggregate(self) -> None:
        aggregated = example().aggregate()
        copied = pickle.loads(pickle.dumps(aggregated))
        assert copied.stacks == aggregated.stacks
        assert copied.total_samples == aggregated.total_samples
        assert copied.to_collapsed() == aggregated.to_collapsed()

    def test_deepcopy_and_samples_alone(self) -> None:
        profile = example()
        assert list(copy.deepcopy(profile).samples) == list(profile.samples)
        assert list(pickle.loads(pickle.dumps(profile.samples[2:4]))) == list(profile.samples[2:4])


class TestStats:
    def test_values_text_and_immutability(self) -> None:
        stats = spprof.Stats({"mode": "cpu", "collected": 95, "dropped": 5, "cpu_ns": 10**9, "interval_ns": 10**7})
        assert (stats.collected, stats.dropped, stats.validation_drops, stats.active) == (95, 5, 0, False)
        assert stats.drop_rate == 0.05
        assert stats.achieved_rate_hz == 100.0
        assert "95 kept, 5 dropped (5.0%)" in str(stats)
        assert pickle.loads(pickle.dumps(stats)) == stats
        assert spprof.Stats(stats.to_dict()) == stats
        with pytest.raises(AttributeError):
            stats.collected = 3

    def test_every_documented_figure_is_there(self) -> None:
        import ast
        import inspect

        import spprof._stats

        documented = {
            node.target.id
            for node in ast.walk(ast.parse(inspect.getsource(spprof._stats)))
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
        assert set(spprof.Stats({}).to_dict()) == documented - {"values"}


class TestModules:
    def test_names(self) -> None:
        import json.decoder

        found = module_names(
            [json.decoder.__file__, __file__, "<string>", "<frozen importlib._bootstrap>", "", "/no/x"]
        )
        assert found[json.decoder.__file__] == "json.decoder"
        assert found[__file__] == __name__
        assert found["<frozen importlib._bootstrap>"] == "importlib._bootstrap"
        assert found["<string>"] == found[""] == found["/no/x"] == ""

    def test_the_script_is_main_and_odd_modules_do_no_harm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import sys
        from types import ModuleType

        class Lazy(ModuleType):
            def __getattr__(self, name: str) -> object:
                raise RuntimeError("asked for " + name)

        script = ModuleType("__main__")
        script.__file__ = "/x/tool.py"
        again = ModuleType("tool")
        again.__file__ = "/x/tool.py"
        monkeypatch.setitem(sys.modules, "aaa_lazy", Lazy("aaa_lazy"))
        monkeypatch.setitem(sys.modules, "aaa_none", None)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "aaa_object", object())  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "tool", again)
        monkeypatch.setitem(sys.modules, "__main__", script)
        assert module_names(["/x/tool.py"]) == {"/x/tool.py": "__main__"}
