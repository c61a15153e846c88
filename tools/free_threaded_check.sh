#!/bin/sh
# Compiles every C file of the extension for a free-threaded interpreter, with the headers of one that is not.
#
#   tools/free_threaded_check.sh PYTHON
#
# Of CPython 3.14 and 3.15 the ordinary headers hold the free-threaded layout as well (Py_GIL_DISABLED chooses), so that this
# catches what no longer fits, where such a build can't be had. Nothing is run.
set -eu
cd "$(dirname "$0")/.."

python=${1:?usage: tools/free_threaded_check.sh PYTHON}
include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
for file in csrc/*.c csrc/cpython/*.c csrc/ext/*.c; do
    "${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -DPy_GIL_DISABLED=1 -fsyntax-only -Wall -Wextra -Werror -Icsrc -isystem "$include" "$file"
done
echo "free-threaded $("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])'): compiles"
