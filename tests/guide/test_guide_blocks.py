"""Every Python block of the troubleshooting guide works as written.

The blocks are the public contract: they stay as they are, byte for byte, and each is run, in a child process of its
own. A block that is new in the document has to come with a recipe (guide_recipes.py).
"""

from __future__ import annotations

import ast
import os
import sysconfig
import textwrap
from typing import TYPE_CHECKING

import pytest
from children import python
from guide_blocks import Block, python_blocks, recorded_hashes
from guide_recipes import RECIPES, SCRIPTS, Run

import spprof

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = python_blocks()
NATIVE = spprof._HAS_NATIVE
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def completed(block: Block, run: Run) -> str:
    """The program that runs a block: the block itself, with what it leaves to the reader."""
    code = block.code
    for comment, instead in run.edits:
        lines = code.splitlines()
        at = [i for i, line in enumerate(lines) if line.strip() == comment]
        assert len(at) == 1, f"{block.name}: {len(at)} lines {comment!r}"
        assert comment.startswith("#"), f"{block.name}: an edit may only touch a comment"
        indent = lines[at[0]][: -len(comment)]
        lines[at[0]] = textwrap.indent(instead, indent)
        code = "\n".join(lines) + "\n"
    if run.only:
        alternatives = [ast.get_source_segment(code, statement) for statement in ast.parse(code).body]
        code = "\n".join(str(alternatives[i]) for i in run.only) + "\n"
    return run.before + code + run.after + "\n"


def execute(program: str, folder: Path, run: Run, *, native: bool, env: dict[str, str | None]) -> str:
    """What the program prints. It must end well and warn of nothing that it should not."""
    script = folder / "block.py"
    script.write_text(program, encoding="utf-8")
    options = ["-W", "error"]
    if not native:
        options += ["-W", "ignore:spprof's C extension is not in use:RuntimeWarning"]
    if run.lossy:
        options += ["-W", "ignore:spprof dropped:RuntimeWarning"]
    env = {"SPPROF_PURE_PYTHON": None if native else "1", "PYTHONIOENCODING": "utf-8", **env}
    result = python(*options, script, cwd=folder, env=env, encoding="utf-8")
    assert result.returncode == 0, f"{program}\n{result.stdout}\n{result.stderr}"
    assert result.stderr == ""
    run.check(result.stdout, native)
    return result.stdout


def test_the_contract_has_not_drifted() -> None:
    assert [(block.name, block.sha256) for block in BLOCKS] == recorded_hashes()
    assert len(BLOCKS) == 30


def test_every_block_has_a_recipe() -> None:
    assert [block.name for block in BLOCKS if block.name not in RECIPES] == []
    assert [name for name in RECIPES if name not in {block.name for block in BLOCKS}] == []


CASES = [
    pytest.param(block, run, native, id=f"{block.name}-{run.name}-{'native' if native else 'pure'}")
    for block in BLOCKS
    for run in RECIPES.get(block.name, ())
    for native in (True, False)
    if (run.native if native else run.pure)
]


@pytest.mark.parametrize(("block", "run", "native"), CASES)
def test_block(block: Block, run: Run, native: bool, tmp_path: Path) -> None:
    if native and not NATIVE:
        pytest.skip("needs the C extension")
    if not native and FREE_THREADED and block.name in SCRIPTS:
        pytest.skip("a look of the fallback stops all threads there, and may take longer than the script")
    execute(completed(block, run), tmp_path, run, native=native, env={})


@pytest.mark.needs_native
@pytest.mark.parametrize("source", ["perf", "thread", "timer"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_script_with_each_source(name: str, source: str, tmp_path: Path) -> None:
    if not spprof._native.tick_sources()[source][0]:
        pytest.skip(f"{source} can't be had here")
    [block] = [block for block in BLOCKS if block.name == name]
    execute(block.code, tmp_path, RECIPES[name][0], native=True, env={"SPPROF_TICK": source})


def test_already_running(tmp_path: Path) -> None:
    """Section 5's symptom, word for word."""
    program = "import spprof\nspprof.start()\nspprof.start()\n"
    (tmp_path / "twice.py").write_text(program, encoding="utf-8")
    result = python(tmp_path / "twice.py", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "RuntimeError: Profiler already running"


def test_names_that_the_guide_uses() -> None:
    """Attributes that some blocks only reach under a condition."""
    assert isinstance(spprof._HAS_NATIVE, bool)
    assert (spprof._native is not None) == spprof._HAS_NATIVE
    assert os.environ.get("SPPROF_PURE_PYTHON", "") in ("", "0") or not spprof._HAS_NATIVE
    if spprof._HAS_NATIVE:
        assert isinstance(spprof._native.free_threaded_build, bool)
        assert isinstance(spprof._native.free_threading_safe, bool)


def test_a_new_block_is_noticed() -> None:
    """The discovery itself: languages, headings in code, and a second block under one heading."""
    text = "# A\n```python\n# no heading\nx = 1\n```\n```bash\n# B\n```\n## C\n```\nplain\n```\n"
    text += "```python\n```\n```python\ny\n```\n"
    found = python_blocks(text)
    assert [block.name for block in found] == ["A", "C", "C (2)"]
    assert [block.code for block in found] == ["# no heading\nx = 1\n", "", "y\n"]
