"""The start-up hook of `spprof run`: starts the profiler, and leaves no trace of itself.

`spprof run` puts this folder in front of PYTHONPATH, so `site` imports this file as `sitecustomize`, when site-packages
are on `sys.path` and before the program is looked for. A `sitecustomize` that the installation has of its own is
imported as if this one were not there.
"""

import os
import sys


def _find_spprof():
    """Takes this folder from `sys.path`, and gives the module that knows what was asked for."""
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != folder]
    sys.path_importer_cache.pop(folder, None)
    try:
        from spprof.cli import _program
    except ImportError:
        # spprof is where this file is, but not where `import` looks: the command was run with its folder as the
        # working directory.
        home = os.path.dirname(os.path.dirname(os.path.dirname(folder)))
        sys.path.insert(0, home)
        from spprof.cli import _program

        sys.path.remove(home)
    return _program


_program = _find_spprof()
_request = _program.take_request()

# The import system hands out what stands in sys.modules at the end of this file. If there is no other sitecustomize,
# `site` gets the ImportError that tells it so, and passes over it.
del sys.modules["sitecustomize"]
try:
    import sitecustomize  # noqa: F401
finally:
    if _request is not None:
        _program.begin(_request)
