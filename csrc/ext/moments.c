#include "moments.h"

#if SP_TASK_MOMENTS

#include "cpython/suspended.h"

enum { MOST_DEPTH = 200, MOST_LINKS = 8192, MOST_TASKS = 1024 };

struct moment {
    PyObject *coroutine, *waiter; /* owned, or NULL */
    int first, count;             /* its links; -1: it is not suspended */
};

struct reading {
    PyObject *tasks; /* a list; nobody else has it */
    PyObject *coroutine_name, *waiter_name;
    int n_moments, n_links;
    struct moment moments[MOST_TASKS];
    struct sp_suspended links[MOST_LINKS];
};

/* The attribute, owned; NULL without an exception. Runs no Python code: where a class has its own way to find attributes,
 * there is none. */
static PyObject *attribute(PyObject *object, PyObject *name)
{
    PyObject *value = NULL;
    if (Py_TYPE(object)->tp_getattro == PyObject_GenericGetAttr && PyObject_GetOptionalAttr(object, name, &value) < 0) {
        PyErr_Clear();
    }
    return value;
}

static void take(void *reading)
{
    struct reading *r = reading;
    Py_ssize_t size = PyList_GET_SIZE(r->tasks);
    for (Py_ssize_t i = 0; i < size && r->n_moments < MOST_TASKS && r->n_links <= MOST_LINKS - MOST_DEPTH; i++) {
        PyObject *task = PyList_GET_ITEM(r->tasks, i);
        struct moment *m = &r->moments[r->n_moments++];
        m->waiter = attribute(task, r->waiter_name);
        m->coroutine = attribute(task, r->coroutine_name);
        m->first = r->n_links;
        m->count = m->coroutine == NULL ? -1 : sp_suspended_chain(m->coroutine, &r->links[m->first], MOST_DEPTH);
        r->n_links += m->count > 0 ? m->count : 0;
    }
}

static PyObject *chain_of(const struct reading *r, const struct moment *m)
{
    PyObject *chain = PyList_New(m->count);
    for (int i = 0; chain != NULL && i < m->count; i++) {
        const struct sp_suspended *link = &r->links[m->first + i];
        int line = PyCode_Addr2Line((PyCodeObject *)link->code, link->offset);
        PyObject *entry = Py_BuildValue("(Oii)", link->code, link->offset, line > 0 ? line : 0);
        if (entry == NULL) {
            Py_CLEAR(chain);
        } else {
            PyList_SET_ITEM(chain, i, entry);
        }
    }
    return chain;
}

static PyObject *list_of(const struct reading *r)
{
    PyObject *list = PyList_New(r->n_moments);
    for (int i = 0; list != NULL && i < r->n_moments; i++) {
        const struct moment *m = &r->moments[i];
        PyObject *chain = m->count >= 0 ? chain_of(r, m) : Py_NewRef(Py_None);
        PyObject *entry = chain == NULL ? NULL : Py_BuildValue("(ON)", m->waiter == NULL ? Py_None : m->waiter, chain);
        if (entry == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, i, entry);
        }
    }
    return list;
}

/* What is read of `tasks` from `first` on. */
static PyObject *moments_of(PyObject *tasks, Py_ssize_t first)
{
    struct reading *r = PyMem_Calloc(1, sizeof *r);
    if (r == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *result = NULL;
    r->tasks = PyList_GetSlice(tasks, first, PyList_GET_SIZE(tasks));
    r->coroutine_name = PyUnicode_InternFromString("_coro");
    r->waiter_name = PyUnicode_InternFromString("_fut_waiter");
    if (r->tasks != NULL && r->coroutine_name != NULL && r->waiter_name != NULL) {
        result = sp_at_standstill(take, r) ? list_of(r) : NULL;
    }
    for (int i = 0; i < r->n_links; i++) {
        Py_DECREF(r->links[i].code);
    }
    for (int i = 0; i < r->n_moments; i++) {
        Py_XDECREF(r->moments[i].coroutine);
        Py_XDECREF(r->moments[i].waiter);
    }
    Py_XDECREF(r->tasks);
    Py_XDECREF(r->coroutine_name);
    Py_XDECREF(r->waiter_name);
    PyMem_Free(r);
    return result;
}

#endif

PyObject *sp_moments(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *tasks;
    Py_ssize_t first;
    if (!PyArg_ParseTuple(args, "O!n:moments", &PyList_Type, &tasks, &first)) {
        return NULL;
    }
    if (first < 0 || first > PyList_GET_SIZE(tasks)) {
        PyErr_SetString(PyExc_IndexError, "moments: no such task");
        return NULL;
    }
#if SP_TASK_MOMENTS
    return moments_of(tasks, first);
#else
    PyErr_SetString(PyExc_NotImplementedError, "moments() is for CPython 3.13 and later");
    return NULL;
#endif
}

#if SP_TASK_LOOPS

enum { MOST_LOOPS = 256 };

struct loops {
    PyInterpreterState *interpreter;
    int count;
    PyObject *loop[MOST_LOOPS]; /* owned */
};

static void take_loops(void *loops)
{
    struct loops *l = loops;
    l->count = sp_loops_that_run(l->interpreter, l->loop, MOST_LOOPS);
}

#endif

PyObject *sp_running_loops(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
#if SP_TASK_LOOPS
    struct loops l = {.interpreter = PyInterpreterState_Get()};
    PyObject *list = sp_at_standstill(take_loops, &l) ? PyList_New(l.count) : NULL;
    for (int i = 0; i < l.count; i++) {
        if (list != NULL) {
            PyList_SET_ITEM(list, i, l.loop[i]);
        } else {
            Py_DECREF(l.loop[i]);
        }
    }
    return list;
#else
    PyErr_SetString(PyExc_NotImplementedError, "running_loops() is for CPython 3.14 and later");
    return NULL;
#endif
}
