#!/bin/sh
# Fuzzes the line table decoders with libFuzzer, under ASan and UBSan.
#
#   tests/fuzz/run.sh [SECONDS]     default 60; new inputs and findings go to a directory that is printed at the end
#   tests/fuzz/run.sh corpus        only runs the committed seeds, with any C compiler
#
# CLANG and CC choose the compilers.
set -eu
cd "$(dirname "$0")/../.."
out=$(mktemp -d "${TMPDIR:-/tmp}/spprof-fuzz.XXXXXX")
warn="-std=c11 -g -O1 -Wall -Wextra -Werror -Icsrc"
target="tests/fuzz/fuzz_linetable.c csrc/core/linetable.c"
seeds=tests/fuzz/corpus/linetable

if [ "${1:-}" = corpus ]; then
    trap 'rm -rf "$out"' EXIT
    # shellcheck disable=SC2086
    "${CC:-cc}" $warn -fsanitize=address,undefined -fno-sanitize-recover=all \
        tests/fuzz/run_corpus.c $target -o "$out/run_corpus"
    "$out/run_corpus" "$seeds"/*
    exit
fi

# shellcheck disable=SC2086
"${CLANG:-clang}" $warn -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $target -o "$out/fuzz"
mkdir "$out/corpus"
status=0
"$out/fuzz" -max_total_time="${1:-60}" -timeout=2 -max_len=4096 -use_value_profile=1 -print_final_stats=1 \
    -artifact_prefix="$out/" "$out/corpus" "$seeds" || status=$?
echo "new inputs: $out/corpus, findings (if any): $out"
exit $status
