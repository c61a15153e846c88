#!/bin/sh
# Runs the extension under valgrind's memcheck: the example program under the profiler, then a round of all at once.
#
#   tools/valgrind_ext.sh [PYTHON]
#
# PYTHON is the interpreter (default: python3), which is not instrumented; it allocates with malloc here, so that memcheck
# knows every object. Each usable source of ticks has its turn. What memcheck reports of the interpreter is counted and
# passed over; an error, or a definite leak, that concerns the extension fails. tools/valgrind.supp lists what looks like one.
# tools/ctest.sh valgrind does the same for csrc/core.
set -eu
cd "$(dirname "$0")/.."

python=${1:-python3}
command -v valgrind >/dev/null || { echo 'valgrind is not installed' >&2; exit 2; }

work=$(mktemp -d "${TMPDIR:-/tmp}/spprof-valgrind.XXXXXX")
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/venv"
py=$work/venv/bin/python
"$py" -m pip --quiet --disable-pip-version-check install --only-binary :all: 'meson-python>=0.18' ninja
PATH=$work/venv/bin:$PATH "$py" -m pip --quiet --disable-pip-version-check install --no-build-isolation --no-deps \
    --config-settings=build-dir="$work/build" \
    --config-settings=setup-args=-Dbuildtype=debugoptimized \
    .

export PYTHONMALLOC=malloc

# memcheck SOURCE PROGRAM... (fair: else one of two threads that hand a lock back and forth may get most of the turns)
memcheck() {
    tick=$1
    shift
    printf 'memcheck, ticks from %s: ' "$tick"
    SPPROF_TICK=$tick valgrind --tool=memcheck --xml=yes --xml-file="$work/report.xml" --fair-sched=yes --num-callers=40 \
        --leak-check=full --show-leak-kinds=definite --suppressions=tools/valgrind.supp --child-silent-after-fork=yes \
        "$py" "$@" >"$work/output" 2>&1 || { tail -n 20 "$work/output"; echo '*** the program failed'; failed=1; return; }
    "$py" tools/valgrind_errors.py "$work/report.xml" _native || failed=1
}

failed=0
for tick in $("$py" -c 'import spprof; print(*[n for n, (ok, _) in spprof._native.tick_sources().items() if ok])'); do
    memcheck "$tick" tools/valgrind_target.py
done
exit $failed
