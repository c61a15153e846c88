#!/bin/sh
# Fuzzes what reads bytes that others have written, with libFuzzer, under ASan and UBSan.
#
#   tests/fuzz/run.sh TARGET [SECONDS]    default 60; new inputs and findings go to a directory that is printed at the end
#   tests/fuzz/run.sh corpus              only runs the committed seeds of all targets, with any C compiler
#
# Targets: linetable (CPython's line tables), cfi (.eh_frame).
# CLANG and CC choose the compilers.
set -eu
cd "$(dirname "$0")/../.."
out=$(mktemp -d "${TMPDIR:-/tmp}/spprof-fuzz.XXXXXX")
warn="-std=c11 -g -O1 -Wall -Wextra -Werror -Icsrc"

sources() {
    case $1 in
        linetable) echo csrc/core/linetable.c ;;
        cfi) echo csrc/core/budget.c csrc/native/*.c ;;
        *)
            sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
            return 2
            ;;
    esac
}

if [ "${1:-}" = corpus ]; then
    trap 'rm -rf "$out"' EXIT
    for target in linetable cfi; do
        # shellcheck disable=SC2046,SC2086
        "${CC:-cc}" $warn -fsanitize=address,undefined -fno-sanitize-recover=all \
            tests/fuzz/run_corpus.c tests/fuzz/fuzz_$target.c $(sources $target) -o "$out/run_$target"
        "$out/run_$target" tests/fuzz/corpus/$target/*
    done
    exit
fi

target=${1:-}
files=$(sources "$target")
# shellcheck disable=SC2086
"${CLANG:-clang}" $warn -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all "tests/fuzz/fuzz_$target.c" $files -o "$out/fuzz"
mkdir "$out/corpus"
status=0
"$out/fuzz" -max_total_time="${2:-60}" -timeout=2 -max_len=4096 -use_value_profile=1 -print_final_stats=1 \
    -artifact_prefix="$out/" "$out/corpus" "tests/fuzz/corpus/$target" || status=$?
echo "new inputs: $out/corpus, findings (if any): $out"
exit $status
