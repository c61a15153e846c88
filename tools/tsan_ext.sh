#!/bin/sh
# Builds the extension with ThreadSanitizer into an environment of its own and lets many threads loose on it.
#
#   tools/tsan_ext.sh [PYTHON [SECONDS]]
#
# PYTHON is the interpreter to test (default: python3; of most use is a free-threaded one), SECONDS how long each of the
# torture runs takes (default: 15). Fails if ThreadSanitizer reports anything. The interpreter is not instrumented: races
# are seen between spprof's own threads, its handler, and the threads that call it. Not run here is what depends on signals
# that come at once, or on how long a thread lives: ThreadSanitizer holds signals back until the thread calls something,
# and keeps a thread of its own.
set -eu
cd "$(dirname "$0")/.."

python=${1:-python3}
seconds=${2:-15}
work=$(mktemp -d "${TMPDIR:-/tmp}/spprof-tsan.XXXXXX")
trap 'rm -rf "$work"' EXIT
cc=${CC:-cc}
library=$("$cc" -print-file-name=libtsan.so)
case $library in
    /*) ;;
    *) echo "$cc has no libtsan" >&2; exit 2 ;;
esac

CC=$cc tools/sanitized_venv "$python" "$work" thread
py=$work/venv/bin/python

export TSAN_OPTIONS="log_path=$work/reports/tsan suppressions=$PWD/tools/tsan.supp ${TSAN_OPTIONS:-}"
mkdir "$work/reports"
failed=0
run() { env LD_PRELOAD="$library" "$py" "$@" || failed=1; }
run -m pytest -q -p no:cacheprovider tests/functional/test_life_threads.py tests/functional/test_wall.py tests/unit/test_threads.py \
    -k 'not booked and not born_in_c and not start_and_stop_in_different and not interrupted and not asleep_is_read and not add_up'
run tests/crash/torture.py "$seconds" 1
run tests/crash/torture.py "$seconds" 0.1
run tests/crash/torture.py "$seconds" 1 0.4 wall
if [ -n "$(ls "$work/reports")" ]; then
    cat "$work"/reports/*
    failed=1
fi
[ $failed = 0 ] && echo "tsan: no report"
exit $failed
