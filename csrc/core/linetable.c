#include "linetable.h"

#include <stdbool.h>

/* Every format is read as a sequence of ranges: adjacent, ascending, none empty, the first at offset 0. One
 * cursor walks them; a lookup advances it until the range holds the offset.
 *
 * Sums are 64 bits wide: a table would have to be longer than 2^32 bytes to overflow them. */
struct cursor {
    enum sp_linetable_format format;
    const uint8_t *next;
    const uint8_t *limit;
    int64_t computed_line; /* running sum of the deltas; goes on across entries that have no line */
    int64_t start, end;    /* the current range, [start, end) */
    struct sp_location location;
};

static const struct sp_location UNKNOWN = {.line = 0, .end_line = 0, .column = -1, .end_column = -1};

/* A line out of a sum of deltas: what cannot be a line number is no line. */
static int32_t as_line(int64_t line)
{
    return line > 0 && line <= INT32_MAX ? (int32_t)line : 0;
}

static void cursor_init(struct cursor *c, enum sp_linetable_format format, const uint8_t *table, size_t len, int32_t firstlineno)
{
    c->format = format;
    c->next = table;
    /* Not "table + len" for an empty table: table may then be NULL. */
    c->limit = len > 0 ? table + len : table;
    c->computed_line = firstlineno;
    c->start = c->end = 0;
    c->location = UNKNOWN;
}

/* 3.9: pairs (offset increment, signed line increment). A pair says where the *next* range starts and by how
 * much its line differs; pairs with an offset increment of 0 only add to the line, for deltas that do not fit
 * in a byte. */
static bool next_range_39(struct cursor *c)
{
    c->start = c->end;
    while (c->limit - c->next >= 2) {
        c->end += c->next[0];
        int64_t line = c->computed_line;
        c->computed_line += (int8_t)c->next[1];
        c->next += 2;
        if (c->end > c->start) {
            c->location.line = as_line(line);
            return true;
        }
    }
    c->end = INT64_MAX; /* the last line has no end in the table */
    c->location.line = as_line(c->computed_line);
    return true;
}

/* 3.10: pairs (length of this range, signed line delta); a delta of -128 says that this range has no line and
 * leaves the sum alone. Ranges of length 0 only add to the sum. */
static bool next_range_310(struct cursor *c)
{
    c->start = c->end;
    while (c->limit - c->next >= 2) {
        int8_t delta = (int8_t)c->next[1];
        c->end += c->next[0];
        c->next += 2;
        if (delta != -128) {
            c->computed_line += delta;
        }
        if (c->end > c->start) {
            c->location.line = delta == -128 ? 0 : as_line(c->computed_line);
            return true;
        }
    }
    return false;
}

/* Reading an entry of the 3.11 format. Only an entry's first byte has bit 7 set, so a payload byte that has it
 * (or lies beyond the table) means that the entry is cut short. */
static bool read_payload(struct cursor *c, uint32_t *byte)
{
    if (c->next == c->limit || *c->next & 0x80) {
        return false;
    }
    *byte = *c->next++;
    return true;
}

/* Six bits a byte, least significant first; bit 6 says that another one follows. More than 32 bits: malformed. */
static bool read_varint(struct cursor *c, uint32_t *value)
{
    uint64_t sum = 0;
    uint32_t byte;
    unsigned shift = 0;
    do {
        if (shift > 30 || !read_payload(c, &byte)) {
            return false;
        }
        sum |= (uint64_t)(byte & 0x3f) << shift;
        shift += 6;
    } while (byte & 0x40);
    *value = (uint32_t)sum;
    return sum <= UINT32_MAX;
}

/* The sign is bit 0. */
static bool read_line_delta(struct cursor *c)
{
    uint32_t value;
    if (!read_varint(c, &value)) {
        return false;
    }
    int64_t magnitude = value >> 1;
    c->computed_line += value & 1 ? -magnitude : magnitude;
    return true;
}

/* Stored plus one, so that 0 can say "none". */
static bool read_column(struct cursor *c, int32_t *column)
{
    uint32_t value;
    if (!read_varint(c, &value)) {
        return false;
    }
    *column = value <= INT32_MAX ? (int32_t)value - 1 : -1;
    return true;
}

/* The entry's location by its kind (Objects/locations.md, "Location entries"); false when it is malformed. */
static bool read_location(struct cursor *c, unsigned kind)
{
    struct sp_location *loc = &c->location;
    uint32_t first, second;
    *loc = UNKNOWN;
    if (kind == 15) { /* no location */
        return true;
    }
    if (kind == 14) { /* long form */
        uint32_t height;
        if (!read_line_delta(c) || !read_varint(c, &height) || !read_column(c, &loc->column) || !read_column(c, &loc->end_column)) {
            return false;
        }
        loc->line = as_line(c->computed_line);
        loc->end_line = as_line(c->computed_line + height);
        return true;
    }
    if (kind == 13) { /* no columns */
        if (!read_line_delta(c)) {
            return false;
        }
    } else if (kind >= 10) { /* one line, 0 to 2 lines further down */
        if (!read_payload(c, &first) || !read_payload(c, &second)) {
            return false;
        }
        c->computed_line += kind - 10;
        loc->column = (int32_t)first;
        loc->end_column = (int32_t)second;
    } else { /* short form: same line, columns in the kind and one byte */
        if (!read_payload(c, &first)) {
            return false;
        }
        loc->column = (int32_t)(kind << 3 | first >> 4);
        loc->end_column = loc->column + (int32_t)(first & 15);
    }
    loc->line = loc->end_line = as_line(c->computed_line);
    return true;
}

/* 3.11: entries of 1 to 8 code units each (a code unit has two bytes, inline caches count). */
static bool next_range_311(struct cursor *c)
{
    if (c->next == c->limit || !(*c->next & 0x80)) {
        return false;
    }
    unsigned head = *c->next++;
    c->start = c->end;
    if (!read_location(c, head >> 3 & 15)) {
        c->next = c->limit; /* nothing behind a malformed entry can be trusted: its line delta is missing */
        return false;
    }
    c->end += 2 * ((int64_t)(head & 7) + 1);
    return true;
}

static bool next_range(struct cursor *c)
{
    switch (c->format) {
    case SP_LINETABLE_LNOTAB_39:
        return next_range_39(c);
    case SP_LINETABLE_310:
        return next_range_310(c);
    case SP_LINETABLE_311:
        return next_range_311(c);
    }
    return false;
}

void sp_linetable_lookup_sorted(enum sp_linetable_format format, const uint8_t *table, size_t len, int32_t firstlineno,
                                const int32_t *byte_offsets, size_t count, struct sp_location *locations)
{
    struct cursor c;
    cursor_init(&c, format, table, len, firstlineno);
    for (size_t i = 0; i < count; i++) {
        int32_t offset = byte_offsets[i];
        if (offset < 0) {
            locations[i] = UNKNOWN;
            locations[i].line = as_line(firstlineno);
            continue;
        }
        if (offset < c.start) {
            cursor_init(&c, format, table, len, firstlineno);
        }
        bool found = true;
        while (found && c.end <= offset) {
            found = next_range(&c);
        }
        locations[i] = found ? c.location : UNKNOWN;
    }
}

struct sp_location sp_linetable_lookup(enum sp_linetable_format format, const uint8_t *table, size_t len, int32_t firstlineno,
                                       int32_t byte_offset)
{
    struct sp_location location;
    sp_linetable_lookup_sorted(format, table, len, firstlineno, &byte_offset, 1, &location);
    return location;
}
