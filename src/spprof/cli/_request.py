"""What `spprof run` tells the process it becomes, and how: one environment variable.

Read by the start-up hook before the program's first line, so nothing heavy may be imported here
(`typing` is: it costs more than all the rest of spprof).
"""

from __future__ import annotations

import marshal
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Output(NamedTuple):
        path: str
        format: str

    class Request(NamedTuple):
        pid: int
        interval_ms: float
        memory_limit_mb: float
        mode: str | None
        asyncio: bool
        native: bool | str | None
        outputs: list[Output]
        quiet: bool
        kind: str
        name: str
        script: str
        notes: list[str]
        pythonpath: str | None
        follow: bool

else:
    # One file to write, absolute, and the name of its format.
    Output = namedtuple("Output", "path format")

    # The settings of one `spprof run`, checked.
    #   pid         the process meant; a child that inherits the variable is not
    #   kind, name  of the program: "script", "module", "command" or "stdin", and what people call it
    #   script      its absolute path; "" for the other kinds
    #   notes       to be said with the summary
    #   pythonpath  PYTHONPATH as the program is to see it; None: unset
    #   follow      whether processes below it are profiled too
    #   mode, asyncio, native  as for `spprof.start`
    Request = namedtuple(
        "Request",
        "pid interval_ms memory_limit_mb mode asyncio native outputs quiet kind name script notes pythonpath follow",
    )

VARIABLE = "SPPROF_RUN"


def encode(request: Request) -> str:
    """*request* as text for the environment, to be read by the same interpreter."""
    outputs = [tuple(output) for output in request.outputs]
    return marshal.dumps(tuple(request._replace(outputs=outputs))).hex()  # type: ignore[arg-type]


def decode(text: str) -> Request:
    """The inverse of `encode`."""
    request = Request(*marshal.loads(bytes.fromhex(text)))  # noqa: S302 (written by our own parent)
    return request._replace(outputs=[Output(*output) for output in request.outputs])
