/* The walk from outside: the Python frames of a thread that sleeps, read by another one.
 *
 * Nothing is dereferenced, all is copied through `copy`, which fails where there is no memory (any more). The result
 * counts only if the thread did not run meanwhile, which the caller finds out (equal readings of its CPU clock around the
 * walk), and only if it sleeps in a system call: then its stack is whole. What is checked here keeps a walk over a thread that did
 * run from going astray before that is found out. */
#ifndef SP_CPYTHON_OUTSIDE_H
#define SP_CPYTHON_OUTSIDE_H

#include "compat.h" /* Python.h goes before every other header */

#include "core/sample.h"

#define SP_OUTSIDE_PAGE 4096u
#define SP_OUTSIDE_PAGES 32u

struct sp_outside {
    bool (*copy)(void *ctx, void *to, uintptr_t from, size_t bytes);
    void *ctx;
    PyInterpreterState *interpreter;
    uint32_t tid_offset; /* 3.9 and 3.10: of the tid in a struct pthread; 0: unknown */
    uintptr_t numbers[SP_OUTSIDE_PAGES];
    uint8_t pages[SP_OUTSIDE_PAGES][SP_OUTSIDE_PAGE];
};

/* `own` and `other` are two threads, the calling one first: their pthread_t and tid, from which follows where pthread keeps
 * the tid. */
struct sp_outside_thread {
    uintptr_t handle;
    int tid;
};
void sp_outside_init(struct sp_outside *o, PyInterpreterState *interpreter, struct sp_outside_thread own,
                     struct sp_outside_thread other, bool (*copy)(void *ctx, void *to, uintptr_t from, size_t bytes), void *ctx);

/* Forgets what was copied. To be called before each look. */
void sp_outside_refresh(struct sp_outside *o);

/* The address of the thread state of thread `tid`; 0 if there is none with frames. `hint` is tried first: where it was
 * the last time, or 0. Only the main interpreter's. */
uintptr_t sp_outside_find(struct sp_outside *o, int tid, uintptr_t hint);

/* The tid of the thread with the state at `ts`; 0 if there is none. */
int sp_outside_tid(struct sp_outside *o, uintptr_t ts);

/* As sp_walk(), of the thread state at `ts`. */
int sp_outside_walk(struct sp_outside *o, uintptr_t ts, struct sp_raw_frame *out, uintptr_t *coroutine);

#endif
