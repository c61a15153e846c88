/* What the walk before found, used by this one, and kept for the next. Of unwind.c only. Context: signal handler. */
#ifndef SP_NATIVE_RECALL_H
#define SP_NATIVE_RECALL_H

#include "walk.h"

/* Where `saved` reads, from the stack pointer on; `none` if it does not read. */
static inline int32_t place_of(const struct walk *w, enum sp_saved where, int32_t offset, uintptr_t cfa, int32_t none)
{
    uintptr_t from = where == SP_SAVED_CFA ? cfa : where == SP_SAVED_SP ? w->r.sp : where == SP_SAVED_FP ? w->r.fp : 0;
    int64_t distance = (int64_t)(from + (uintptr_t)(intptr_t)offset - w->r.sp);
    return from != 0 && distance > INT32_MIN && distance < INT32_MAX ? (int32_t)distance : none;
}

#define PLACE_NONE INT32_MAX /* the caller's is in the register */
#define PLACE_UNKNOWN INT32_MIN

struct recall {
    struct sp_memo *memo; /* NULL: there is none */
    uint32_t left;        /* frames of the memo that the walk has not gone past, from the outermost on */
    uint32_t kept;        /* those that hold for this walk too; what is further out than the first of these is not remembered */
    uint32_t fresh;       /* frames of this walk that are not among them */
};

static inline void recall_begin(struct recall *recall, const struct sp_native_map *map, struct sp_stack stack)
{
    struct sp_memo *memo = recall->memo;
    if (memo == NULL) {
        return;
    }
    if (memo->generation != map->generation || memo->stack.low != stack.low || memo->stack.high != stack.high) {
        memo->generation = map->generation;
        memo->stack = stack;
        memo->n = 0;
    }
    recall->left = memo->n;
}

static inline void note(struct recall *recall, struct sp_memo_frame frame)
{
    if (recall->memo != NULL && recall->kept == 0) {
        recall->memo->fresh[recall->fresh++ % SP_MEMO_FRAMES] = frame;
    }
}

/* The frame at hand and those that follow, as far as they are what they were: writes them, and takes the walk to the one behind. Returns
 * their number. */
static inline uint32_t recall_frames(struct recall *recall, struct walk *w, uintptr_t at, uintptr_t base, struct sp_raw_frame *out,
                                     uint32_t most)
{
    if (recall->memo == NULL || !w->fp_known) {
        return 0;
    }
    const struct sp_memo_frame *frames = recall->memo->frames;
    uint32_t i = recall->left, n = 0;
    while (i > 0 && frames[i - 1].sp < w->r.sp) {
        i--;
    }
    recall->left = i;
    if (i == 0 || frames[i - 1].sp != w->r.sp || frames[i - 1].at != at || frames[i - 1].fp != w->r.fp) {
        return 0;
    }
    const struct sp_memo_frame *f = &frames[i - 1];
    while (n < most && f > frames && f->return_place != PLACE_UNKNOWN) {
        const struct sp_memo_frame *next = f - 1;
        uintptr_t address, fp = f->fp;
        if (!load(w, f->sp + (uintptr_t)(intptr_t)f->return_place, &address) || plain(address) != next->at + 1
            || (f->fp_place != PLACE_NONE && !load(w, f->sp + (uintptr_t)(intptr_t)f->fp_place, &fp)) || fp != next->fp) {
            break;
        }
        out[n++] = (struct sp_raw_frame){f->at, extent_of(next->sp - base), SP_FRAME_NATIVE};
        f = next;
    }
    if (f == frames) {
        recall->kept = i;
    } else { /* others follow */
        for (uint32_t k = 0; k < n; k++) {
            note(recall, frames[i - 1 - k]);
        }
    }
    recall->left = (uint32_t)(f - frames); /* it is not what it was, or nothing is known of it: the walk goes past it */
    if (n > 0) {
        w->r.sp = w->low = f->sp;
        w->r.fp = f->fp;
        w->r.pc = f->at + 1;
        w->r.link = 0;
    }
    return n;
}

/* The outermost frames of this walk first, as many as there is room for. */
static inline void recall_end(const struct recall *recall)
{
    struct sp_memo *memo = recall->memo;
    if (memo == NULL) {
        return;
    }
    uint32_t n = recall->kept, known = recall->fresh < SP_MEMO_FRAMES ? recall->fresh : SP_MEMO_FRAMES;
    for (uint32_t k = 1; k <= known && n < SP_MEMO_FRAMES; k++) {
        memo->frames[n++] = memo->fresh[(recall->fresh - k) % SP_MEMO_FRAMES];
    }
    memo->n = n;
}

/* What is to be remembered of the step from the frame at hand to its caller. */
static inline struct sp_memo_frame step_of(const struct walk *w, const struct sp_rule *rule, uintptr_t at, uintptr_t cfa)
{
    struct sp_memo_frame f = {w->fp_known ? at : 0, w->r.sp, w->r.fp, PLACE_UNKNOWN, PLACE_NONE};
    bool plain_step = (rule->cfa == SP_CFA_SP || rule->cfa == SP_CFA_FP) && !sp_rule_of_signal(rule) && w->fp_known;
    if (plain_step && rule->fp != SP_SAVED_LOST && rule->fp != SP_SAVED_ELSEWHERE) {
        f.return_place = place_of(w, rule->address, rule->return_offset, cfa, PLACE_UNKNOWN);
        if (rule->fp != SP_SAVED_NOT) {
            f.fp_place = place_of(w, rule->fp, rule->fp_offset, cfa, PLACE_NONE);
            f.return_place = f.fp_place == PLACE_NONE ? PLACE_UNKNOWN : f.return_place;
        }
    }
    return f;
}

#endif
