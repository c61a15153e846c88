#include "outside.h"

#include <string.h>

#include "access.h"
#include "collector.h"

#if SP_INTERPRETER_FRAMES
#include <internal/pycore_frame.h>
#include <internal/pycore_genobject.h>
#define FRAME_BYTES offsetof(sp_frame, localsplus)
#define CODE_BYTES offsetof(PyCodeObject, co_code_adaptive)
#else
#define FRAME_BYTES sizeof(sp_frame)
#define CODE_BYTES sizeof(PyCodeObject)
#endif

#include <internal/pycore_interp.h>

/* More thread states than this are a list that goes round in circles. */
#define MOST_THREADS 100000

/* Where in a struct pthread its tid may be (glibc: 0x2d0 on x86-64). */
#define PTHREAD_SEARCHED 2048u

void sp_outside_refresh(struct sp_outside *o)
{
    memset(o->numbers, 0, sizeof o->numbers);
}

/* By whole pages, which are kept until the next refresh: a stack's frames lie together. */
static bool fetch(struct sp_outside *o, void *to, uintptr_t from, size_t bytes)
{
    char *at = to;
    while (bytes > 0) {
        uintptr_t number = from / SP_OUTSIDE_PAGE;
        size_t start = from % SP_OUTSIDE_PAGE;
        size_t part = SP_OUTSIDE_PAGE - start < bytes ? SP_OUTSIDE_PAGE - start : bytes;
        uint8_t *page = o->pages[number % SP_OUTSIDE_PAGES];
        uintptr_t *has = &o->numbers[number % SP_OUTSIDE_PAGES];
        if (number == 0) {
            return false;
        }
        if (*has != number) {
            *has = 0;
            if (!o->copy(o->ctx, page, number * SP_OUTSIDE_PAGE, SP_OUTSIDE_PAGE)) {
                return false;
            }
            *has = number;
        }
        memcpy(at, page + start, part);
        at += part;
        from += part;
        bytes -= part;
    }
    return true;
}

void sp_outside_init(struct sp_outside *o, PyInterpreterState *interpreter, struct sp_outside_thread own,
                     struct sp_outside_thread other, bool (*copy)(void *ctx, void *to, uintptr_t from, size_t bytes), void *ctx)
{
    memset(o, 0, sizeof *o);
    o->copy = copy;
    o->ctx = ctx;
    o->interpreter = interpreter;
#if PY_VERSION_HEX < 0x030B0000
    char own_block[PTHREAD_SEARCHED], other_block[PTHREAD_SEARCHED];
    if (!fetch(o, own_block, own.handle, PTHREAD_SEARCHED) || !fetch(o, other_block, other.handle, PTHREAD_SEARCHED)) {
        return;
    }
    for (uint32_t at = sizeof(int); at < PTHREAD_SEARCHED; at += sizeof(int)) {
        int own_tid, other_tid;
        memcpy(&own_tid, own_block + at, sizeof own_tid);
        memcpy(&other_tid, other_block + at, sizeof other_tid);
        if (own_tid == own.tid && other_tid == other.tid) { /* each has its own number there */
            o->tid_offset = at;
            return;
        }
    }
#else
    (void)own;
    (void)other;
#endif
}

static int tid_of(struct sp_outside *o, const PyThreadState *ts)
{
#if PY_VERSION_HEX >= 0x030B0000
    (void)o;
    return (int)ts->native_thread_id;
#else
    int tid = 0;
    bool known = o->tid_offset != 0 && fetch(o, &tid, (uintptr_t)ts->thread_id + o->tid_offset, sizeof tid);
    return known ? tid : 0;
#endif
}

static bool fetch_state(struct sp_outside *o, PyThreadState *ts, uintptr_t address)
{
    return fetch(o, ts, address, sizeof *ts) && ts->interp == o->interpreter;
}

int sp_outside_tid(struct sp_outside *o, uintptr_t address)
{
    PyThreadState ts;
    return fetch_state(o, &ts, address) ? tid_of(o, &ts) : 0;
}

static uintptr_t list_head(struct sp_outside *o)
{
    uintptr_t head = 0;
#if PY_VERSION_HEX >= 0x030B0000
    fetch(o, &head, (uintptr_t)&o->interpreter->threads.head, sizeof head);
#else
    fetch(o, &head, (uintptr_t)&o->interpreter->tstate_head, sizeof head);
#endif
    return head;
}

/* The address of the innermost frame; false if it can't be had. */
static bool top_of(struct sp_outside *o, PyThreadState *ts, uintptr_t *top)
{
#if SP_CFRAMES
    _PyCFrame cframe;
    if (!fetch(o, &cframe, (uintptr_t)ts->cframe, sizeof cframe)) {
        return false;
    }
    *top = (uintptr_t)cframe.current_frame;
#else
    (void)o;
    *top = (uintptr_t)sp_frame_top(ts);
#endif
    return true;
}

/* Up to 3.11 the state of a thread that is being started carries the number of the thread that starts it, until it runs: only one
 * that has frames is believed to be a thread's. */
static bool is_state_of(struct sp_outside *o, int tid, PyThreadState *ts)
{
    uintptr_t top = 0;
    return tid_of(o, ts) == tid && top_of(o, ts, &top) && top != 0;
}

uintptr_t sp_outside_find(struct sp_outside *o, int tid, uintptr_t hint)
{
    PyThreadState ts;
    if (hint != 0 && fetch_state(o, &ts, hint) && is_state_of(o, tid, &ts)) {
        return hint;
    }
    uintptr_t at = list_head(o);
    for (int i = 0; i < MOST_THREADS && at != 0 && fetch_state(o, &ts, at); i++) {
        if (is_state_of(o, tid, &ts)) {
            return at;
        }
        at = (uintptr_t)ts.next;
    }
    return 0;
}

/* The fixed part of a code object. */
static bool fetch_code(struct sp_outside *o, PyCodeObject *fields, uintptr_t code)
{
    return fetch(o, fields, code, CODE_BYTES) && Py_TYPE((PyObject *)fields) == &PyCode_Type;
}

static bool is_coroutine(struct sp_outside *o, uintptr_t generator)
{
    PyObject head;
    return generator != 0 && fetch(o, &head, generator, sizeof head) && Py_TYPE(&head) == &PyCoro_Type;
}

#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
/* The thread's own copy of the bytecode is named in an array beside the code object, which has an entry for each thread:
 * made an array of that one entry, and the frame's index its index. */
static bool fetch_own_bytecode(struct sp_outside *o, sp_frame *f, PyCodeObject *fields, _PyCodeArray *own)
{
    uintptr_t array = (uintptr_t)fields->co_tlbc;
    if (array == 0 || !fetch(o, own, array, offsetof(_PyCodeArray, entries)) || f->tlbc_index < 0 || f->tlbc_index >= own->size
        || !fetch(o, own->entries, array + offsetof(_PyCodeArray, entries) + (size_t)f->tlbc_index * sizeof own->entries[0],
                  sizeof own->entries[0])) {
        return false;
    }
    own->size = 1;
    f->tlbc_index = 0;
    fields->co_tlbc = own;
    return true;
}
#endif

int sp_outside_walk(struct sp_outside *o, uintptr_t address, struct sp_raw_frame *out, uintptr_t *coroutine)
{
    PyThreadState ts;
    uintptr_t at;
    if (!fetch_state(o, &ts, address) || !top_of(o, &ts, &at)) {
        return -1;
    }
    struct sp_collector c = {.out = out};
    bool at_entry = true;
    for (int followed = 0; at != 0; followed++) {
        if (followed == SP_MAX_WALK) {
            *coroutine = sp_collected_coroutine(&c);
            return sp_collected(&c, false);
        }
        sp_frame frame;
        sp_frame *f = &frame;
        if (!fetch(o, f, at, FRAME_BYTES)) {
            return -1;
        }
        PyCodeObject fields;
        uintptr_t code = (uintptr_t)sp_frame_code(f);
#if SP_INTERPRETER_FRAMES
        bool shim = sp_frame_shim(f);
        if (!shim) {
            if (!fetch_code(o, &fields, code)) {
                return -1;
            }
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
            _PyCodeArray own;
            if (!fetch_own_bytecode(o, f, &fields, &own)) {
                return -1;
            }
#endif
            if (!sp_frame_in_code(f, (PyCodeObject *)code, &fields)) {
                return -1;
            }
            if (!sp_frame_incomplete(f, (PyCodeObject *)code, &fields)) {
                sp_collect(&c, (PyObject *)code, sp_frame_offset(f, (PyCodeObject *)code, &fields));
                uintptr_t generator = sp_frame_in_generator(f) ? at - offsetof(PyGenObject, gi_iframe) : 0;
                sp_collect_generator(&c, generator, is_coroutine(o, generator));
            }
        }
#if SP_CFRAMES
        at_entry = sp_frame_entry(f);
#else
        at_entry = shim;
#endif
#else
        if (Py_TYPE((PyObject *)f) != &PyFrame_Type || !fetch_code(o, &fields, code)) {
            return -1;
        }
        sp_collect(&c, (PyObject *)code, sp_frame_offset(f, (PyCodeObject *)code, &fields));
        uintptr_t generator = (uintptr_t)sp_frame_generator(f);
        sp_collect_generator(&c, generator, is_coroutine(o, generator));
#endif
        at = (uintptr_t)sp_frame_previous(f);
    }
    *coroutine = sp_collected_coroutine(&c);
    return at_entry ? sp_collected(&c, true) : -1;
}
