#include "frames.h"

#include "access.h"
#include "collector.h"

#if !SP_INTERPRETER_FRAMES

int sp_walk(PyThreadState *ts, uintptr_t stack_pointer, bool (*readable)(uintptr_t), struct sp_raw_frame *out, uintptr_t *coroutine,
            struct sp_entries *entries)
{
    (void)entries;
    /* Frame objects live on the heap, and each link is stored once, after what it points to is whole. */
    (void)stack_pointer;
    (void)readable;
    struct sp_collector c = {.out = out};
    sp_frame *f = sp_frame_top(ts);
    for (; f != NULL && c.n < SP_MAX_WALK; f = sp_frame_previous(f)) {
        PyObject *code = sp_frame_code(f);
        sp_collect(&c, code, sp_frame_offset(f, (PyCodeObject *)code, (PyCodeObject *)code));
        PyObject *generator = sp_frame_generator(f);
        sp_collect_generator(&c, (uintptr_t)generator, generator != NULL && Py_TYPE(generator) == &PyCoro_Type);
    }
    *coroutine = sp_collected_coroutine(&c);
    return sp_collected(&c, f == NULL);
}

#else

#include <internal/pycore_frame.h>
#include <internal/pycore_genobject.h>

/* How far above the stack pointer to expect the C stack. Heap taken for stack costs a check, stack taken for heap loses one
 * that matters only within a fibre switch. */
#define C_STACK_REACH ((uintptr_t)16 << 20)

#define PAGE_SHIFT 12
#define PAGES_REMEMBERED 16

struct walk {
    PyThreadState *ts;
    uintptr_t stack_pointer;
    bool (*readable)(uintptr_t);
    uintptr_t pages[PAGES_REMEMBERED]; /* found readable during this walk; index by page number */
#if SP_CFRAMES
    _PyCFrame *cframe; /* of the innermost evaluation loop whose entry has not been met */
#endif
};

static bool page_readable(struct walk *w, uintptr_t address)
{
    uintptr_t page = address >> PAGE_SHIFT;
    uintptr_t *known = &w->pages[page % PAGES_REMEMBERED];
    if (*known == page) {
        return true;
    }
    if (!w->readable(page << PAGE_SHIFT)) {
        return false;
    }
    *known = page;
    return true;
}

#ifdef __SANITIZE_ADDRESS__
/* A pointer that is not believed may lead to memory that was freed. It is there, and is found to hold no frame; the sanitizer
 * need not be told, but may help to find it out. */
extern void *__asan_region_is_poisoned(void *start, size_t bytes);
#define IS_FREED(from, bytes) (__asan_region_is_poisoned((void *)(uintptr_t)(from), (bytes)) != NULL)
#else
#define IS_FREED(from, bytes) false
#endif

static bool can_read(struct walk *w, const void *from, size_t bytes)
{
    uintptr_t first = (uintptr_t)from;
    return first % sizeof(void *) == 0 && first >= 4096 && page_readable(w, first) && page_readable(w, first + bytes - 1)
           && !IS_FREED(from, bytes);
}

static bool may_be_c_stack(const struct walk *w, const void *p)
{
    return (uintptr_t)p - w->stack_pointer < C_STACK_REACH;
}

static bool in_thread_state(const struct walk *w, const void *p)
{
    /* _PyThreadStateImpl, which holds base_frame from 3.15 on, starts with the public part */
#if PY_VERSION_HEX >= 0x030F0000
    return (uintptr_t)p - (uintptr_t)w->ts < sizeof(_PyThreadStateImpl);
#else
    return (uintptr_t)p - (uintptr_t)w->ts < sizeof(PyThreadState);
#endif
}

/* In the part of the thread's data stack that is in use? */
static bool in_data_stack(const struct walk *w, const sp_frame *f)
{
    uintptr_t from = (uintptr_t)f;
    uintptr_t to = from + offsetof(sp_frame, localsplus);
    for (const _PyStackChunk *chunk = w->ts->datastack_chunk; chunk != NULL; chunk = chunk->previous) {
        uintptr_t data = (uintptr_t)&chunk->data[0];
        if (from < data || from >= (uintptr_t)chunk + chunk->size) {
            continue;
        }
        uintptr_t top = (uintptr_t)w->ts->datastack_top;
        if (chunk != w->ts->datastack_chunk || top < data || top > (uintptr_t)chunk + chunk->size) {
            top = data + chunk->top * sizeof(PyObject *);
        }
        return to <= top;
    }
    return false;
}

/* The object around a generator's frame. */
static const PyObject *generator_of(const sp_frame *f)
{
    return (const PyObject *)((const char *)f - offsetof(PyGenObject, gi_iframe));
}

/* A generator's frame that is on the stack: the object around it says that it runs; or that it is suspended while its link
 * to the caller is still there, which is so for the few instructions of a yield. */
static bool in_running_generator(struct walk *w, sp_frame *f)
{
    const PyGenObject *gen = (const PyGenObject *)generator_of(f);
    if (!can_read(w, gen, offsetof(PyGenObject, gi_iframe))) {
        return false;
    }
    PyTypeObject *type = Py_TYPE((PyObject *)gen);
    if (type != &PyGen_Type && type != &PyCoro_Type && type != &PyAsyncGen_Type) {
        return false;
    }
    return gen->gi_frame_state == FRAME_EXECUTING || (gen->gi_frame_state != FRAME_CLEARED && sp_frame_previous(f) != NULL);
}

/* A frame to which an unbelieved pointer led, or which lies on the C stack: is it one? */
static bool is_frame(struct walk *w, sp_frame *f)
{
    bool data_stack = in_data_stack(w, f);
    if (!data_stack && !can_read(w, f, offsetof(sp_frame, localsplus))) {
        return false;
    }
    if (sp_frame_shim(f)) {
        return !data_stack;
    }
    PyObject *code = sp_frame_code(f);
    if (!can_read(w, code, sizeof(PyCodeObject)) || Py_TYPE(code) != &PyCode_Type
        || !sp_frame_in_code(f, (PyCodeObject *)code, (PyCodeObject *)code)) {
        return false;
    }
    return sp_frame_on_data_stack(f) ? data_stack : sp_frame_in_generator(f) && in_running_generator(w, f);
}

/* After the frame with which an evaluation loop was entered, or its shim. */
static void collect_entry(struct walk *w, sp_frame *f, struct sp_collector *c)
{
#if SP_SHIM_FRAMES
    if (sp_frame_shim(f) && !in_thread_state(w, f)) {
        sp_collect_entry(c, (uintptr_t)f);
    }
#else
    /* The loop has no frame of its own, but it has a _PyCFrame. */
    if (c->entries != NULL && w->cframe != NULL && sp_frame_entry(f)) {
        sp_collect_entry(c, (uintptr_t)w->cframe);
        _PyCFrame *outer = w->cframe->previous;
        bool solid = !in_thread_state(w, outer) && outer > w->cframe && can_read(w, outer, sizeof *outer);
        w->cframe = solid ? outer : NULL;
    }
#endif
}

/* Walks from `f`. `entered_from`, where given, is what the innermost evaluation loop must have been entered from. */
static int walk_from(struct walk *w, sp_frame *f, bool believed, sp_frame *const *entered_from, struct sp_collector *c)
{
    int followed = 0;
    bool first = true;
    bool at_entry = true;
    while (f != NULL) {
        if (followed++ == SP_MAX_WALK) {
            return sp_collected(c, false);
        }
        bool solid = believed && !may_be_c_stack(w, f);
        if (!solid && !in_thread_state(w, f) && !is_frame(w, f)) {
            return -1;
        }
        sp_frame *previous = sp_frame_previous(f);
        bool shim = sp_frame_shim(f);
        if (!shim) {
            PyObject *code = sp_frame_code(f);
            if (Py_TYPE(code) != &PyCode_Type) {
                return -1;
            }
            if (!sp_frame_incomplete(f, (PyCodeObject *)code, (PyCodeObject *)code)) {
                sp_collect(c, code, sp_frame_offset(f, (PyCodeObject *)code, (PyCodeObject *)code));
                const PyObject *generator = sp_frame_in_generator(f) ? generator_of(f) : NULL;
                sp_collect_generator(c, (uintptr_t)generator, generator != NULL && Py_TYPE(generator) == &PyCoro_Type);
            }
        }
        collect_entry(w, f, c);
#if SP_CFRAMES
        if (entered_from != NULL && sp_frame_entry(f)) {
            if (previous != *entered_from) {
                return -1;
            }
            entered_from = NULL;
        }
        at_entry = sp_frame_entry(f);
#else
        (void)entered_from;
        at_entry = shim || in_thread_state(w, f);
#endif
        /* Memory of the interpreter's own is consistent; a shim lies on the C stack; and the innermost frame may have been
         * linked a moment before its own link was stored (the compiler may order the two as it likes). */
        believed = !shim && !first;
        first = false;
        f = previous;
    }
    /* A chain ends where the outermost evaluation loop was entered. One that ends earlier was caught while its innermost frame,
     * a generator's, was linked or let go: it is current already (or still), and its link to the caller not stored. */
    return at_entry ? sp_collected(c, true) : -1;
}

static int walk(struct walk *w, struct sp_collector *c)
{
    PyThreadState *ts = w->ts;
#if SP_CFRAMES
    /* On its way into the evaluation loop a thread points at a _PyCFrame that is not written yet. The frame that is current
     * there must have been entered from the one that is current in the loop outside. */
    _PyCFrame *inner = ts->cframe;
    if (!in_thread_state(w, inner)) {
        _PyCFrame *outer = can_read(w, inner, sizeof *inner) ? inner->previous : NULL;
        if (outer == NULL || (!in_thread_state(w, outer) && (outer <= inner || !can_read(w, outer, sizeof *outer)))) {
            return -1;
        }
        sp_frame *entered_from = outer->current_frame;
        w->cframe = inner;
        return inner->current_frame == NULL ? -1 : walk_from(w, inner->current_frame, false, &entered_from, c);
    }
#endif
    return walk_from(w, sp_frame_top(ts), !SP_CFRAMES, NULL, c);
}

int sp_walk(PyThreadState *ts, uintptr_t stack_pointer, bool (*readable)(uintptr_t), struct sp_raw_frame *out, uintptr_t *coroutine,
            struct sp_entries *entries)
{
    struct walk w = {.ts = ts, .stack_pointer = stack_pointer, .readable = readable};
    struct sp_collector c = {.out = out, .entries = entries == NULL ? NULL : entries->frames};
    int n = walk(&w, &c);
    if (entries != NULL) {
        entries->n = c.n_entries;
    }
    *coroutine = sp_collected_coroutine(&c);
    return n;
}

#endif
