"""Saving: which format, and that a file is replaced as a whole or not at all."""

from __future__ import annotations

import errno
import gzip
import json
import os
import stat
from pathlib import Path

import pytest
from children import python
from profiles import CHILD_PATH, example, make_profile
from report import any_page

from spprof import export
from spprof.export._file import check_writable

__all__ = ["any_page"]
root_only = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")


@pytest.mark.parametrize(
    ("name", "format", "compressed"),
    [
        ("a.speedscope.json", "speedscope", False), ("a.json", "speedscope", False), ("A.JSON.GZ", "speedscope", True),
        ("a.collapsed", "collapsed", False), ("a.txt", "collapsed", False), ("a.folded.gz", "collapsed", True),
        ("x/a.svg", "svg", False), (b"a.svg", "svg", False), (Path("a.b.svg.gz"), "svg", True),
    ],
)  # fmt: skip
def test_format_by_ending(name: object, format: str, compressed: bool) -> None:
    assert export.format_of(name) == (format, compressed)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a", "a.gz", "a.pdf", ".gz", "json", "a.svg.bz2"])
def test_unknown_endings_name_the_known_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"speedscope: \.speedscope\.json, \.json; collapsed: .*; svg: \.svg; .*\.gz"):
        example().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_format_overrides_the_ending(tmp_path: Path) -> None:
    profile = example()
    profile.save(tmp_path / "a.svg", format="collapsed")
    assert (tmp_path / "a.svg").read_text() == profile.to_collapsed()
    profile.save(tmp_path / "plain", "speedscope")
    assert json.loads((tmp_path / "plain").read_text()) == profile.to_speedscope()
    with pytest.raises(ValueError, match="unknown format 'pdf'; known formats: speedscope, collapsed, svg"):
        profile.save(tmp_path / "b.svg", format="pdf")
    with pytest.raises(TypeError):
        profile.save(tmp_path / "b.svg", format=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        profile.save(3)  # type: ignore[arg-type]


@pytest.mark.usefixtures("any_page")
@pytest.mark.parametrize("ending", [ending for endings in export.FORMATS.values() for ending in endings])
def test_compressed_is_the_same_and_equal_runs_give_equal_files(ending: str, tmp_path: Path) -> None:
    profile = example()
    profile.save(tmp_path / f"a{ending}")
    profile.save(tmp_path / f"a{ending}.gz")
    example(first_id=1000 if ending == ".spprof" else 5).save(tmp_path / f"other{ending}.gz")  # it keeps threads' ids
    assert gzip.decompress((tmp_path / f"a{ending}.gz").read_bytes()) == (tmp_path / f"a{ending}").read_bytes()
    assert (tmp_path / f"a{ending}.gz").read_bytes() == (tmp_path / f"other{ending}.gz").read_bytes()


def test_aggregate_saves_as_json(tmp_path: Path) -> None:
    aggregated = example().aggregate()
    aggregated.save(tmp_path / "profile.json")
    assert json.loads((tmp_path / "profile.json").read_text()) == aggregated.to_speedscope()


def test_undecodable_names_are_no_error(tmp_path: Path) -> None:
    profile = make_profile([(0, ("f\udcff",), 1)])
    for ending in (".json", ".txt", ".svg"):
        profile.save(tmp_path / f"a{ending}")
        (tmp_path / f"a{ending}").read_text(encoding="utf-8")
    assert "f\\udcff" in (tmp_path / "a.txt").read_text()


def test_permissions_are_those_of_open(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        example().save(tmp_path / "new.txt")
        with open(tmp_path / "opened", "w"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "new.txt").stat().st_mode == (tmp_path / "opened").stat().st_mode
    os.chmod(tmp_path / "new.txt", 0o604)
    example().save(tmp_path / "new.txt")
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o604


def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def failing(profile: object) -> object:
        yield "half"
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "renderer", lambda format: failing)
    for name in ("a.txt", "a.txt.gz", "b.txt"):
        with pytest.raises(KeyboardInterrupt):
            example().save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


def test_a_full_disk_keeps_the_old_file_and_names_the_new_one(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for the full disk: write() fails in the middle of the file."""
    (tmp_path / "a.json").write_text("old")
    result = python(
        "-c",
        "import resource, os\n"
        "from profiles import EXAMPLE, make_profile\n"
        "profile = make_profile(EXAMPLE * 1000, threads='ab')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: profile.save('a.json')\n"
        "except OSError as error: print(error.errno, error.filename)\n",
        cwd=tmp_path,
        env=CHILD_PATH,
    )
    assert result.stdout.split() == [str(errno.EFBIG), os.path.realpath(tmp_path / "a.json")], result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "a.txt")
    example().save(tmp_path / "link.txt")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == example().to_collapsed()


def test_long_and_odd_file_names(tmp_path: Path) -> None:
    for name in ("\u00e9" * 120 + ".txt", "x" * 251 + ".txt", "a\udcff.txt", " .txt", ".txt", "-.txt"):
        example().save(tmp_path / name)
        assert (tmp_path / name).exists()
    assert len(list(tmp_path.iterdir())) == 6


def test_pipes_and_stdout(tmp_path: Path) -> None:
    command = "from profiles import example; example().save('/dev/stdout', 'collapsed')"
    env = CHILD_PATH
    assert python("-c", command, env=env).stdout == example().to_collapsed()
    with open(tmp_path / "out", "w") as out:
        assert python("-c", command, env=env, stdout=out).returncode == 0
    assert (tmp_path / "out").read_text() == example().to_collapsed()


class TestCheckWritable:
    def test_leaves_nothing_and_gives_the_absolute_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert check_writable("a.svg") == str(tmp_path / "a.svg")
        (tmp_path / "b.svg").write_text("old")
        assert check_writable(b"b.svg") == str(tmp_path / "b.svg")
        assert (tmp_path / "b.svg").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["b.svg"]

    def test_says_what_is_wrong_with_the_path(self, tmp_path: Path) -> None:
        (tmp_path / "dir.svg").mkdir()
        (tmp_path / "file").write_text("")
        for path, kind in (
            (tmp_path / "dir.svg", IsADirectoryError),
            (tmp_path / "no" / "a.svg", FileNotFoundError),
            (tmp_path / "file" / "a.svg", NotADirectoryError),
        ):
            with pytest.raises(kind) as caught:
                check_writable(path)
            assert caught.value.filename == str(path)
            with pytest.raises(kind) as caught:
                example().save(path)
            assert caught.value.filename == os.path.realpath(path)

    @root_only
    def test_a_folder_that_is_not_ours(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o555)
        try:
            with pytest.raises(PermissionError) as caught:
                check_writable(tmp_path / "a.svg")
            assert caught.value.filename == str(tmp_path / "a.svg")
        finally:
            tmp_path.chmod(0o755)
