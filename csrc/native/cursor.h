/* Reading DWARF's numbers out of bytes that may be anything: past the end everything is 0, and `bad` is set. */
#ifndef SP_NATIVE_CURSOR_H
#define SP_NATIVE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sp_cursor {
    const uint8_t *at, *end;
    bool bad;
};

static inline uint64_t sp_take(struct sp_cursor *c, size_t bytes)
{
    uint64_t value = 0;
    if ((size_t)(c->end - c->at) < bytes) {
        c->bad = true;
        c->at = c->end;
        return 0;
    }
    memcpy(&value, c->at, bytes); /* little endian, as both architectures are */
    c->at += bytes;
    return value;
}

static inline void sp_skip(struct sp_cursor *c, uint64_t bytes)
{
    if ((uint64_t)(c->end - c->at) < bytes) {
        c->bad = true;
        c->at = c->end;
    } else {
        c->at += bytes;
    }
}

static inline uint64_t sp_take_uleb(struct sp_cursor *c)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint64_t byte = sp_take(c, 1);
        if (shift < 64) {
            value |= (byte & 0x7f) << shift;
        }
        if (!(byte & 0x80)) {
            return value;
        }
    }
}

static inline int64_t sp_take_sleb(struct sp_cursor *c)
{
    uint64_t value = 0, byte;
    unsigned shift = 0;
    do {
        byte = sp_take(c, 1);
        if (shift < 64) {
            value |= (byte & 0x7f) << shift;
        }
        shift += 7;
    } while (byte & 0x80);
    if (shift < 64 && (byte & 0x40)) {
        value |= UINT64_MAX << shift;
    }
    return (int64_t)value;
}

/* A part of `bytes`, which is then behind the cursor. */
static inline struct sp_cursor sp_take_part(struct sp_cursor *c, uint64_t bytes)
{
    struct sp_cursor part = {c->at, c->at, false};
    sp_skip(c, bytes);
    part.end = c->at;
    part.bad = c->bad;
    return part;
}

#endif
