/* Collects the frames of one walk, leaf first, in an array of SP_MAX_DEPTH + 1. */
#ifndef SP_CPYTHON_COLLECTOR_H
#define SP_CPYTHON_COLLECTOR_H

#include <string.h>

#include "compat.h"
#include "core/sample.h"

/* The leaf half stays where it is, the rest is a circle of the latest. */
#define LEAF_PART (SP_MAX_DEPTH / 2)
#define ROOT_PART (SP_MAX_DEPTH - LEAF_PART)

struct sp_collector {
    struct sp_raw_frame *out;
    int n;
    /* The outermost coroutine of the innermost run of generators' frames that has a coroutine outermost: the one that a task
     * runs, if the stack is an event loop's. */
    uintptr_t coroutine, candidate;
    struct sp_raw_frame *entries; /* room for SP_MAX_ENTRIES, or NULL: they are not asked for */
    uint32_t n_entries;
};

/* The evaluation loop that runs the frames collected since the last one was entered; `inside`: a local variable of it. */
static inline void sp_collect_entry(struct sp_collector *c, uintptr_t inside)
{
    if (c->entries != NULL && c->n_entries < SP_MAX_ENTRIES) {
        c->entries[c->n_entries++] = (struct sp_raw_frame){inside, c->n, SP_FRAME_ENTRY};
    }
}

/* Of each frame in turn, leaf first: the generator whose frame it is, 0 if none, and whether that is a coroutine. */
static inline void sp_collect_generator(struct sp_collector *c, uintptr_t generator, bool is_coroutine)
{
    if (c->coroutine != 0) {
        return;
    }
    if (generator != 0) {
        c->candidate = is_coroutine ? generator : 0;
    } else {
        c->coroutine = c->candidate;
    }
}

static inline uintptr_t sp_collected_coroutine(const struct sp_collector *c)
{
    return c->coroutine != 0 ? c->coroutine : c->candidate;
}

static inline void sp_collect(struct sp_collector *c, PyObject *code, int32_t offset)
{
    int at = c->n < LEAF_PART ? c->n : LEAF_PART + (c->n - LEAF_PART) % ROOT_PART;
    c->out[at] = (struct sp_raw_frame){(uint64_t)(uintptr_t)code, offset, SP_FRAME_CODE};
    c->n++;
}

static inline void sp_reverse(struct sp_raw_frame *from, struct sp_raw_frame *to)
{
    while (from < to) {
        struct sp_raw_frame keep = *from;
        *from++ = *--to;
        *to = keep;
    }
}

/* `complete`: the walk reached the root. */
static inline int sp_collected(struct sp_collector *c, bool complete)
{
    const struct sp_raw_frame mark = {SP_MARK_TRUNCATED, 0, SP_FRAME_MARK};
    if (!complete) {
        int n = c->n < LEAF_PART ? c->n : LEAF_PART;
        c->out[n] = mark;
        return n + 1;
    }
    if (c->n <= SP_MAX_DEPTH) {
        return c->n;
    }
    struct sp_raw_frame *root = c->out + LEAF_PART;
    int oldest = (c->n - LEAF_PART) % ROOT_PART; /* turn the circle so that it starts with its oldest */
    sp_reverse(root, root + oldest);
    sp_reverse(root + oldest, root + ROOT_PART);
    sp_reverse(root, root + ROOT_PART);
    memmove(root + 1, root, ROOT_PART * sizeof *root);
    *root = mark;
    return SP_MAX_DEPTH + 1;
}

#endif
