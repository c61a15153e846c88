#include "unwind.h"

#include "recall.h"

/* Signals leave that much below the stack pointer alone: the innermost function may have something there. So has one that is about
 * to return, and has taken its frame down: the compiler still gives the place where the frame pointer was saved. */
static uintptr_t red_zone(uintptr_t sp, uintptr_t low)
{
#if defined(__x86_64__)
    return sp - low < 128 ? sp - low : 128;
#else
    (void)sp;
    (void)low;
    return 0;
#endif
}

uint16_t sp_table_find(const struct sp_table *table, uint64_t address)
{
    uint64_t wide = address - table->base;
    if (table->n == 0 || wide > UINT32_MAX || table->offsets[0] > wide) {
        return SP_RULE_NONE;
    }
    const uint32_t *at = table->offsets;
    uint32_t n = table->n, offset = (uint32_t)wide;
    while (n > 1) { /* the last one that is not behind the address */
        uint32_t half = n / 2;
        at = at[half] <= offset ? at + half : at;
        n -= half;
    }
    return table->rules[at - table->offsets];
}

const struct sp_code_range *sp_native_range(const struct sp_native_map *map, uintptr_t address)
{
    uint32_t low = 0, high = map->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (map->ranges[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < map->n && map->ranges[low].start <= address ? &map->ranges[low] : NULL;
}

uint16_t sp_native_rule(struct sp_native_map *map, uintptr_t address)
{
    _Atomic uint64_t *known = &map->cache[((uint64_t)address * 0x9e3779b97f4a7c15ull >> 32) & (SP_NATIVE_CACHE - 1)];
    uint64_t entry = atomic_load_explicit(known, memory_order_relaxed);
    if (entry >> 16 == address) {
        return (uint16_t)entry;
    }
    const struct sp_code_range *range = sp_native_range(map, address);
    if (range == NULL) {
        return SP_RULE_OUTSIDE;
    }
    uint16_t number = range->table == NULL ? SP_RULE_NONE : sp_table_find(range->table, address);
    atomic_store_explicit(known, (uint64_t)address << 16 | number, memory_order_relaxed);
    return number;
}

static bool frame_address(const struct walk *w, const struct sp_rule *rule, uintptr_t *cfa)
{
    uintptr_t offset = (uintptr_t)(intptr_t)rule->cfa_offset;
    switch (rule->cfa) {
    case SP_CFA_SP:
        *cfa = w->r.sp + offset;
        return true;
    case SP_CFA_FP:
        *cfa = w->r.fp + offset;
        return w->fp_known;
    case SP_CFA_SP_DEREF:
        return load(w, w->r.sp + offset, cfa);
    case SP_CFA_FP_DEREF:
        return w->fp_known && load(w, w->r.fp + offset, cfa);
    case SP_CFA_PLT:
        *cfa = w->r.sp + offset + ((w->r.pc & 15) >= rule->extra ? WORD : 0);
        return true;
    default:
        return false;
    }
}

/* The caller's value of a register; false if it can't be had. */
static bool saved(const struct walk *w, enum sp_saved where, int32_t offset, uintptr_t cfa, uintptr_t in_register, uintptr_t *value)
{
    uintptr_t distance = (uintptr_t)(intptr_t)offset;
    switch (where) {
    case SP_SAVED_NOT:
        *value = in_register;
        return true;
    case SP_SAVED_CFA:
        return load(w, cfa + distance, value);
    case SP_SAVED_SP:
        return load(w, w->r.sp + distance, value);
    case SP_SAVED_FP:
        return w->fp_known && load(w, w->r.fp + distance, value);
    default:
        return false;
    }
}

/* Of code whose compiler said nothing: a frame pointer, if what it points to looks like one. */
static const struct sp_rule by_frame_pointer = {
    .cfa = SP_CFA_FP,
    .cfa_offset = 2 * WORD,
    .fp = SP_SAVED_CFA,
    .fp_offset = -2 * (int)WORD,
    .address = SP_SAVED_CFA,
    .return_offset = -(int)WORD,
};

/* On aarch64 nothing is said about the code that handlers return to, so that unwinders know it by sight, and the frame pointer there
 * leads past the function that was interrupted. What it was interrupted with is at the stack pointer: siginfo, then the context. */
static bool interrupted(struct walk *w)
{
#if defined(__aarch64__)
    enum { SIGINFO = 128, BEFORE_REGISTERS = 176 + 8, FP = 29, LINK = 30, SP = 31, PC = 32 };
    uintptr_t registers = w->r.sp + SIGINFO + BEFORE_REGISTERS, sp;
    struct sp_registers r = w->r;
    if (!load(w, registers + FP * WORD, &r.fp) || !load(w, registers + LINK * WORD, &r.link) || !load(w, registers + SP * WORD, &sp)
        || !load(w, registers + PC * WORD, &r.pc) || sp <= w->r.sp || sp > w->high || sp % WORD != 0) {
        return false;
    }
    r.sp = w->low = sp;
    r.pc = plain(r.pc);
    r.link = plain(r.link);
    w->r = r;
    w->fp_known = true;
    return true;
#else
    (void)w;
    return false;
#endif
}

uint32_t sp_unwind(struct sp_native_map *map, struct sp_registers registers, struct sp_stack stack, struct sp_memo *memo,
                   struct sp_raw_frame *out, uint32_t most, enum sp_unwind_end *end)
{
    struct walk w = {registers, registers.sp - red_zone(registers.sp, stack.low), stack.high, true};
    struct recall recall = {.memo = memo};
    uint32_t n = 0;
    bool called = false; /* the frame at hand has called the one before */
    *end = SP_UNWIND_DEEP;
    if (stack.high < WORD || registers.sp < stack.low || registers.sp >= stack.high) {
        *end = SP_UNWIND_REFUSED;
        return 0;
    }
    recall_begin(&recall, map, stack);
    while (n < most) {
        /* A return address is behind its call, where another rule may hold, or another function be: noreturn calls. */
        uintptr_t at = w.r.pc - (called ? 1 : 0);
        if (recall.left > 0) {
            uint32_t same = recall_frames(&recall, &w, at, registers.sp, out + n, most - n);
            if (same > 0) {
                n += same;
                called = true;
                continue;
            }
        }
        out[n] = (struct sp_raw_frame){at, SP_EXTENT_UNKNOWN, SP_FRAME_NATIVE};
        struct sp_memo_frame unknown = {0, w.r.sp, w.r.fp, PLACE_UNKNOWN, PLACE_NONE};
        if (called && w.r.pc == w.r.signal_return && w.r.pc != 0 && interrupted(&w)) {
            out[n].addr = w.r.signal_return;
            out[n++].offset = extent_of(w.r.sp - registers.sp);
            called = false;
            note(&recall, unknown);
            continue;
        }
        uint16_t number = sp_native_rule(map, at);
        const struct sp_rule *rule = number == SP_RULE_NONE ? &by_frame_pointer : &map->rules[number];
        if (rule->cfa == SP_CFA_END) {
            n++;
            note(&recall, step_of(&w, rule, at, 0));
            *end = SP_UNWIND_WHOLE;
            break;
        }
        uintptr_t cfa;
        if (rule->cfa == SP_CFA_STOP || !frame_address(&w, rule, &cfa)) {
            n += number == SP_RULE_OUTSIDE && called && n > 0 ? 0 : 1; /* nowhere: not a frame, what it came from is wrong */
            note(&recall, step_of(&w, rule, at, 0));
            *end = SP_UNWIND_UNKNOWN;
            break;
        }
        /* Frames go up. The innermost may have none of its own where calls don't use the stack. */
        bool rises = cfa > w.r.sp || (!called && cfa == w.r.sp);
        if (!rises || cfa > w.high || cfa % WORD != 0) {
            n++;
            *end = SP_UNWIND_REFUSED;
            break;
        }
        out[n].offset = extent_of(cfa - registers.sp);
        n += rule->cfa == SP_CFA_PLT ? 0 : 1; /* a jump on the way to a function is no function */
        uintptr_t address, fp = 0;
        if (!saved(&w, rule->address, rule->return_offset, cfa, w.r.link, &address)) {
            *end = SP_UNWIND_REFUSED;
            break;
        }
        address = plain(address);
        if (address == 0) { /* below the outermost frame of a thread there is nothing */
            *end = SP_UNWIND_WHOLE;
            break;
        }
        struct sp_memo_frame step = step_of(&w, rule, at, cfa);
        w.fp_known = saved(&w, rule->fp, rule->fp_offset, cfa, w.r.fp, &fp) && (w.fp_known || rule->fp != SP_SAVED_NOT);
        step.return_place = w.fp_known ? step.return_place : PLACE_UNKNOWN;
        note(&recall, step);
        w.r.fp = fp;
        called = !sp_rule_of_signal(rule);
        w.low = called ? cfa : cfa - red_zone(cfa, w.r.sp);
        w.r.sp = cfa;
        w.r.pc = address;
        w.r.link = 0; /* a caller has stored its own */
    }
    recall_end(&recall);
    return n;
}
