"""The start-up hook of processes below `spprof run --follow-children`, where no `spprof-autostart.pth` is installed.

This folder stands in front of their PYTHONPATH and stays there, for the processes below them. Any Python may find it, of any
version: it must be valid for all of them, and does nothing but where spprof can work. A `sitecustomize` that the installation
has of its own is imported as if this one were not there.
"""

import os
import sys


def _autostart(folder):
    home = os.path.dirname(os.path.dirname(os.path.dirname(folder)))
    if sys.version_info < (3, 9):  # noqa: UP036 (found by any Python)
        return
    from importlib.machinery import EXTENSION_SUFFIXES

    built = [os.path.join(home, "spprof", "_native" + suffix) for suffix in EXTENSION_SUFFIXES]
    if not os.environ.get("SPPROF_PURE_PYTHON") and not any(map(os.path.exists, built)):
        return  # another interpreter than the one that spprof was built for
    sys.path.insert(0, home)
    try:
        from spprof.cli import _autostart as autostart
    finally:
        sys.path.remove(home)
    autostart.begin()


_folder = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _folder]
sys.path_importer_cache.pop(_folder, None)

# What stands in sys.modules at the end of this file is what `import sitecustomize` gives. If there is no other one, `site`
# gets the ImportError that tells it so, and passes over it.
del sys.modules["sitecustomize"]
try:
    import sitecustomize  # noqa: F401
finally:
    _autostart(_folder)
