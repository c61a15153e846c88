/* libFuzzer target: any bytes as an .eh_frame section.
 *
 *   byte 0     where in memory the section is, in units of 64 KB
 *   rest       the section
 *
 * ASan finds reads outside of it, which is copied to a block of exactly its size; the checks below find a table that the
 * handler could not search. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "native/table.h"

#define REQUIRE(condition)                                                                                                         \
    do {                                                                                                                           \
        if (!(condition)) {                                                                                                        \
            abort();                                                                                                               \
        }                                                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    size_t len = size - 1;
    uint8_t *section = malloc(len > 0 ? len : 1);
    REQUIRE(section != NULL);
    memcpy(section, data + 1, len);

    struct sp_budget budget = {.limit = 64u << 20};
    struct sp_rules rules;
    struct sp_table table;
    REQUIRE(sp_rules_init(&rules, &budget) == 0);
    uint64_t base = 0x10000;
    struct sp_cfi cfi = {section, len, (uint64_t)data[0] << 16, 0x20000};
    REQUIRE(sp_table_build(&table, &cfi, base, 1u << 24, &rules, &budget) == 0);
    for (uint32_t i = 0; i < table.n; i++) {
        REQUIRE(i == 0 || table.offsets[i - 1] < table.offsets[i]);
        REQUIRE(table.rules[i] != SP_RULE_OUTSIDE && table.rules[i] < rules.n);
        REQUIRE(sp_table_find(&table, base + table.offsets[i]) == table.rules[i]);
    }
    REQUIRE(table.n == 0 || table.rules[table.n - 1] == SP_RULE_NONE);
    sp_cfi_find(section, len, cfi.address);
    sp_table_free(&table, &budget);
    sp_rules_free(&rules, &budget);
    REQUIRE(atomic_load(&budget.used) == 0);
    free(section);
    return 0;
}
