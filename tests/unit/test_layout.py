"""The source tree keeps its directions, and the check that says so notices when it does not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("check_layout", ROOT / "tools" / "check_layout.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


check_layout = _load()


def test_this_tree() -> None:
    found = check_layout.offences(ROOT)
    assert not found, "\n".join(found)


# A tree in which everything is allowed; each case below adds one file or replaces one.
GOOD = {
    "csrc/core/ring.h": "#include <stdint.h>\n",
    "csrc/core/ring.c": '#include "ring.h"\n#include <string.h>\n/* PY_VERSION_HEX, __linux__ */\n',
    "csrc/cpython/access_39.h": "#include <frameobject.h>\n#if PY_VERSION_HEX < 0x030A0000\n#endif\n",
    "csrc/cpython/frames.h": '#include <Python.h>\n#include "internal/pycore_frame.h"\n#include "core/ring.h"\n',
    "csrc/os/clock.h": '#include <time.h>\n#include <unistd.h>\n#ifdef __linux__\n#endif\n#include "core/ring.h"\n',
    "csrc/session.h": '#include <pthread.h>\n#include "core/ring.h"\n#include "os/clock.h"\n',
    "csrc/capture.c": '#include "session.h"\n#include "cpython/frames.h"\n#include "os/clock.h"\n',
    "csrc/ext/module.c": '#include <Python.h>\n#include "session.h"\nconst char *x = "PY_VERSION_HEX";\n',
    "src/spprof/__init__.py": (
        '"""Doc."""\nfrom ._session import start\nTYPE_CHECKING = False\nif TYPE_CHECKING:\n    from . import _native\n'
        '__all__ = ["start"]\ndef __getattr__(name): ...\n'
    ),
    "src/spprof/_backend.py": "try:\n    from . import _native\nexcept ImportError:\n    from . import _fallback\n",
    "src/spprof/_fallback.py": "import threading\nfrom ._backend import reason\n",
    "src/spprof/_session.py": "import os\nfrom ._backend import backend, native\n",
    "src/spprof/_model.py": "import json\ndef save():\n    from .export import save\n",
    "src/spprof/export/__init__.py": "from ._file import writing\nfrom .._model import Frame\n",
    "src/spprof/export/_file.py": "import os\n",
    "src/spprof/cli/__init__.py": (
        "import argparse\nimport spprof\nfrom spprof.export import save\nfrom spprof.cli._table import show\n"
    ),
    "src/spprof/cli/_table.py": "def show():\n    import rich.table\n",
}


def offences_of(tmp_path: Path, changes: dict[str, str]) -> list[str]:
    """What the check says about the good tree with some files changed."""
    for name, text in {**GOOD, **changes}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found: list[str] = check_layout.offences(tmp_path)
    return found


def test_good_tree(tmp_path: Path) -> None:
    assert offences_of(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("csrc/core/ring.c", "#include <Python.h>\n", "csrc/core/* may not include python:Python.h"),
        ("csrc/core/ring.c", "#include <unistd.h>\n", "csrc/core/* may not include os:unistd.h"),
        ("csrc/core/ring.c", '#include "os/clock.h"\n', "csrc/core/* may not include os/clock.h"),
        ("csrc/core/ring.c", '#  include "../os/clock.h"\n', "csrc/core/* may not include os/clock.h"),
        ("csrc/core/ring.c", '#include "session.h"\n', "csrc/core/* may not include ./session.h"),
        ("csrc/core/ring.c", '#include "gone.h"\n', "there is no gone.h"),
        ("csrc/core/ring.c", "\n#ifdef __linux__\n#endif\n", "csrc/core/ring.c:2: __linux__ belongs in csrc/os/*"),
        ("csrc/core/ring.c", "/* a\n*/ int x = PY_VERSION_HEX;\n", "csrc/core/ring.c:2: PY_VERSION_HEX belongs in"),
        ("csrc/cpython/frames.c", '#include "os/clock.h"\n', "csrc/cpython/* may not include os/clock.h"),
        ("csrc/cpython/frames.c", "#include <sys/mman.h>\n", "csrc/cpython/* may not include os:sys/mman.h"),
        ("csrc/cpython/frames.c", "#if defined(_WIN32)\n#endif\n", "_WIN32 belongs in csrc/os/*"),
        ("csrc/os/tick.c", "#include <Python.h>\n", "csrc/os/* may not include python:Python.h"),
        ("csrc/os/tick.c", '#include "cpython/frames.h"\n', "csrc/os/* may not include cpython/frames.h"),
        ("csrc/os/tick.c", "#if PY_VERSION_HEX\n#endif\n", "PY_VERSION_HEX belongs in csrc/cpython/*"),
        ("csrc/capture.c", "#include <stdio.h>\n", "csrc/capture.c may not include c:stdio.h"),
        ("csrc/capture.c", "#include <Python.h>\n", "csrc/capture.c may not include python:Python.h"),
        ("csrc/drain.c", '#include "ext/module.c"\n', "csrc/* may not include ext/module.c"),
        ("csrc/drain.c", "#include <unistd.h>\n", "csrc/* may not include os:unistd.h"),
        ("csrc/drain.c", '#include "cpython/access_39.h"\n', "csrc/* may not include cpython/access_39.h"),
        ("csrc/ext/api.c", '#include "core/ring.h"\n', "csrc/ext/* may not include core/ring.h"),
        ("csrc/ext/api.c", '#include "os/clock.h"\n', "csrc/ext/* may not include os/clock.h"),
        ("csrc/ext/api.c", '#include "cpython/access_39.h"\n', "csrc/ext/* may not include cpython/access_39.h"),
        ("csrc/new/x.c", "", "its folder is not in the table"),
        ("src/spprof/_session.py", "from . import _native\n", "only _backend.py imports _native"),
        ("src/spprof/_session.py", "import spprof._native\n", "only _backend.py imports _native"),
        ("src/spprof/_session.py", "from spprof._native import start\n", "only _backend.py imports _native"),
        (
            "src/spprof/cli/__init__.py",
            "import importlib\nimportlib.import_module('spprof._native')\n",
            "only _backend.py imports _native",
        ),
        ("src/spprof/_model.py", "from ._session import start\n", "model may not import session"),
        ("src/spprof/_model.py", "from .export import save\n", "model may import export only inside a function"),
        ("src/spprof/export/svg.py", "from .._session import x\n", "export may not import session (_session)"),
        ("src/spprof/export/svg.py", "def f():\n    from ..cli import x\n", "export may not import cli"),
        ("src/spprof/_backend.py", "from ._model import Frame\n", "sampler may not import model"),
        ("src/spprof/_session.py", "from .cli import main\n", "session may not import cli"),
        ("src/spprof/cli/run.py", "from spprof.export._file import writing\n", "export._file.writing is private"),
        ("src/spprof/cli/run.py", "from spprof.export import _file\n", "export._file is private to export"),
        ("src/spprof/cli/run.py", "from spprof.export import _helper\n", "export._helper is private to export"),
        ("src/spprof/cli/run.py", "import rich\n", "rich may only be imported inside a function"),
        ("src/spprof/_new.py", "", "src/spprof/_new.py: not in the table"),
        ("src/spprof/_session.py", "from ._gone import x\n", "imports _gone, which is not in the table"),
        ("src/spprof/__init__.py", "def start(): ...\n", "src/spprof/__init__.py:1: __init__.py holds re-exports"),
        ("src/spprof/__init__.py", "from .cli import main\n", "front may not import cli"),
    ],
)
def test_offence_is_found(tmp_path: Path, name: str, text: str, said: str) -> None:
    found = offences_of(tmp_path, {name: text})
    assert len(found) == 1
    assert said in found[0]
    assert found[0].startswith(name)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the list of standard modules came with 3.10")
@pytest.mark.parametrize("text", ["import numpy\n", "def f():\n    import numpy.linalg\n", "from rich import x\n"])
def test_core_stands_on_the_standard_library(tmp_path: Path, text: str) -> None:
    found = offences_of(tmp_path, {"src/spprof/_session.py": text})
    assert len(found) == 1
    assert "session stands on the standard library alone" in found[0]
