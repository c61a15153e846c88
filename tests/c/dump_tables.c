/* Prints the rules that the reader of .eh_frame makes of a section, for comparison with what readelf says.
 *
 *   dump_tables FILE ADDRESS BASE SIZE      FILE: the section's bytes; ADDRESS: where they are; BASE, SIZE: of the code
 *
 * One line for each row: address, kind of the frame address, its offset, kind of the frame pointer's place, its offset. */
#include <stdio.h>
#include <stdlib.h>

#include "native/table.h"

int main(int argc, char **argv)
{
    if (argc != 5) {
        return 2;
    }
    FILE *file = fopen(argv[1], "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        return 1;
    }
    long size = ftell(file);
    uint8_t *bytes = malloc((size_t)size + 1);
    rewind(file);
    if (bytes == NULL || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        return 1;
    }
    fclose(file);
    struct sp_budget budget = {.limit = (size_t)1 << 30};
    struct sp_rules rules;
    struct sp_table table;
    struct sp_cfi cfi = {bytes, (size_t)size, strtoull(argv[2], NULL, 0), 0};
    if (sp_rules_init(&rules, &budget) != 0
        || sp_table_build(&table, &cfi, strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0), &rules, &budget) != 0) {
        return 1;
    }
    for (uint32_t i = 0; i < table.n; i++) {
        const struct sp_rule *rule = &rules.all[table.rules[i]];
        printf("%llx %u %d %u %d %u\n", (unsigned long long)(table.base + table.offsets[i]), rule->cfa, rule->cfa_offset, rule->fp,
               rule->fp_offset, rule->address);
    }
    sp_table_free(&table, &budget);
    sp_rules_free(&rules, &budget);
    free(bytes);
    return table.end == SP_CFI_CORRUPT;
}
