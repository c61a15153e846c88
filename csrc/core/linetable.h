/* Line tables: from an instruction's byte offset to its place in the source.
 *
 * A code object carries a compact table of bytes. CPython has had three formats since 3.9; all three are
 * decoded here from the bytes alone, so that the decoder can be tested, fuzzed and compared without an
 * interpreter around it. Whatever the bytes are, nothing outside [table, table + len) is read, nothing is
 * allocated, and the time is linear in len (tests/c/test_linetable.c, tests/fuzz/fuzz_linetable.c). That the
 * answers are CPython's own is held by tests/unit/test_linetable_native.py, over the whole standard library. */
#ifndef SP_CORE_LINETABLE_H
#define SP_CORE_LINETABLE_H

#include <stddef.h>
#include <stdint.h>

enum sp_linetable_format {
    SP_LINETABLE_LNOTAB_39, /* 3.9: co_lnotab,           Objects/lnotab_notes.txt of 3.9 */
    SP_LINETABLE_310,       /* 3.10: co_linetable,       PEP 626, Objects/lnotab_notes.txt of 3.10 */
    SP_LINETABLE_311,       /* 3.11 on: location table,  Objects/locations.md, now InternalDocs/code_objects.md */
};

/* A place in the source. Lines count from 1, columns are UTF-8 byte offsets from 0, as co_positions() has them. */
struct sp_location {
    int32_t line;       /* 0: the table gives no line (also CPython's line 0 of a module's first instruction) */
    int32_t end_line;   /* 0: unknown (always so before 3.11) */
    int32_t column;     /* -1: unknown (always so before 3.11) */
    int32_t end_column; /* -1: unknown; exclusive */
};

/* Where the instruction at byte_offset comes from.
 *
 * byte_offset counts bytes from the code's first instruction (3.10 on: twice the instruction index); an offset
 * into an instruction's inline cache counts as that instruction. A negative one stands for "not started yet" and
 * gives firstlineno, as PyCode_Addr2Line() does. Offsets beyond what the table covers have no line, except in
 * the 3.9 format, where the last line goes on for ever. A malformed entry ends the table: no line is better than
 * a wrong one.
 *
 * Context: any thread, also a signal handler. */
struct sp_location sp_linetable_lookup(enum sp_linetable_format format, const uint8_t *table, size_t len, int32_t firstlineno,
                                       int32_t byte_offset);

/* The same for count offsets in one pass over the table: locations[i] answers byte_offsets[i].
 *
 * The offsets should ascend (equal ones are fine); each step back costs another pass and changes no answer.
 *
 * Context: any thread, also a signal handler. */
void sp_linetable_lookup_sorted(enum sp_linetable_format format, const uint8_t *table, size_t len, int32_t firstlineno,
                                const int32_t *byte_offsets, size_t count, struct sp_location *locations);

#endif
