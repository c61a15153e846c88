"""Which sampler is in use, and why: the C extension, or the pure-Python fallback.

Decided once, at import. Everything above asks ``backend`` and never cares which one it got.

    backend      the module that samples: ``spprof._native`` or ``spprof._fallback``
    native       the C extension, or None where it is not in use
    has_native   whether ``backend`` is the C extension
    reason       why it is not (the import error's text, or the variable that asked for it), else None

A self-check that refuses to sample is not a reason to fall back: it stays an error at ``start()``,
because the fallback measures something else (the wall clock) and must not take over in silence.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

PURE_PYTHON_VARIABLE = "SPPROF_PURE_PYTHON"


def _load_native() -> tuple[ModuleType | None, str | None]:
    """The C extension and None, or None and why it can't be used."""
    if os.environ.get(PURE_PYTHON_VARIABLE, "") not in ("", "0"):
        return None, f"{PURE_PYTHON_VARIABLE} is set"
    try:
        from . import _native
    except ImportError as error:
        return None, str(error) or type(error).__name__
    return _native, None


native: ModuleType | None
reason: str | None
native, reason = _load_native()
has_native: bool = native is not None

# Any: the two modules have the same functions, but a module is not a type that says so.
backend: Any
if native is not None:
    backend = native
else:
    from . import _fallback

    backend = _fallback
