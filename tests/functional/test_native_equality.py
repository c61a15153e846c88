"""The unwinder says what libunwind says, at hundreds of places where a running interpreter is interrupted."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest
from life import in_child

pytestmark = [
    pytest.mark.slow,  # it compiles
    pytest.mark.skipif(platform.machine() != "x86_64", reason="libunwind's interface differs"),
]

ROOT = Path(__file__).resolve().parents[2]


def test_the_same_as_libunwind(tmp_path: Path) -> None:
    library = tmp_path / "libequality.so"
    sources = ["tests/equality_helper.c", "csrc/codemap.c", "csrc/os/objects_linux.c", "csrc/core/budget.c"]
    sources += [str(path.relative_to(ROOT)) for path in (ROOT / "csrc" / "native").glob("*.c")]
    command = ["cc", "-std=c11", "-O2", "-D_GNU_SOURCE", "-Icsrc", "-shared", "-fPIC", *sources, "-o", str(library)]
    try:
        subprocess.run([*command, "-ldl", "-lpthread"], check=True, capture_output=True, cwd=ROOT)
    except FileNotFoundError:
        pytest.skip("needs a C compiler")
    told = in_child(
        """
import hashlib, json, re, sqlite3, zlib
class Difference(ctypes.Structure):
    _fields_ = [("at", ctypes.c_uint32), ("ours_n", ctypes.c_uint32), ("theirs_n", ctypes.c_uint32), ("pc", ctypes.c_uint64),
                ("ours", ctypes.c_uint64), ("theirs", ctypes.c_uint64)]
class Equality(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("stops", "frames", "equal", "differences")] + [("first", Difference * 20)]
library = ctypes.CDLL(sys.argv[1])
library.equality_stop.restype = ctypes.POINTER(Equality)
document = [{"a": i, "b": str(i) * 5} for i in range(300)]
base = sqlite3.connect(":memory:")
base.execute("create table t (a int, b text)")
base.executemany("insert into t values (?, ?)", [(i, str(i)) for i in range(500)])
def key(x): return -len(re.sub("[0-9]", "x", str(x)))
def deep(n): return max([n], key=lambda _: deep(n - 1) if n else work())
def work():
    zlib.compress(bytes(range(256)) * 300); hashlib.sha256(bytes(100000)).digest()
    json.loads(json.dumps(document)); json.dumps(document, indent=1)
    sorted(range(300), key=key); base.execute("select count(*), sum(a) from t where b like '%7%'").fetchall()
    [x ** 2.5 for x in range(500)]; "".join(reversed("abc" * 5000)).encode(); eval("(1 + 2) * 3")
    return 1
deep(3)
code = library.equality_start(1000)
if code == 0:
    end = time.process_time() + 6
    n = 0
    while time.process_time() < end:
        deep(n % 8); n += 1
found = library.equality_stop().contents
maps = [line.split() for line in open("/proc/self/maps")]
def where(address):
    for line in maps:
        low, high = (int(part, 16) for part in line[0].split("-"))
        if low <= address < high: return f"{os.path.basename(line[-1])}+{address - low + int(line[2], 16):#x}"
    return hex(address)
shown = found.first[:min(20, found.differences)]
shown = [[d.at, d.ours_n, d.theirs_n, where(d.pc), where(d.ours), where(d.theirs)] for d in shown]
tell([code, found.stops, found.frames, found.equal, shown])
""",
        str(library),
        timeout=100,
    )
    code, stops, frames, equal, differences = told
    if code == -1:
        pytest.skip("needs libunwind.so.8")
    assert code == 0
    assert stops > 300, told
    assert frames > stops * 10
    # libunwind itself loses its way in some prologues
    assert equal >= 0.99 * stops, differences
