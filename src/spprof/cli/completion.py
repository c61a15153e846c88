"""`spprof completion`: scripts that let shells complete commands, options and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spprof.cli._arguments import Parser
from spprof.cli._files import write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHELLS = ("bash", "zsh", "fish")


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        prog="spprof completion",
        usage="spprof completion bash|zsh|fish",
        description="Print a script that lets a shell complete spprof's commands, options and files.",
        epilog="to have it in each shell, put into its start-up file:\n"
        '  ~/.bashrc                     eval "$(spprof completion bash)"\n'
        '  ~/.zshrc (after compinit)     eval "$(spprof completion zsh)"\n'
        "  ~/.config/fish/config.fish    spprof completion fish | source\n",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="one of: " + ", ".join(SHELLS))
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    shell = parser().parse_args(argv).shell
    return write_lines({"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]())


class _Option:
    """An option as shells need to know it."""

    def __init__(self, names: Sequence[str], help: str, takes_value: bool, choices: Sequence[str]) -> None:
        self.names = names
        # Of a help text the first part, without what a shell could take for its own.
        text = help.split(";", maxsplit=1)[0].split(" (", maxsplit=1)[0]
        self.help = "".join([c for c in text if c.isalnum() or c in " ,.-"]).strip()
        self.takes_value = takes_value
        self.choices = choices


def options_of(command: str) -> list[_Option]:
    """The options of a command, from its own parser."""
    import importlib

    own = importlib.import_module(f"spprof.cli.{command}").parser()
    result = []
    for action in own._actions:
        if action.option_strings:
            choices = [str(choice) for choice in action.choices or ()]
            takes_value = action.nargs != 0
            result.append(_Option(action.option_strings, action.help or "", takes_value, choices))
    return result


def _commands() -> dict[str, str]:
    from spprof.cli import COMMANDS

    return COMMANDS


def _bash() -> Iterator[str]:
    yield "_spprof() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" options="" i'
    yield "    COMPREPLY=()"
    yield '    if [ "$COMP_CWORD" -eq 1 ]; then'
    yield f'        COMPREPLY=($(compgen -W "{" ".join([*_commands(), "--help", "--version"])}" -- "$word"))'
    yield "        return"
    yield "    fi"
    yield '    case "${COMP_WORDS[1]} $before" in'
    for command in _commands():
        for option in options_of(command):
            if option.choices:
                pattern = "|".join([f'"{command} {name}"' for name in option.names])
                yield f'    {pattern}) COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$word")); return ;;'
    yield f'    "completion completion") COMPREPLY=($(compgen -W "{" ".join(SHELLS)}" -- "$word")); return ;;'
    yield "    esac"
    yield '    case "${COMP_WORDS[1]}" in'
    for command in _commands():
        names = " ".join([name for option in options_of(command) for name in option.names])
        yield f'    {command}) options="{names}" ;;'
    yield "    esac"
    yield '    if [ "${COMP_WORDS[1]}" = run ]; then  # behind the program, options are its own'
    yield "        for ((i = 2; i < COMP_CWORD; i++)); do"
    yield '            case "${COMP_WORDS[i]}" in'
    values = "|".join([name for option in options_of("run") if option.takes_value for name in option.names])
    yield f"            {values}) ((i++)) ;;"
    yield '            -m*|-c*) options=""; break ;;'
    yield "            -*) ;;"
    yield '            *) options=""; break ;;'
    yield "            esac"
    yield "        done"
    yield "    fi"
    yield '    if [[ "$word" == -* ]]; then'
    yield '        COMPREPLY=($(compgen -W "$options" -- "$word"))'
    yield "    else"
    yield "        local IFS=$'\\n'"
    yield '        COMPREPLY=($(compgen -f -- "$word"))'
    yield "    fi"
    yield "}"
    yield "complete -o filenames -F _spprof spprof"


def _zsh() -> Iterator[str]:
    yield "#compdef spprof"
    yield "_spprof() {"
    yield "    local -a commands"
    yield "    commands=("
    for command, text in _commands().items():
        yield f"        '{command}:{text.replace(chr(39), '').replace(':', ' ')}'"
    yield "    )"
    yield "    if (( CURRENT == 2 )); then"
    yield "        _describe command commands"
    yield "        return"
    yield "    fi"
    yield "    local command=$words[2]"
    yield "    shift words"
    yield "    (( CURRENT-- ))"
    yield "    case $command in"
    for command in _commands():
        yield f"    {command})"
        yield "        _arguments -s \\"
        for option in options_of(command):
            value = ""
            if option.takes_value:
                value = f":value:({' '.join(option.choices)})" if option.choices else ":value:_files"
            for name in option.names:
                yield f"            '*{name}[{option.help}]{value}' \\"
        rest = f"'1:shell:({' '.join(SHELLS)})'" if command == "completion" else "'*:file:_files'"
        yield f"            {rest}"
        yield "        ;;"
    yield "    esac"
    yield "}"
    yield "compdef _spprof spprof"


def _fish() -> Iterator[str]:
    names = " ".join(_commands())
    yield "complete -c spprof -e"
    yield f"complete -c spprof -n 'not __fish_seen_subcommand_from {names}' -f"
    for command, text in _commands().items():
        clean = text.replace("'", "")
        yield f"complete -c spprof -n 'not __fish_seen_subcommand_from {names}' -a {command} -d '{clean}'"
        for option in options_of(command):
            parts = [f"complete -c spprof -n '__fish_seen_subcommand_from {command}'"]
            parts += [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
            if option.takes_value:
                parts.append(f"-x -a '{' '.join(option.choices)}'" if option.choices else "-r")
            yield " ".join([*parts, f"-d '{option.help}'"])
    yield f"complete -c spprof -n '__fish_seen_subcommand_from completion' -f -a '{' '.join(SHELLS)}'"
