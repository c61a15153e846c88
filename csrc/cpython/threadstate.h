/* Which thread state belongs to the calling thread. */
#ifndef SP_CPYTHON_THREADSTATE_H
#define SP_CPYTHON_THREADSTATE_H

#include "compat.h"

#include <internal/pycore_runtime.h>

/* The calling thread's own thread state, with the GIL or without; NULL for a thread that Python does not know.
 *
 * PyGILState_GetThisThreadState() reads a thread-specific value and keeps being right when the GIL is released; the
 * "current thread state" of 3.9 to 3.11 is then another thread's. Context: any thread, handler included. */
static inline PyThreadState *sp_own_thread_state(void)
{
    return PyGILState_GetThisThreadState();
}

/* True if the interpreter is being finalized, by another thread than that of `ts`: the thread runs no Python any more, and its
 * state may have been freed under it. Context: handler included. */
static inline bool sp_state_is_going(PyThreadState *ts)
{
    PyThreadState *finalizing = _PyRuntimeState_GetFinalizing(&_PyRuntime);
    return finalizing != NULL && finalizing != ts;
}

/* Context: handler included. */
static inline PyInterpreterState *sp_interpreter_of(PyThreadState *ts)
{
    return ts->interp;
}

#endif
