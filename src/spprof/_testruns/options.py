"""The plugin's options, checked before the first test runs."""

from __future__ import annotations

import os
from collections import namedtuple

import pytest

from .._session import check_interval, check_mode
from ..export import FORMATS, check_ready, check_writable, format_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from .gate import Base

    class Options(NamedTuple):
        """What was asked for."""

        whole: bool
        per_test: bool
        interval_ms: float
        mode: str | None
        files: Files
        slowest: int
        base: Base | None
        tolerance: float

else:
    Options = namedtuple("Options", "whole per_test interval_ms mode files slowest base tolerance")

_UNSAFE = frozenset('/\\:*?"<>|[]')
_LONGEST_NAME = 120


class Files:
    """Where the profiles of a run go."""

    def __init__(self, path: str, format: str) -> None:
        self.format = format
        self.ending = FORMATS[format][0]
        try:
            self.whole_format = format_of(path)[0]
            self.is_folder = os.path.isdir(path)
        except ValueError:
            self.is_folder = True
        if self.is_folder:
            self.whole_format = format
            self.folder = path
            self.whole = os.path.join(path, "run" + self.ending)
            self.index = os.path.join(path, "tests.json")
            self.tests = os.path.join(path, "tests")
            self.workers = os.path.join(path, "workers")
        else:
            self.folder = os.path.dirname(path)
            self.whole = path
            self.index, self.tests, self.workers = (path + end for end in (".tests.json", ".tests", ".workers"))

    def of_test(self, nodeid: str) -> str:
        """The path of a test's profile: safe on every file system, and different for each test."""
        return os.path.join(self.tests, safe_name(nodeid) + self.ending)

    def of_worker(self, worker: str) -> str:
        """The path of a worker's profile. It is to be read again, so it has everything."""
        return os.path.join(self.workers, safe_name(worker, mark=False) + ".spprof")


def safe_name(name: str, mark: bool = True) -> str:
    """*name* as a file's name. *mark*: with a hash of it, so that no two names become one."""
    from hashlib import blake2b

    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    plain = "".join(
        [c if c.isascii() and c.isprintable() and c not in _UNSAFE and not c.isspace() else "_" for c in name]
    ).lstrip(".-")
    # The end of a test's id says more than the folders that it begins with.
    return f"{plain[-_LONGEST_NAME:].lstrip('.-')}-{digest}" if mark else plain


def read(config: pytest.Config) -> Options:
    """The options of a run. Raises pytest.UsageError for what can't be done."""
    option = config.option
    try:
        check_interval(option.spprof_interval)
        check_mode(option.spprof_mode)
        if option.spprof_slowest < 0:
            raise ValueError(f"--spprof-slowest must not be negative, not {option.spprof_slowest}")
        if not option.spprof_tolerance >= 0:
            raise ValueError(f"--spprof-tolerance must be a percentage from 0 on, not {option.spprof_tolerance}")
        if option.spprof_format not in FORMATS:
            raise ValueError(f"--spprof-format: {option.spprof_format!r} is none of {', '.join(FORMATS)}")
        if not option.spprof_output:
            raise ValueError("--spprof-output: the name is empty")
        # Workers of pytest-xdist get the same options, and may have another working directory.
        option.spprof_output = os.path.abspath(option.spprof_output)
        files = Files(option.spprof_output, option.spprof_format)
        check_ready(files.format)
        check_ready(files.whole_format)
        is_worker = hasattr(config, "workerinput")
        whole = option.spprof or option.spprof_compare is not None
        if not is_worker:
            os.makedirs(files.folder, exist_ok=True)
            check_writable(files.whole if whole else files.index)
        base = None
        if option.spprof_compare is not None and not is_worker:
            from .gate import Base

            base = Base(option.spprof_compare)
            base.check_mode(option.spprof_mode)
    except OSError as error:
        raise pytest.UsageError(f"spprof: can't write {error.filename!r}: {error.strerror}") from None
    except (ValueError, RuntimeError) as error:
        raise pytest.UsageError(f"spprof: {error}") from None
    return Options(
        whole, option.spprof_per_test, option.spprof_interval, option.spprof_mode, files,
        option.spprof_slowest, base, option.spprof_tolerance,
    )  # fmt: skip
