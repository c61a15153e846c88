"""Names as the source has them: examples, what c++filt says, and no input that does any harm."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import children
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from objects import build_cplusplus, functions_by_nm, run

from spprof._symbols import demangle as demangling
from spprof._symbols import functions, rust, symbolize
from spprof._symbols.demangle import demangle

SETTINGS = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
UNTOUCHED = [
    "",
    "main",
    "_ZTV",
    "_Z",
    "_R",
    "_RNv",
    "_RX",
    "__Z",
    "_Z\0",
    "_Zé",
    "_Rust_thing",
    "_ZN3foo17h",
    "PyList_New",
]

#: From RFC 2603, and made after its grammar.
V0 = [
    ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
    ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
    ("_RNvCs_1a1b", "a::b"),
    ("_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>"),
    ("_RINvNtC3std3mem8align_ofdE", "std::mem::align_of::<f64>"),
    ("_RNCNvC7mycrate3foo0", "mycrate::foo::{closure#0}"),
    ("_RNCNvC7mycrate3foos_0", "mycrate::foo::{closure#1}"),
    ("_RNSNvC1a1b3vtab", None),
    ("_RNSNvC1a1b6vtable", "a::b::{shim:vtable#0}"),
    ("_RNvMC1aNtC1a1b1c", "<a::b>::c"),
    ("_RNvMNtC1a1mINtC1a1bhE1c", "<a::b<u8>>::c"),
    ("_RNvXC1aNtC1a1bNtC1a1t1c", "<a::b as a::t>::c"),
    ("_RNvYNtC1a1bNtC1a1t1c", "<a::b as a::t>::c"),
    ("_RNvYNtC1a1bNtB2_1t1c", "<a::b as a::b::t>::c"),
    ("_RNvYNtC1a1bNtB4_1t1c", "<a::b as a::t>::c"),
    ("_RNvYNtC1a1bNtB5_1t1c", None),
    ("_RNvC6_123foo3bar", "123foo::bar"),
    ("_RNvC1au5zhl_a", None),  # would be a control character
    ("_RNvC1au8gdel_5qa", "a::g\u00f6del"),
    ("_RINvC1a1fNvB2_1gE", "a::f::<a::g>"),
    ("_RINvC1a1fNtB3_1gE", None),
    ("_RINvC1a1fTEE", "a::f::<()>"),
    ("_RINvC1a1fThEE", "a::f::<(u8,)>"),
    ("_RINvC1a1fThaEE", "a::f::<(u8, i8)>"),
    ("_RINvC1a1fRhE", "a::f::<&u8>"),
    ("_RINvC1a1fQShE", "a::f::<&mut [u8]>"),
    ("_RINvC1a1fAhj4_E", "a::f::<[u8; 4]>"),
    ("_RINvC1a1fPhE", "a::f::<*const u8>"),
    ("_RINvC1a1fOzE", "a::f::<*mut !>"),
    ("_RINvC1a1fL_E", "a::f::<'_>"),
    ("_RINvC1a1fFEuE", "a::f::<fn()>"),
    ("_RINvC1a1fFUKCPhEbE", 'a::f::<unsafe extern "C" fn(*const u8) -> bool>'),
    ("_RINvC1a1fFK9system_v1EuE", 'a::f::<extern "system-v1" fn()>'),
    ("_RINvC1a1fFK8system_vEuE", 'a::f::<extern "system-v" fn()>'),
    ("_RINvC1a1fFG_RL0_hERL0_hE", "a::f::<for<'a> fn(&'a u8) -> &'a u8>"),
    ("_RINvC1a1fFG0_RL1_hRL0_hERL1_hE", "a::f::<for<'a, 'b> fn(&'a u8, &'b u8) -> &'a u8>"),
    ("_RINvC1a1fDNtC1a1tEL_E", "a::f::<dyn a::t>"),
    ("_RINvC1a1fDNtC1a1tNtC1a1uEL_E", "a::f::<dyn a::t + a::u>"),
    ("_RINvC1a1fDNtC1a1tp3OuthEL_E", "a::f::<dyn a::t<Out = u8>>"),
    ("_RINvC1a1fDINtC1a1tbEp3OuthEL_E", "a::f::<dyn a::t<bool, Out = u8>>"),
    ("_RINvC1a1fKj7b_E", "a::f::<123>"),
    ("_RINvC1a1fKj_E", "a::f::<0>"),
    ("_RINvC1a1fKsn5_E", "a::f::<-5>"),
    ("_RINvC1a1fKo10000000000000000_E", "a::f::<0x10000000000000000>"),
    ("_RINvC1a1fKb1_E", "a::f::<true>"),
    ("_RINvC1a1fKb2_E", None),
    ("_RINvC1a1fKc27_E", "a::f::<'\\''>"),
    ("_RINvC1a1fKc2603_E", "a::f::<'\u2603'>"),
    ("_RINvC1a1fKpE", "a::f::<_>"),
    ("_RINvC1a1fKRe616263_E", 'a::f::<"abc">'),
    ("_RINvC1a1fKe22_E", 'a::f::<{*"\\""}>'),
    ("_RINvC1a1fKRRe_E", 'a::f::<{&""}>'),
    ("_RINvC1a1fKTh1_EE", "a::f::<{(1,)}>"),
    ("_RINvC1a1fKAh1_h2_EE", "a::f::<{[1, 2]}>"),
    ("_RINvC1a1fKVNtC1a1bUE", "a::f::<{a::b}>"),
    ("_RINvC1a1fKVINtC1a1bhETh1_EE", "a::f::<{a::b::<u8>(1)}>"),
    ("_RINvC1a1fKVNtC1a1bS1xh1_EE", "a::f::<{a::b { x: 1 }}>"),
    ("_RNvC1a1bC1c", "a::b"),
    ("_RNvC1a1b.llvm.123ABC", "a::b"),
    ("_RNvC1a1b.cold.1", "a::b.cold.1"),
    ("_RNvC1a1b!", None),
    ("_RINvC1a1fB_E", None),
    ("_RNvB_1b", None),
]

LEGACY = [
    ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
    ("_ZN4test17h0123456789abcdefE", "test"),
    ("_ZN12test$BP$test$17h0123456789abcdefE", None),
    ("_ZN8$RF$testa17h0123456789abcdefE", None),
    ("_ZN8$RF$test17h0123456789abcdefE", "&test"),
    ("_ZN28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE", "{{closure}}"),
    ("_ZN26_$LT$T$u20$as$u20$a..B$GT$1c17h0123456789abcdefE", "<T as a::B>::c"),
    ("_ZN3foo17h0123456789abcdefE.llvm.9D1C9369", "foo"),
    ("_ZN3foo17h0123456789abcdefE.cold", "foo.cold"),
]


@pytest.mark.parametrize(("name", "shown"), V0)
def test_rust_v0(name: str, shown: str | None) -> None:
    assert rust.demangle(name) == shown
    assert demangle(name) == (shown or name)


def test_the_examples_are_those_of_cxxfilt() -> None:
    """As far as binutils knows the kind: it writes hashes and types, and not yet constants made of others."""
    older = [
        (n, s)
        for n, s in V0
        if s and n.isascii() and not any(x in s for x in ("{", '<"', "\u2603", "<0>", "<0x", "'\\''", ".cold"))
    ]
    assert len(older) >= 38
    for (_, shown), said in zip(older, run("c++filt", text="\n".join(name for name, _ in older)).splitlines()):
        assert re.sub(r"\[[0-9a-f]+\]|: (?:u|i)?(?:8|16|32|128|size)|: (?:bool|char)", "", said) == shown


@pytest.mark.parametrize(("name", "shown"), LEGACY)
def test_rust_legacy(name: str, shown: str | None) -> None:
    if shown is not None:
        assert demangle(name) == shown
    else:
        assert "::" not in demangle(name)


@pytest.mark.parametrize("name", UNTOUCHED)
def test_what_is_not_mangled_stays(name: str) -> None:
    assert demangle(name) == name


def test_cplusplus_names_are_those_of_cxxfilt(tmp_path: Path) -> None:
    path = build_cplusplus(tmp_path, "-O1")
    mangled = sorted({name for name, _, _ in functions_by_nm(path) if name.startswith("_Z")})
    assert len(mangled) >= 3
    assert [demangle(name) for name in mangled] == run("c++filt", text="\n".join(mangled)).splitlines()
    [area] = functions(str(path), None, lambda name: name.startswith("_ZN8geometry4areaId"))
    [symbol] = symbolize(str(path), None, [area.start])
    assert symbol.name == "double geometry::area<double>(Shape<double> const&)"


@pytest.mark.parametrize(
    "name", ["_ZN3fooEv.cold", "_ZNSt6vectorIiSaIiEE9push_backERKi", "_ZN1aILi3EE1bC2ERKS0_", "_Zeq"]
)
def test_cplusplus_examples_are_those_of_cxxfilt(name: str) -> None:
    assert demangle(name) == run("c++filt", name).strip()


def test_without_a_cplusplus_library_names_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demangling, "_LIBRARIES", ("libnothing-of-that-name.so.0",))
    monkeypatch.setattr(demangling, "_looked_for", False)
    monkeypatch.setattr(demangling, "_cxa_demangle", None)
    assert demangle("_ZN3fooEv") == "_ZN3fooEv"
    assert demangle("_ZN3foo17h0123456789abcdefE") == "foo"


def test_the_cplusplus_library_is_loaded_for_cplusplus_names_only() -> None:
    done = children.python(
        "-c",
        "import sys\n"
        "from spprof._symbols.demangle import demangle\n"
        "demangle('main'); demangle('_RNvC1a1b'); demangle('_ZN3foo17h0123456789abcdefE')\n"
        "assert 'ctypes' not in sys.modules and 'libstdc++' not in open('/proc/self/maps').read()\n"
        "print(demangle('_ZN3fooEv'))\n",
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("foo()", "_ZN3fooEv")


RUST_SOURCE = """\
use std::fmt::Debug;
pub trait Wide<T> { fn wide(&self, t: T) -> usize; }
pub struct Pair<U>(pub U);
impl<U, T: Debug> Wide<T> for Pair<U> {
    #[inline(never)] fn wide(&self, t: T) -> usize { format!("{:?}", t).len() }
}
pub struct Sized3<const N: usize, const B: bool, const C: char, const S: i16>;
impl<const N: usize, const B: bool, const C: char, const S: i16> Sized3<N, B, C, S> {
    #[inline(never)] pub fn go(&self) -> usize { N + B as usize + C as usize }
}
#[inline(never)] pub fn gen<T>(t: T) -> usize { std::mem::size_of_val(&t) }
mod გემრიელი { #[inline(never)] pub fn სადილი() -> usize { super::gen(1u8) } }
fn pick<'a, 'b>(a: &'a u8, _b: &'b u8) -> &'a u8 { a }
#[no_mangle] pub extern "C" fn entry(p: usize) -> usize {
    let boxed: Box<dyn Fn(&str) -> usize + Send> = Box::new(move |s| s.len() + p);
    Pair(3u8).wide("x") + Sized3::<300, false, '☃', -7>.go() + gen([1u16; 4]) + gen(boxed) + გემრიელი::სადილი()
        + gen::<for<'a, 'b> fn(&'a u8, &'b u8) -> &'a u8>(pick)
}
"""


@pytest.mark.slow
def test_names_of_a_rust_program_are_those_of_cxxfilt(tmp_path: Path) -> None:
    compiler = shutil.which("rustc")
    if compiler is None:
        pytest.skip("needs rustc")
    source, made = tmp_path / "lib.rs", tmp_path / "lib.so"
    source.write_text(RUST_SOURCE)
    command = [
        compiler,
        "--crate-type",
        "cdylib",
        "-O",
        "-C",
        "symbol-mangling-version=v0",
        str(source),
        "-o",
        str(made),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"rustc does not work here: {done.stderr}")
    names = sorted({name for name, _, _ in functions_by_nm(made) if name.startswith("_R")})
    assert len(names) > 100
    for name, shown in zip(names, run("c++filt", text="\n".join(names)).splitlines()):
        short = re.sub(r"\[[0-9a-f]+\]", "", shown)  # hashes of crates, then types of constants
        short = re.sub(r": (u8|u16|u32|u64|usize|i8|i16|i32|i64|isize|bool|char)(?=[,>}\]])", "", short)
        assert demangle(name) == short


# --------------------------------------------------------------------------------------------------------- no harm


@SETTINGS
@given(
    st.binary(max_size=60).map(lambda b: f"_R{b.decode('latin-1')}")
    | st.text("CNMXYIBSsuvt0123456789_EGKLpTRFDhj", max_size=80).map("_R".__add__)
)
def test_any_rust_v0_name(name: str) -> None:
    assert isinstance(demangle(name), str)


@SETTINGS
@given(st.sampled_from([name for name, _ in V0]), st.data())
def test_damaged_rust_names(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(2, len(name) - 1))
    letter = data.draw(st.sampled_from("CNMXYIBsu0129_EGKLpTRFDhj"))
    assert isinstance(demangle(name[:place] + letter + name[place + data.draw(st.integers(0, 2)) :]), str)


@SETTINGS
@given(st.text("0123456789abcdEhNZ_$.uLTGRF", max_size=60))
@example("1" * 60)
@example("9" * 6 + "a")
def test_any_legacy_name(middle: str) -> None:
    assert isinstance(demangle(f"_ZN{middle}17h0123456789abcdefE"), str)


@pytest.mark.parametrize(
    "name",
    [
        "_R" + "NvN" * 5000,  # deep
        "_RINvC1a1f" + "R" * 5000 + "hE",
        "_RINvC1a1f" + "S" * 90 + "hE",
        # Each pair is the one before it twice: 2 to the power of 20 when written out.
        "_RINvC1a1fTThhE" + "".join(f"TB{c}_B{c}_E" for c in "8fmtAHOV") + "EE",
        "_RINvC1a1fKj" + "f" * 10_000 + "_E",
        "_RINvC1a1fFG" + "z" * 12 + "_EuE",
        "_RNvC1au9999_" + "a" * 9999,
        "_ZN" + "1a" * 20_000 + "E",
        "_ZN" + "1a" * 7000 + "17h0123456789abcdefE",
        "_R" + "N" * (1 << 20),
    ],
    ids=range(10),
)
def test_traps(name: str) -> None:
    assert len(demangle(name)) <= max(2 * len(name), 16 << 10)


def test_deep_in_the_stack_a_name_just_stays() -> None:
    deep = "_RINvC1a1f" + "S" * 90 + "hE"
    assert demangle(deep) == "a::f::<" + "[" * 90 + "u8" + "]" * 90 + ">"

    def dive(left: int) -> str:
        return demangle(deep) if left == 0 else dive(left - 1)

    assert dive(sys.getrecursionlimit() // 2) in (deep, demangle(deep))
    for left in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit() - 60, 7):
        try:
            shown = dive(left)
        except RecursionError:  # in this function itself
            break
        assert shown in (deep, demangle(deep))
