"""`%spprof` and `%%spprof` in IPython and Jupyter: a statement or a cell is profiled, and its profile shown.

%load_ext spprof
%spprof [OPTION]... STATEMENT
%%spprof [OPTION]...
"""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, NoReturn

    from ._profile import Profile

_DESCRIPTION = """\
Profile a statement (%spprof) or a cell (%%spprof), and show its flame graph and its hottest functions. The profile is then
in the variable _spprof, as a spprof.Profile."""
_NAME = "_spprof"


def load_ipython_extension(shell: Any) -> None:
    """Called by ``%load_ext spprof``: registers the magics."""

    def spprof(line: str, cell: str | None = None) -> object:
        return profiled(shell, line, cell)

    spprof.__doc__ = _parser().format_help()
    shell.register_magic_function(spprof, magic_kind="line_cell", magic_name="spprof")


def unload_ipython_extension(shell: Any) -> None:
    """Called by ``%unload_ext spprof``: takes the magics away."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("spprof", None)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        from IPython.core.error import UsageError

        raise UsageError(f"%spprof: {message}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        self.error(message or "")


def _parser() -> _Parser:
    parser = _Parser(
        prog="%spprof", usage="%spprof [OPTION]... STATEMENT, or %%spprof [OPTION]... and a cell", add_help=False,
        description=_DESCRIPTION, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument(
        "-i", "--interval-ms", metavar="N", type=float, default=1.0, help="between two samples (default: 1)"
    )
    parser.add_argument("-m", "--mode", metavar="MODE", help="cpu, wall or gil (default: as spprof.start())")
    parser.add_argument("--native", action="store_true", help="show functions of C, C++ and Rust")
    parser.add_argument("-n", "--rows", metavar="N", type=int, default=10, help="functions in the table (default: 10)")
    parser.add_argument(
        "-o", "--output", metavar="FILE", action="append", help="also save the profile; the ending says the format"
    )
    parser.add_argument("--into", metavar="NAME", default=_NAME, help=f"variable for the profile (default: {_NAME})")
    parser.add_argument(
        "-r", "--return", dest="returned", action="store_true", help="the profile is the result of the cell"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="show nothing")
    return parser


def profiled(shell: Any, line: str, cell: str | None) -> object:
    """Runs *cell*, or the statement in *line*; what its last expression gives, or the profile if that is asked for."""
    words, statement = _split(line)
    parser = _parser()
    options = parser.parse_args(words)
    if cell is not None and statement:
        parser.error(f"{statement!r} is no option; the code of %%spprof is in the lines below")
    if cell is None and not statement:
        parser.error("no statement to profile: %spprof f(x), or %%spprof and a cell")
    if not options.into.isidentifier():
        parser.error(f"--into needs the name of a variable, not {options.into!r}")
    if options.rows < 0:
        parser.error("--rows must be at least 0")
    body, last = _compiled(shell, parser, statement if cell is None else cell)
    _check_outputs(parser, options.output or ())
    from ._session import start, stop

    settings: dict[str, Any] = {"interval_ms": options.interval_ms, "native": options.native}
    if options.mode is not None:
        settings["mode"] = options.mode
    try:
        start(**settings)
    except (RuntimeError, ValueError, TypeError) as error:
        parser.error(str(error))
    try:
        value = _execute(body, last, shell.user_ns)
    finally:  # what was seen until an error or Ctrl-C is shown as well
        profile = _of_cell(stop())
        shell.user_ns[options.into] = profile
        _present(profile, options)
    return profile if options.returned else value


def _split(line: str) -> tuple[list[str], str]:
    """Options, and the text behind them as it is."""
    import re
    import shlex

    with_value = {name for action in _parser()._actions if action.nargs != 0 for name in action.option_strings}
    rest, words = line.strip(), []
    while rest.startswith("-"):
        word, _, rest = rest.partition(" ")
        words.append(word)
        rest = rest.lstrip()
        if word in with_value and rest:
            match = re.match(r"\"[^\"]*\"|'[^']*'|\S+", rest)
            assert match
            words.extend(shlex.split(match.group()))
            rest = rest[match.end() :].lstrip()
    return words, rest


def _compiled(shell: Any, parser: _Parser, source: str) -> tuple[CodeType, CodeType | None]:
    """The code, and that of a last expression, whose value is shown. As IPython makes it, so that tracebacks have its text."""
    import ast

    text = shell.transform_cell(source)
    tree = shell.transform_ast(shell.compile.ast_parse(text))
    name = shell.compile.cache(text, getattr(shell, "execution_count", 0))
    last = None
    try:
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = compile(ast.Expression(tree.body.pop().value), name, "eval")
        return compile(tree, name, "exec"), last
    except SyntaxError as error:
        if "await" in str(error) or "async" in str(error):
            parser.error(
                "a cell that awaits can't be profiled as a whole: the notebook's event loop runs it. "
                "Use `with spprof.Profiler() as p:` around the await, then look at p.profile"
            )
        raise


def _check_outputs(parser: _Parser, paths: Any) -> None:
    from .export import check_ready, check_writable, format_of

    for path in paths:
        try:
            check_ready(format_of(path)[0])
            check_writable(path)
        except (ValueError, RuntimeError) as error:
            parser.error(str(error))
        except OSError as error:
            parser.error(f"can't write {path!r}: {error.strerror}")


def _execute(body: CodeType, last: CodeType | None, namespace: dict[str, Any]) -> object:
    """Stacks of the profile begin below this function."""
    exec(body, namespace)  # noqa: S102  # what the user has typed
    return None if last is None else eval(last, namespace)  # noqa: S307


def _of_cell(profile: Profile) -> Profile:
    from ._analysis.cutting import without_callers

    return without_callers(profile, _execute.__code__)


def _present(profile: Profile, options: Any) -> None:
    for path in options.output or ():
        profile.save(path)
    if options.quiet:
        return
    from IPython.display import display

    display(profile)
    print(profile.top(options.rows))
