"""Programs and libraries that the tests of symbols are made with, and what binutils says about them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Functions that can be seen and that can't, several lines each; parts as GCC names them; one without a size.
C_SOURCE = """\
#include <stdlib.h>

static __attribute__((noinline)) int hidden(int x)
{
    int sum = 0;
    for (int i = 0; i < x; i++)
        sum += i * x;
    return sum;
}

__attribute__((noinline)) int visible(int x)
{
    if (x > 1000)
        abort();
    return hidden(x) + 1;
}

int work(int x)
{
    return visible(x) ^ hidden(x + 1);
}

int part(int x) __asm__("work.part.0");
int part(int x) { return x + 1; }
int isra(int x) __asm__("work.isra.0.constprop.1");
int isra(int x) { return x + 2; }
int cold(int x) __asm__("work.cold");
int cold(int x) { return x + 3; }
int other(int x) __asm__("work.parted");
int other(int x) { return x + 4; }

extern int __alias(int x) __attribute__((alias("visible")));

__asm__(".text\\n.globl bare\\n.type bare, @function\\nbare: nop\\nnop\\nnop\\nret\\n");
"""

CPLUSPLUS_SOURCE = """\
#include "shape.h"

namespace geometry {
template <typename T> __attribute__((noinline)) T area(const Shape<T> &shape)
{
    T found = shape.width();
    found *= shape.width();
    return found;
}

template int area<int>(const Shape<int> &);
template double area<double>(const Shape<double> &);

static __attribute__((noinline)) long squares(long n)
{
    long sum = 0;
    auto square = [&](long i) { sum += i * i; };
    for (long i = 0; i < n; i++)
        square(i);
    return sum;
}
}

extern "C" long entry(long n) { return geometry::squares(n) + geometry::area(Shape<int>(3)); }
"""

CPLUSPLUS_HEADER = """\
template <typename T> class Shape {
    T width_;
public:
    explicit Shape(T width) : width_(width) {}
    T width() const
    {
        return width_ + 1;
    }
};
"""


def tool(name: str) -> str:
    """The path of a tool; skips the test without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def run(*command: str | Path, text: str | None = None) -> str:
    """What a tool prints."""
    done = subprocess.run(
        [tool(str(command[0])), *map(str, command[1:])], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


#: The usual source as compiled before, by options: most tests want the same few.
_compiled: dict[tuple[str, ...], bytes] = {}


def build_c(folder: Path, *options: str, name: str = "libobject.so", source: str = C_SOURCE) -> Path:
    """A shared library of one C file, with a build id."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / name
    (folder / "object.c").write_text(source)
    if source == C_SOURCE and options in _compiled:
        made.write_bytes(_compiled[options])
        return made
    run("gcc", "-shared", "-fPIC", "-Wl,--build-id", *options, folder / "object.c", "-o", made)
    if source == C_SOURCE:
        _compiled[options] = made.read_bytes()
    return made


def build_cplusplus(folder: Path, *options: str, name: str = "libshape.so") -> Path:
    """A shared library of a C++ file with a header."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shape.h").write_text(CPLUSPLUS_HEADER)
    (folder / "shape.cpp").write_text(CPLUSPLUS_SOURCE)
    made = folder / name
    run("g++", "-shared", "-fPIC", "-Wl,--build-id", *options, folder / "shape.cpp", "-o", made)
    return made


def build_id(path: Path) -> bytes:
    """As readelf has it."""
    for line in run("readelf", "-n", path).splitlines():
        if "Build ID:" in line:
            return bytes.fromhex(line.split()[-1])
    return b""


def functions_by_nm(path: Path, *options: str) -> set[tuple[str, int, int]]:
    """(name, address, size) of each function that nm knows, as far as they have a size."""
    found = set()
    for line in run("nm", "-S", "--defined-only", *options, path).splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[2] in "TtWwi":
            found.add((fields[3].partition("@")[0], int(fields[0], 16), int(fields[1], 16)))
    return found


def lines_by_addr2line(path: Path, addresses: Iterable[int]) -> list[tuple[str, int]]:
    """File name (without folders) and line of each address; ("", 0) if it is not known."""
    answers = run("addr2line", "-e", path, text="\n".join(map(hex, addresses))).splitlines()
    found = []
    for answer in answers:
        file, _, line = answer.partition(" (discriminator")[0].rpartition(":")
        found.append(("" if file == "??" else Path(file).name, int(line) if line.isdigit() else 0))
    return found
