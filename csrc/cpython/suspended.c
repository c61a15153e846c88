#include "suspended.h"

#if SP_TASK_MOMENTS

#include <internal/pycore_frame.h>

#include "access.h"

#if SP_FREE_THREADED

struct visit {
    void (*work)(void *arg);
    void *arg;
    bool done;
};

static int work_once(PyObject *object, void *visit)
{
    (void)object;
    struct visit *v = visit;
    if (!v->done) {
        v->work(v->arg);
        v->done = true;
    }
    return 0; /* no other object is of interest */
}

bool sp_at_standstill(void (*work)(void *arg), void *arg)
{
    struct visit v = {.work = work, .arg = arg};
    PyUnstable_GC_VisitObjects(work_once, &v); /* what it is for does not matter: it stops all threads, and may be told to end */
    if (!v.done) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter's threads can't be stopped");
    }
    return v.done;
}

#else

bool sp_at_standstill(void (*work)(void *arg), void *arg)
{
    work(arg);
    return true;
}

#endif

static bool has_frame(PyObject *object)
{
    return PyCoro_CheckExact(object) || PyGen_CheckExact(object) || PyAsyncGen_CheckExact(object);
}

int sp_suspended_chain(PyObject *coroutine, struct sp_suspended *out, int most)
{
    int depth = 0;
    for (PyObject *object = coroutine; depth < most && has_frame(object);) {
        PyGenObject *generator = (PyGenObject *)object;
        int state = generator->gi_frame_state;
        if (state != FRAME_CREATED && !FRAME_STATE_SUSPENDED(state)) {
            return depth > 0 ? depth : -1;
        }
        sp_frame *frame = (sp_frame *)&generator->gi_iframe;
        PyCodeObject *code = (PyCodeObject *)sp_frame_code(frame);
        out[depth++] = (struct sp_suspended){Py_NewRef(code), sp_frame_offset(frame, code, code)};
        if (state != FRAME_SUSPENDED_YIELD_FROM) {
            break;
        }
        object = sp_frame_awaited(frame);
    }
    return depth;
}

#if SP_TASK_LOOPS
int sp_loops_that_run(PyInterpreterState *interpreter, PyObject **out, int most)
{
    int count = 0;
    for (PyThreadState *ts = PyInterpreterState_ThreadHead(interpreter); ts != NULL; ts = PyThreadState_Next(ts)) {
        PyObject *loop = ((_PyThreadStateImpl *)ts)->asyncio_running_loop;
        if (loop != NULL && count < most) {
            out[count++] = Py_NewRef(loop);
        }
    }
    return count;
}
#endif

#else

typedef int sp_no_empty_file; /* ISO C wants one declaration */

#endif
