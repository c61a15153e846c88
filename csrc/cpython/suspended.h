/* Coroutines that are suspended, and a moment in which they stay so. CPython 3.13 and later. */
#ifndef SP_CPYTHON_SUSPENDED_H
#define SP_CPYTHON_SUSPENDED_H

#include "compat.h"

#if SP_TASK_MOMENTS

struct sp_suspended {
    PyObject *code; /* a new reference */
    int offset;     /* of the instruction, in bytes */
};

/* Does `work` while nobody else runs Python: with a GIL at once, without one when all threads are held at a safe point. It must not
 * free anything, or wait for a lock. False with an exception: not done. */
bool sp_at_standstill(void (*work)(void *arg), void *arg);

/* At a standstill: this coroutine and those that it waits for, one after the other, as far as they are CPython's own (generators
 * and asynchronous generators too). The number of them, `most` at most; -1 if it runs or is over. */
int sp_suspended_chain(PyObject *coroutine, struct sp_suspended *out, int most);

#endif

#if SP_TASK_LOOPS
/* At a standstill: the event loops that threads run, new references. The number of them, `most` at most. */
int sp_loops_that_run(PyInterpreterState *interpreter, PyObject **out, int most);
#endif

#endif
