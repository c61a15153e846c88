/* Line tables written by hand, byte for byte from the format descriptions, and tables that no compiler would write.
 *
 * That real tables are read as CPython reads them is tests/unit/test_linetable_native.py's business. */
#include "core/linetable.h"

#include <string.h>

#include "check.h"

/* Each table is looked up in a block of exactly its size, so that ASan and valgrind see a read beyond it. */
static struct sp_location look(enum sp_linetable_format format, const void *bytes, size_t len, int32_t first, int32_t offset)
{
    uint8_t *table = malloc(len > 0 ? len : 1);
    if (len > 0) {
        memcpy(table, bytes, len);
    }
    struct sp_location loc = sp_linetable_lookup(format, len > 0 ? table : NULL, len, first, offset);
    free(table);
    return loc;
}

#define LOOK(format, table, first, offset) look(format, table, sizeof(table), first, offset)

static void check_location(struct sp_location loc, int32_t line, int32_t end_line, int32_t column, int32_t end_column)
{
    CHECK_EQ(loc.line, line);
    CHECK_EQ(loc.end_line, end_line);
    CHECK_EQ(loc.column, column);
    CHECK_EQ(loc.end_column, end_column);
}

static void check_unknown(struct sp_location loc)
{
    check_location(loc, 0, 0, -1, -1);
}

/* The example of Objects/lnotab_notes.txt: 0 -> 1, 6 -> 2, 50 -> 7, 350 -> 207, 361 -> 208. */
static void test_lnotab_of_the_notes(void)
{
    static const uint8_t table[] = {0, 1, 6, 1, 44, 5, 255, 0, 45, 127, 0, 73, 11, 1};
    static const int32_t offsets[] = {0, 5, 6, 49, 50, 304, 305, 349, 350, 360, 361, 100000};
    static const int32_t lines[] = {1, 1, 2, 2, 7, 7, 7, 7, 207, 207, 208, 208};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        check_location(LOOK(SP_LINETABLE_LNOTAB_39, table, 0, offsets[i]), lines[i], 0, -1, -1);
    }
}

static void test_lnotab_goes_back_and_has_no_end(void)
{
    static const uint8_t table[] = {4, 10, 4, 0x80, 0, 0xf0, 2, 127, 0, 17, 8}; /* odd: the last byte counts for nothing */
    CHECK_EQ(LOOK(SP_LINETABLE_LNOTAB_39, table, 1000, 3).line, 1000);
    CHECK_EQ(LOOK(SP_LINETABLE_LNOTAB_39, table, 1000, 4).line, 1010);
    CHECK_EQ(LOOK(SP_LINETABLE_LNOTAB_39, table, 1000, 8).line, 1010 - 128 - 16);
    CHECK_EQ(LOOK(SP_LINETABLE_LNOTAB_39, table, 1000, 10).line, 1010);
    CHECK_EQ(LOOK(SP_LINETABLE_LNOTAB_39, table, 1000, INT32_MAX).line, 1010);
    CHECK_EQ(look(SP_LINETABLE_LNOTAB_39, NULL, 0, 7, 20).line, 7);
}

/* PEP 626: a delta of -128 is a range without a line, and the next delta counts from the line before it. */
static void test_310_ranges_without_a_line(void)
{
    static const uint8_t table[] = {4, 0, 6, 1, 2, 0x80, 0, 127, 0, 73, 8, 0xff};
    static const int32_t offsets[] = {0, 3, 4, 9, 10, 11, 12, 19, 20, 1000};
    static const int32_t lines[] = {5, 5, 6, 6, 0, 0, 205, 205, 0, 0};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        check_location(LOOK(SP_LINETABLE_310, table, 5, offsets[i]), lines[i], 0, -1, -1);
    }
    check_unknown(look(SP_LINETABLE_310, NULL, 0, 5, 0));
}

#define ENTRY(kind, units) (uint8_t)(0x80 | (kind) << 3 | ((units) - 1))

/* One entry of every kind of Objects/locations.md, and the rows that co_positions() gives for them. */
static void test_311_every_kind(void)
{
    static const uint8_t table[] = {
        ENTRY(14, 1), 0x03, 0x01, 0x01, 0x01,                   /* long: line -1, one line high, columns 0 to 0 */
        ENTRY(0, 2),  0x5f,                                     /* short: columns 5 to 20 */
        ENTRY(9, 1),  0x70,                                     /* short: columns 79 to 79 */
        ENTRY(10, 1), 127,  1,                                  /* same line, columns 127 to 1 */
        ENTRY(11, 1), 4,    80,                                 /* next line */
        ENTRY(12, 8), 4,    80,                                 /* two lines on */
        ENTRY(15, 1),                                           /* none */
        ENTRY(13, 1), 0x50, 0x06,                               /* no columns: 400 / 2 = 200 lines on */
        ENTRY(14, 1), 0x51, 0x06, 0x48, 0x03, 0x49, 0x03, 0x00, /* long: 200 lines back, 200 high, column 200, none */
    };
    static const int32_t want[][5] = {
        {0, 9, 10, 0, 0},   {2, 9, 9, 5, 20},       {5, 9, 9, 5, 20},       {6, 9, 9, 79, 79},
        {8, 9, 9, 127, 1},  {10, 10, 10, 4, 80},    {12, 12, 12, 4, 80},    {27, 12, 12, 4, 80},
        {28, 0, 0, -1, -1}, {30, 212, 212, -1, -1}, {32, 12, 212, 200, -1}, {34, 0, 0, -1, -1},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        check_location(LOOK(SP_LINETABLE_311, table, 10, want[i][0]), want[i][1], want[i][2], want[i][3], want[i][4]);
    }
}

/* A module's first instruction has line 0 and ends on line 1 (3.11 on). */
static void test_311_module_resume(void)
{
    static const uint8_t table[] = {ENTRY(14, 1), 0x03, 0x01, 0x01, 0x01, ENTRY(10, 1), 0, 8};
    check_location(LOOK(SP_LINETABLE_311, table, 1, 0), 0, 1, 0, 0);
    check_location(LOOK(SP_LINETABLE_311, table, 1, 2), 0, 0, 0, 8);
}

static void test_not_started_is_the_first_line(void)
{
    static const uint8_t table[] = {2, 5, 2, 5};
    for (int format = SP_LINETABLE_LNOTAB_39; format <= SP_LINETABLE_311; format++) {
        check_location(LOOK((enum sp_linetable_format)format, table, 42, -1), 42, 0, -1, -1);
        check_location(LOOK((enum sp_linetable_format)format, table, 42, INT32_MIN), 42, 0, -1, -1);
        check_location(LOOK((enum sp_linetable_format)format, table, -3, -1), 0, 0, -1, -1);
    }
}

static void test_lines_beyond_32_bits_are_none(void)
{
    static const uint8_t pairs[] = {0, 127, 2, 127, 2, 0x81};
    static const uint8_t entries[] = {
        ENTRY(13, 1), 0x7e, 0x7f, 0x7f, 0x7f, 0x7f, 0x03, /* + 2^31 - 1: the largest delta */
        ENTRY(13, 1), 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x03, /* and back */
        ENTRY(14, 1), 0x00, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x03, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x03, 0x02,
    };
    CHECK_EQ(LOOK(SP_LINETABLE_LNOTAB_39, pairs, INT32_MAX, 0).line, 0);
    CHECK_EQ(LOOK(SP_LINETABLE_310, pairs, INT32_MAX - 200, 0).line, 0);
    CHECK_EQ(LOOK(SP_LINETABLE_310, pairs, INT32_MAX - 200, 2).line, INT32_MAX - 73);
    check_unknown(LOOK(SP_LINETABLE_311, entries, 1, 0));
    check_location(LOOK(SP_LINETABLE_311, entries, 1, 2), 1, 1, -1, -1);
    check_location(LOOK(SP_LINETABLE_311, entries, 1, 4), 1, 0, -1, 1);
    check_location(LOOK(SP_LINETABLE_311, entries, INT32_MIN, 2), 0, 0, -1, -1);
}

/* What comes behind a malformed entry is unknown, what was before it stays. */
static void test_311_malformed_entry_ends_the_table(void)
{
    static const uint8_t good[] = {ENTRY(13, 1), 0x04};
    static const struct {
        uint8_t len, bytes[16];
    } bad[] = {
        {1, {0x01}}, /* no entry starts without bit 7 */
        {2, {0x22, 0x11}},
        {1, {ENTRY(0, 1)}}, /* cut short by the table's end */
        {2, {ENTRY(10, 1), 3}},
        {2, {ENTRY(13, 1), 0x40}},
        {4, {ENTRY(14, 1), 2, 2, 2}},
        {2, {ENTRY(0, 1), 0x85}}, /* cut short by the next entry */
        {3, {ENTRY(10, 1), 3, 0x85}},
        {3, {ENTRY(13, 1), 0x42, 0x81}},
        {7, {ENTRY(13, 1), 0x40, 0x40, 0x40, 0x40, 0x40, 0x04}},       /* 33 bits */
        {8, {ENTRY(13, 1), 0x44, 0x40, 0x40, 0x40, 0x40, 0x40, 0x00}}, /* more bytes than 32 bits take */
        {9, {ENTRY(13, 1), 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x01}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t table[2 * sizeof good + sizeof bad->bytes];
        size_t len = 0;
        memcpy(table, good, sizeof good);
        len += sizeof good;
        memcpy(table + len, bad[i].bytes, bad[i].len);
        len += bad[i].len;
        check_unknown(look(SP_LINETABLE_311, table, len, 1, 2));
        memcpy(table + len, good, sizeof good);
        len += sizeof good;
        CHECK_EQ(look(SP_LINETABLE_311, table, len, 1, 0).line, 3);
        CHECK_EQ(look(SP_LINETABLE_311, table, len, 1, 4).line, 0);
    }
    /* Bytes left over behind an entry are a malformed entry as well. */
    static const uint8_t tail[] = {ENTRY(0, 1), 0x11, 0x22, ENTRY(13, 1), 0x04};
    check_location(LOOK(SP_LINETABLE_311, tail, 1, 0), 1, 1, 1, 2);
    check_unknown(LOOK(SP_LINETABLE_311, tail, 1, 2));
}

static void test_format_that_does_not_exist(void)
{
    static const uint8_t table[] = {2, 1, 2, 1};
    check_unknown(LOOK((enum sp_linetable_format)77, table, 3, 0));
}

static int same(const struct sp_location *a, const struct sp_location *b)
{
    return a->line == b->line && a->end_line == b->end_line && a->column == b->column && a->end_column == b->end_column;
}

static int sane(const struct sp_location *loc)
{
    return loc->line >= 0 && loc->end_line >= 0 && loc->column >= -1 && loc->end_column >= -1;
}

/* One pass answers as single lookups do, whatever the table and the order of the offsets. */
static void check_batch(const uint8_t *bytes, size_t len)
{
    static const int32_t offsets[] = {-1, 0, 0, 1, 2, 3, 6, 7, 40, 300, INT32_MAX, 5, -7, 2, 0};
    enum { COUNT = sizeof offsets / sizeof *offsets };
    for (int f = SP_LINETABLE_LNOTAB_39; f <= SP_LINETABLE_311; f++) {
        enum sp_linetable_format format = (enum sp_linetable_format)f;
        uint8_t *table = malloc(len);
        memcpy(table, bytes, len);
        struct sp_location batch[COUNT];
        sp_linetable_lookup_sorted(format, table, len, 10, offsets, COUNT, batch);
        for (int i = 0; i < COUNT; i++) {
            struct sp_location one = sp_linetable_lookup(format, table, len, 10, offsets[i]);
            CHECK(same(&one, &batch[i]));
            CHECK(sane(&one));
        }
        free(table);
    }
}

static void test_every_table_of_two_bytes(void)
{
    for (unsigned n = 0; n < 65536; n++) {
        uint8_t table[2] = {(uint8_t)n, (uint8_t)(n >> 8)};
        check_batch(table, 1 + (n > 255));
    }
}

static void test_random_tables(void)
{
    uint64_t state = 1;
    for (int n = 0; n < 20000; n++) {
        uint8_t table[64];
        size_t len = 1 + check_random(&state) % sizeof table;
        for (size_t i = 0; i < len; i++) {
            uint64_t r = check_random(&state);
            /* half of the tables have mostly payload bytes: varints get longer */
            table[i] = (uint8_t)(n & 1 && r >> 61 != 0 ? r & 0x7f : r);
        }
        check_batch(table, len);
    }
}

int main(void)
{
    RUN(test_lnotab_of_the_notes);
    RUN(test_lnotab_goes_back_and_has_no_end);
    RUN(test_310_ranges_without_a_line);
    RUN(test_311_every_kind);
    RUN(test_311_module_resume);
    RUN(test_not_started_is_the_first_line);
    RUN(test_lines_beyond_32_bits_are_none);
    RUN(test_311_malformed_entry_ends_the_table);
    RUN(test_format_that_does_not_exist);
    RUN(test_every_table_of_two_bytes);
    RUN(test_random_tables);
    return check_report();
}
