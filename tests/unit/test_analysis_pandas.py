"""`Profile.to_pandas`: every sample a row, every loss too."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from profiles import MS, example, make_profile
from test_analysis import PROFILES, every_profile, whole

if TYPE_CHECKING:
    from spprof import Profile


@pytest.fixture
def pandas() -> Any:
    return pytest.importorskip("pandas", reason="needs pandas")


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"needs pandas: pip install 'spprof\[pandas\]'"):
        example().to_pandas()


@every_profile
def test_rows_are_the_samples_and_losses(profile: Profile, pandas: Any) -> None:
    frame = profile.to_pandas()
    assert int(frame.weight_ns.sum()) == whole(profile) and int(frame.samples.sum()) == profile.sample_count
    assert int(frame.cpu_ns.sum()) == profile.cpu_time_ns
    assert not any(str(kind) == "object" for kind in frame.dtypes)
    rows = frame[frame.samples == 1]
    for sample, row in zip(profile.samples, rows.itertuples()):
        leaf = sample.frames[-1] if sample.frames else None
        assert (row.timestamp_ns, row.thread_id, row.weight_ns, row.cpu_ns) == (
            sample.timestamp_ns, sample.thread_id, sample.weight_ns, sample.cpu_ns,
        )  # fmt: skip
        assert (row.state, row.waiting_for, row.task) == (sample.state, sample.waiting_for, sample.task)
        assert row.stack == ";".join(f.function_name for f in sample.frames) and row.depth == len(sample.frames)
        assert (row.function, row.filename, row.lineno) == (
            (leaf.function_name, leaf.filename, leaf.lineno) if leaf else ("", "", 0)
        )
    assert len(profile.to_pandas(losses=False)) == profile.sample_count


def test_sums_by_function_are_those_of_the_profile(pandas: Any) -> None:
    profile = PROFILES[0]
    sums = profile.to_pandas().groupby("function", observed=True).weight_ns.sum().to_dict()
    own = {f.function_name: f.self_ns for f in profile.functions() if f.self_ns}
    assert sums == {**own, "[dropped]": 3 * MS, "[unsampled]": 2 * MS}
    assert profile.to_pandas().attrs["mode"] == "cpu" and make_profile([]).to_pandas().empty
