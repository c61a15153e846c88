/* A walk over a stack, and what it may read of it. Of unwind.c and recall.h only. Context: signal handler. */
#ifndef SP_NATIVE_WALK_H
#define SP_NATIVE_WALK_H

#include "unwind.h"

#define WORD sizeof(uintptr_t)

/* The walk's state: registers as the frame at hand has them. */
struct walk {
    struct sp_registers r;
    uintptr_t low, high; /* what may be read */
    bool fp_known;
};

/* A word of the stack that the frame at hand, or one further out, has written. The sanitizer forbids parts of other functions'
 * frames, which is where return addresses are. */
__attribute__((no_sanitize_address)) static inline bool load(const struct walk *w, uintptr_t at, uintptr_t *value)
{
    if (at < w->low || at > w->high - WORD || at % WORD != 0) {
        return false;
    }
    *value = *(const uintptr_t *)at;
    return true;
}

/* A return address without its signature, if it has one. */
static inline uintptr_t plain(uintptr_t address)
{
#if defined(__aarch64__)
    return address & 0x0000ffffffffffffull; /* pointer authentication: in the bits that no user's address has */
#else
    return address;
#endif
}

static inline int32_t extent_of(uintptr_t bytes)
{
    uint64_t words = bytes / WORD;
    return words < SP_EXTENT_UNKNOWN ? (int32_t)words : SP_EXTENT_UNKNOWN - 1;
}

#endif
