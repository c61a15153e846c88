/* libFuzzer target: any bytes as a line table.
 *
 *   byte 0     format
 *   bytes 1-2  first line, signed
 *   rest       the table
 *
 * ASan finds reads outside the table, which is copied to a block of exactly its size; libFuzzer's timeout finds a
 * lookup that does not end; the checks below find an answer that no reader could have given. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/linetable.h"

#define REQUIRE(condition)                                                                                                         \
    do {                                                                                                                           \
        if (!(condition)) {                                                                                                        \
            abort();                                                                                                               \
        }                                                                                                                          \
    } while (0)

enum { OFFSETS = 520 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    enum sp_linetable_format format = (enum sp_linetable_format)(data[0] % 3);
    int32_t firstlineno = (int16_t)(data[1] | data[2] << 8);
    size_t len = size - 3;
    uint8_t *table = malloc(len > 0 ? len : 1);
    REQUIRE(table != NULL);
    memcpy(table, data + 3, len);

    int32_t offsets[OFFSETS];
    for (int i = 0; i < OFFSETS; i++) {
        offsets[i] = i - 2;
    }
    offsets[OFFSETS - 2] = 1 << 20;
    offsets[OFFSETS - 1] = INT32_MAX;
    struct sp_location batch[OFFSETS];
    sp_linetable_lookup_sorted(format, table, len, firstlineno, offsets, OFFSETS, batch);

    for (int i = 0; i < OFFSETS; i++) {
        struct sp_location loc = batch[i];
        REQUIRE(loc.line >= 0 && loc.end_line >= 0 && loc.column >= -1 && loc.end_column >= -1);
        if (format != SP_LINETABLE_311) {
            REQUIRE(loc.end_line == 0 && loc.column == -1 && loc.end_column == -1);
        }
        if (i % 16 == 0) { /* a lookup is linear in the table: a few are enough */
            struct sp_location one = sp_linetable_lookup(format, table, len, firstlineno, offsets[i]);
            REQUIRE(memcmp(&one, &loc, sizeof one) == 0);
        }
    }
    free(table);
    return 0;
}
