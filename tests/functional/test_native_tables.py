"""The reader of .eh_frame against readelf: what both make of every object that this process has in memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
STOP, NONE, END, SP, FP, SP_DEREF, FP_DEREF, PLT = range(8)
NOT_SAVED, AT_CFA, AT_SP, AT_FP, LOST, ELSEWHERE = range(6)
_LINE = re.compile(r"[0-9a-f]{16} ")


class Row(NamedTuple):
    start: int
    cfa: str  # "rsp+8"
    fp: str  # "c-16", "u", ...
    ra: str


def objects() -> list[str]:
    """Files of executable mappings, and what else the interpreter may load."""
    with open("/proc/self/maps") as maps:
        mapped = {line.split(None, 5)[5].strip() for line in maps if "r-xp" in line and "/" in line}
    folder = Path(sysconfig.get_paths()["stdlib"]) / "lib-dynload"
    return sorted({path for path in mapped if os.path.exists(path)} | {str(path) for path in folder.glob("*.so")})


def said_by_readelf(path: str) -> list[tuple[int, int, list[Row]]]:
    """Functions as (start, end, rows)."""
    text = subprocess.run(
        ["readelf", "-W", "--debug-dump=frames-interp", path],
        capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"},
    ).stdout  # fmt: skip  # it may complain, and be right about that, of debug information that is elsewhere
    text = text.partition("Contents of the .debug_frame")[0]
    functions: list[tuple[int, int, list[Row]]] = []
    columns: list[str] = []
    initial: list[str] = []
    of_cie: dict[str, tuple[list[str], list[str]]] = {}
    offset, is_cie = "", False
    for line in text.splitlines():
        head = re.match(r"([0-9a-f]+) [0-9a-f]+ [0-9a-f]+ (CIE|FDE)", line)
        if head:
            offset, is_cie = head[1], head[2] == "CIE"
            columns = []
            if not is_cie:
                where = re.search(r"cie=([0-9a-f]+) pc=([0-9a-f]+)\.\.([0-9a-f]+)", line)
                assert where, line
                functions.append((int(where[2], 16), int(where[3], 16), []))
                columns, initial = of_cie.get(where[1], ([], []))
                if columns:
                    functions[-1][2].append(_row(functions[-1][0], columns, initial))
        elif line.lstrip().startswith("LOC"):
            columns = line.split()
        elif _LINE.match(line) and columns:
            values = re.sub(r" \(\w+\)", "", line).split()  # "r10 (r10)": one column
            if is_cie:
                of_cie[offset] = (columns, values[1:])
            else:
                rows = functions[-1][2]
                start = int(values[0], 16)
                if rows and rows[-1].start == start:
                    rows.pop()
                rows.append(_row(start, columns, values[1:]))
    return functions


def _row(start: int, columns: list[str], values: list[str]) -> Row:
    named = dict(zip(columns[1:], values))
    return Row(start, named["CFA"], named.get("rbp", "u"), named.get("ra", "u"))


def said_by_us(dump: Path, path: str, folder: Path) -> list[tuple[int, int, int, int, int, int]]:
    sections = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    found = re.search(r" \.eh_frame +\S+ +([0-9a-f]+) ", sections)
    if not found:
        return []
    section = folder / "section"
    subprocess.run(["objcopy", "-O", "binary", "--only-section=.eh_frame", path, str(section)], check=True)
    base = 0 if int(found[1], 16) < 1 << 31 else int(found[1], 16) >> 32 << 32
    out = subprocess.run(
        [str(dump), str(section), "0x" + found[1], hex(base), hex(2**32 - 1)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = []
    for line in out.splitlines():
        first, *rest = line.split()
        rows.append((int(first, 16), *map(int, rest)))
    return rows  # type: ignore[return-value]


def agrees(row: Row, ours: tuple[int, int, int, int, int, int]) -> bool:
    _, cfa, offset, fp, fp_offset, _ = ours
    if row.ra == "u":
        return cfa == END
    if not row.ra.startswith("c"):
        return cfa == STOP or row.ra == "exp"
    if row.cfa == "exp":
        return cfa in {PLT, SP_DEREF, FP_DEREF, STOP, SP, FP}
    register, sign, number = re.fullmatch(r"(\w+)([+-])(\d+)", row.cfa).groups()  # type: ignore[union-attr]
    if register not in {"rsp", "rbp"}:
        return cfa == STOP
    if cfa != (SP if register == "rsp" else FP) or offset != int(sign + number):
        return False
    if row.fp == "u":
        return fp in {NOT_SAVED, LOST}
    if row.fp.startswith("c"):
        return fp == AT_CFA and fp_offset == int(row.fp[1:])
    return row.fp in {"exp", "vexp", "s"} or fp == ELSEWHERE


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="compares registers of x86-64")
def test_same_as_readelf(tmp_path: Path) -> None:
    for tool in ("readelf", "objcopy", "cc"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    dump = tmp_path / "dump_tables"
    sources = [str(path) for path in (ROOT / "csrc/native").glob("*.c")]
    command = ["cc", "-O2", "-std=gnu11", f"-I{ROOT / 'csrc'}", str(ROOT / "tests/c/dump_tables.c"), *sources]
    subprocess.run([*command, str(ROOT / "csrc/core/budget.c"), "-o", str(dump)], check=True)
    compared, unfollowed, wrong = 0, 0, []
    for path in objects():
        ours = said_by_us(dump, path, tmp_path)
        if not ours:
            continue
        starts = [row[0] for row in ours]
        for _, _, rows in said_by_readelf(path):
            for row in rows:
                at = bisect_right(starts, row.start) - 1
                if at < 0:
                    wrong.append((path, row, None))
                    continue
                compared += 1
                unfollowed += ours[at][1] == STOP
                if not agrees(row, ours[at]):
                    wrong.append((path, row, ours[at]))
    assert compared > 20_000
    assert not wrong, (len(wrong), compared, wrong[:12])
    assert unfollowed < compared / 100, (unfollowed, compared)
