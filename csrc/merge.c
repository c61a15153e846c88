/* One stack of two: Python's frames and the machine's.
 *
 * Each activation of the evaluation loop is one frame of machine code, and runs one or more Python frames; these take its place. Which
 * frame it is, is known by a local variable of it (a shim frame, or a _PyCFrame), whose address lies within its extent. Before 3.11
 * there is no such variable: then it is known by its code, and runs one Python frame. Where the two sides can't be brought together the
 * stack is Python's alone, with a mark. */
#include "native/unwind.h"
#include "session.h"

struct merge {
    struct sp_session *s;
    const struct sp_raw_head *head;
    const struct sp_native_map *map;
    const struct sp_raw_frame *python, *native, *entries;
    struct sp_raw_frame *out;
    uint32_t n;
    uint32_t p, i; /* how many of either kind are done */
    uint32_t end;  /* so many of the machine's frames can be believed */
    bool whole;    /* they are all there */
};

static enum sp_object_role role_of(const struct merge *m, uint32_t i)
{
    const struct sp_code_range *range = m->map == NULL ? NULL : sp_native_range(m->map, (uintptr_t)m->native[i].addr);
    return range == NULL ? SP_OBJECT_OTHER : sp_codemap_object(&m->s->codemap, range->object)->role;
}

static void put_mark(struct merge *m)
{
    m->out[m->n++] = (struct sp_raw_frame){SP_MARK_MISSING, 0, SP_FRAME_MARK};
}

static void put_native(struct merge *m, uint32_t i)
{
    uintptr_t pc = (uintptr_t)m->native[i].addr;
    const struct sp_code_range *range = m->map == NULL ? NULL : sp_native_range(m->map, pc);
    if (range == NULL) {
        m->out[m->n++] = (struct sp_raw_frame){pc, -1, SP_FRAME_NATIVE};
    } else {
        uint64_t place = pc - sp_codemap_object(&m->s->codemap, range->object)->bias;
        m->out[m->n++] = (struct sp_raw_frame){place, (int32_t)range->object, SP_FRAME_NATIVE};
    }
}

/* The machine's frames up to `end`: between the evaluation loops what the interpreter does to get from one to the other is left out. */
static void put_natives(struct merge *m, uint32_t end, bool fold)
{
    for (; m->i < end; m->i++) {
        if (!fold || role_of(m, m->i) != SP_OBJECT_INTERPRETER) {
            put_native(m, m->i);
        }
    }
}

static void put_pythons(struct merge *m, uint32_t end)
{
    for (; m->p < end; m->p++) {
        m->out[m->n++] = m->python[m->p];
    }
}

/* What is outside of the outermost Python frame: how the thread came there is left out. */
static void put_root(struct merge *m, bool fold)
{
    uint32_t end = m->end;
    uint32_t first = m->i;
    while (fold && m->whole && end > first && role_of(m, end - 1) != SP_OBJECT_OTHER) {
        end--;
    }
    if (end == first && m->n == 0) {
        end = m->end; /* all that there is */
    }
    put_natives(m, end, fold && m->n > 0);
}

/* The frame of machine code within which `address` lies; m->end: none. */
static uint32_t frame_around(const struct merge *m, uintptr_t address, uintptr_t stack_pointer)
{
    uint64_t words = address < stack_pointer ? UINT64_MAX : (address - stack_pointer) / sizeof(uintptr_t);
    uint32_t i = m->i;
    while (i < m->end && words >= (uint64_t)m->native[i].offset) {
        i++;
    }
    return i < m->end && m->native[i].offset == SP_EXTENT_UNKNOWN ? m->end : i;
}

static bool by_entries(struct merge *m, bool fold, bool cut_stack)
{
    for (uint32_t e = 0; e < m->head->n_entries; e++) {
        uint32_t up_to = (uint32_t)m->entries[e].offset;
        uint32_t i = frame_around(m, (uintptr_t)m->entries[e].addr, (uintptr_t)m->head->stack_pointer);
        if (i == m->end) {
            return !m->whole;
        }
        if (role_of(m, i) != SP_OBJECT_INTERPRETER) {
            m->end = i; /* a frame that reaches over others: what was taken for a frame pointer was none */
            return !m->whole;
        }
        put_natives(m, i, fold && e > 0);
        if (cut_stack && up_to > SP_MAX_DEPTH / 2) {
            break; /* it began in the part that is left out, or beyond it */
        }
        put_pythons(m, up_to);
        if (!fold) {
            put_native(m, i);
        }
        m->i = i + 1;
    }
    return true;
}

static bool is_loop(const struct merge *m, uint32_t i)
{
    const struct sp_settings *set = &m->s->settings;
    uintptr_t pc = (uintptr_t)m->native[i].addr;
    for (uint32_t k = 0; k < set->n_eval; k++) {
        if (set->eval[k].start <= pc && pc < set->eval[k].end) {
            return true;
        }
    }
    return false;
}

static bool by_code(struct merge *m, bool fold, uint32_t python, bool cut_stack)
{
    uint32_t loops = 0;
    for (uint32_t i = 0; i < m->head->n_native; i++) {
        loops += is_loop(m, i);
    }
    /* One may have been entered that has no frame yet. */
    uint32_t early = m->whole && !cut_stack && loops == python + 1 ? 1 : 0;
    if (m->whole && !cut_stack && loops != python + early) {
        return false;
    }
    uint32_t most = cut_stack ? SP_MAX_DEPTH / 2 : python;
    for (uint32_t i = 0; i < m->head->n_native && m->p < most; i++) {
        if (!is_loop(m, i)) {
            continue;
        }
        if (early > 0) {
            early--;
            continue;
        }
        put_natives(m, i, fold && m->p > 0);
        put_pythons(m, m->p + 1);
        if (!fold) {
            put_native(m, i);
        }
        m->i = i + 1;
    }
    return true;
}

static bool only_mark(const struct merge *m, enum sp_mark mark)
{
    return m->head->n_frames == 1 && m->python[0].kind == SP_FRAME_MARK && m->python[0].addr == (uint64_t)mark;
}

uint32_t sp_merge(struct sp_session *s, const struct sp_raw_head *head, const struct sp_raw_frame *frames)
{
    struct merge m = {.s = s, .head = head, .python = frames, .native = frames + head->n_frames, .out = s->merged};
    m.entries = m.native + head->n_native;
    m.end = head->n_native;
    m.map = sp_codemap_of(&s->codemap, head->map);
    m.whole = head->native_seen == 1 + (uint32_t)SP_UNWIND_WHOLE;
    bool fold = s->settings.native == SP_NATIVE_FOLDED;
    bool cut_stack = false;
    for (uint32_t i = 0; i < head->n_frames; i++) {
        cut_stack |= frames[i].kind == SP_FRAME_MARK && frames[i].addr == SP_MARK_TRUNCATED;
    }
    s->native_walks++;
    s->native_cut += !m.whole;
    uint32_t python = head->n_frames;
    if (only_mark(&m, SP_MARK_INVALID) || only_mark(&m, SP_MARK_SUBINTERPRETER)) {
        put_pythons(&m, python);
        return m.n;
    }
    if (only_mark(&m, SP_MARK_NATIVE)) {
        if (head->n_native == 0) {
            put_pythons(&m, python);
            return m.n;
        }
        put_root(&m, fold);
        if (!m.whole) {
            put_mark(&m);
        }
        return m.n;
    }
    bool agrees = head->n_entries > 0 || s->settings.n_eval == 0 ? by_entries(&m, fold, cut_stack)
                                                                 : by_code(&m, fold, python, cut_stack);
    if (!agrees || (m.whole && !cut_stack && m.p < python)) {
        s->native_disagreements++;
        m.n = m.p = m.i = 0;
        put_mark(&m);
        put_pythons(&m, python);
        return m.n;
    }
    if (m.p == python) {
        put_root(&m, fold);
        if (!m.whole && !fold) {
            put_mark(&m);
        }
        return m.n;
    }
    if (!cut_stack) { /* the machine's frames end here; if Python's are cut, it is not known whose the others are */
        put_natives(&m, m.end, fold && m.p > 0);
        put_mark(&m);
    }
    put_pythons(&m, python);
    return m.n;
}
