#!/bin/sh
# Builds the extension with ASan and UBSan into an environment of its own and runs the tests on it.
#
#   tools/sanitize_ext.sh [PYTHON [PYTEST ARGUMENTS...]]
#
# PYTHON is the interpreter to test (default: python3). Without arguments for pytest, the tests run that are not slow,
# and then tests/crash/torture.py for 15 s. CPython itself is not instrumented and keeps what it allocates once, so leaks
# are not looked for here; tools/ctest.sh asan does that for csrc/core. CC must be the compiler whose libasan is to be
# loaded. HOSTILE=1 adds the hostile build (csrc/core/limits.h).
set -eu
cd "$(dirname "$0")/.."

python=${1:-python3}
[ $# -gt 0 ] && shift
torture=
# Left out: what ASan can't do by itself. A child that is forked while other threads allocate may find ASan's own locks
# taken (without spprof as well: one child in 80, gcc 12); and freed memory is kept in quarantine, which looks like a leak.
# It has functions of its own in front of the C library's, and libstdc++ is there from the start.
[ $# -gt 0 ] || {
    torture=1
    set -- -m 'not slow' -p no:cacheprovider tests/functional tests/unit \
        --deselect tests/functional/test_life_fork.py::test_fork_in_a_thread_and_while_others_start_stop_and_run \
        --deselect tests/functional/test_life_resources.py::test_a_thousand_sessions_leave_no_object_reference_or_memory_behind \
        --deselect tests/unit/test_symbols_elf.py::test_the_c_library_of_this_process \
        --deselect tests/unit/test_symbols_demangle.py::test_the_cplusplus_library_is_loaded_for_cplusplus_names_only
}

hostile=false
[ -z "${HOSTILE:-}" ] || hostile=true

work=$(mktemp -d "${TMPDIR:-/tmp}/spprof-sanitize.XXXXXX")
trap 'rm -rf "$work"' EXIT
cc=${CC:-cc}

# The sanitizer must come first in the process, before an interpreter that knows nothing of it. libstdc++ behind it:
# ASan wraps __cxa_throw, and fails hard when a C++ extension throws and there was none to find at the start.
preload=
for library in libasan.so libubsan.so libstdc++.so; do
    path=$("$cc" -print-file-name=$library)
    case $path in
        /*) preload=$preload${preload:+:}$path ;;
        *) [ "$library" = libstdc++.so ] || { echo "$cc has no $library" >&2; exit 2; } ;;
    esac
done

CC=$cc tools/sanitized_venv "$python" "$work" address,undefined "-Dhostile=$hostile"
py=$work/venv/bin/python

# handle_segv=0: faulthandler and the crash tests have handlers of their own.
export ASAN_OPTIONS="detect_leaks=0:handle_segv=0:abort_on_error=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}"
export PYTHONMALLOC=malloc # every object a block of its own, so that ASan sees reads beyond it
failed=0
env LD_PRELOAD="$preload" "$py" -m pytest "$@" || failed=1
if [ -n "$torture" ]; then
    env LD_PRELOAD="$preload" "$py" tests/crash/torture.py 15 1 || failed=1
fi
exit $failed
