#!/bin/sh
# Builds the C tests of csrc/core and csrc/native with nothing but a compiler, and runs them.
#
#   tools/ctest.sh [plain|asan|tsan|valgrind|aarch64|all] [MODULE...]
#
# Every program is built twice: as it is, and "hostile" (SP_HOSTILE: all sizes tiny, see csrc/core/limits.h). asan
# includes UBSan and leaks, and runs the fuzz targets over their seeds. aarch64 compiles for that architecture, and runs under
# qemu's user mode, a signal possible at each instruction; without its tools (Debian: gcc-aarch64-linux-gnu, qemu-user) it says so
# and does nothing. `all` is all but that. CC chooses the compiler, CFLAGS adds flags.
set -eu
cd "$(dirname "$0")/.."

mode=${1:-plain}
[ $# -gt 0 ] && shift
case $mode in
    plain) flags="-O2" ;;
    asan) flags="-O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all" ;;
    tsan) flags="-O1 -fsanitize=thread" ;;
    valgrind) flags="-O1" ;;
    aarch64) flags="-O2" ;;
    all)
        for each in plain asan tsan valgrind; do "$0" $each "$@"; done
        exit
        ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac

if [ $# -gt 0 ]; then
    modules=$*
else
    modules=$(for test in tests/c/test_*.c; do basename "$test" .c; done | sed 's/^test_//')
fi

runner=
compiler=${CC:-cc}
if [ "$mode" = aarch64 ]; then
    compiler=${CC:-aarch64-linux-gnu-gcc}
    for tool in "$compiler" qemu-aarch64; do
        command -v "$tool" >/dev/null || {
            echo "aarch64: skipped, $tool is not installed (Debian: apt-get install gcc-aarch64-linux-gnu qemu-user)"
            exit 0
        }
    done
    # -singlestep: each instruction is a block of its own, and signals come between blocks
    runner="qemu-aarch64 -singlestep -L ${AARCH64_ROOT:-/usr/aarch64-linux-gnu}"
fi
if [ "$mode" = valgrind ]; then
    command -v valgrind >/dev/null || { echo 'valgrind is not installed' >&2; exit 2; }
    # fair: else one of two threads that wait for each other may get most of the turns
    runner="valgrind --quiet --error-exitcode=99 --leak-check=full --fair-sched=yes"
fi

more() {
    case $1 in
        cfi | unwind) echo -D_GNU_SOURCE csrc/native/*.c csrc/codemap.c csrc/os/objects_linux.c ;;
    esac
}

build=$(mktemp -d "${TMPDIR:-/tmp}/spprof-ctest.XXXXXX")
trap 'rm -rf "$build"' EXIT
failed=0

# shellcheck disable=SC2046,SC2086
for hostile in "" -DSP_HOSTILE; do
    for module in $modules; do
        name=$module${hostile:+-hostile}
        "$compiler" -std=c11 -g -Wall -Wextra -Werror $flags $hostile ${CFLAGS:-} -Icsrc \
            "tests/c/test_$module.c" csrc/core/*.c $(more "$module") -pthread -o "$build/$name" -lm
        printf '%s %s: ' "$mode" "$name"
        $runner "$build/$name" || failed=1
    done
done

if [ "$mode" = asan ]; then
    printf 'asan fuzz seeds: '
    tests/fuzz/run.sh corpus || failed=1
fi
exit $failed
