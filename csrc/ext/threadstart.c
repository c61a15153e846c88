#include "threadstart.h"

#include <stdbool.h>
#include <string.h>

#include "cpython/unraisable.h"
#include "session.h"

/* In C, so that no Python frame of ours stands at the root of every thread's stack. */
typedef struct {
    PyObject_HEAD PyObject *func;
} ThreadStart;

static PyObject *threadstart_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *func;
    static char *names[] = {"func", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:ThreadStart", names, &func)) {
        return NULL;
    }
    if (!PyCallable_Check(func)) {
        PyErr_SetString(PyExc_TypeError, "first arg must be callable");
        return NULL;
    }
    ThreadStart *self = (ThreadStart *)type->tp_alloc(type, 0);
    if (self != NULL) {
        Py_INCREF(func);
        self->func = func;
    }
    return (PyObject *)self;
}

static int threadstart_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((ThreadStart *)self)->func);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int threadstart_clear(PyObject *self)
{
    Py_CLEAR(((ThreadStart *)self)->func);
    return 0;
}

static void threadstart_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    threadstart_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* The name that threading.Thread has for this thread, if `func` is a method of one: at the end, because programs set it late. */
static void note_name(PyObject *func)
{
    PyObject *owner = PyObject_GetAttrString(func, "__self__");
    PyObject *name = owner == NULL ? NULL : PyObject_GetAttrString(owner, "name");
    const char *text = name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    if (text != NULL) {
        sp_thread_name(0, text);
    }
    PyErr_Clear();
    Py_XDECREF(name);
    Py_XDECREF(owner);
}

static PyObject *threadstart_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *func = ((ThreadStart *)self)->func;
    if (func == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "ThreadStart has been cleared");
        return NULL;
    }
    Py_INCREF(func);
    sp_thread_begin(true);
    PyObject *result = PyObject_Call(func, args, kwargs);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    note_name(func);
    PyErr_Restore(type, value, traceback);
    if (result == NULL && PyEval_GetFrame() == NULL && !PyErr_ExceptionMatches(PyExc_SystemExit)) {
        /* The caller is the thread itself, which would now report the exception as ours. */
        sp_report_thread_exception(func);
        Py_INCREF(Py_None);
        result = Py_None;
    }
    Py_DECREF(func);
    return result;
}

static PyType_Slot threadstart_slots[] = {
    {Py_tp_doc, "ThreadStart(func)\n--\n\nCalls func in a new thread that is sampled from its start."},
    {Py_tp_new, threadstart_new},
    {Py_tp_call, threadstart_call},
    {Py_tp_traverse, threadstart_traverse},
    {Py_tp_clear, threadstart_clear},
    {Py_tp_dealloc, threadstart_dealloc},
    {0, NULL},
};

static PyType_Spec threadstart_spec = {
    .name = "spprof._native.ThreadStart",
    .basicsize = sizeof(ThreadStart),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = threadstart_slots,
};

PyObject *sp_threadstart_type_new(PyObject *module)
{
    return PyType_FromModuleAndSpec(module, &threadstart_spec, NULL);
}

/* `args` with `wrapped` in the first place. */
static PyObject *replace_first(PyObject *args, PyObject *wrapped)
{
    PyObject *replaced = PyTuple_New(PyTuple_GET_SIZE(args));
    for (Py_ssize_t i = 0; replaced != NULL && i < PyTuple_GET_SIZE(args); i++) {
        PyObject *item = i == 0 ? wrapped : PyTuple_GET_ITEM(args, i);
        Py_INCREF(item);
        PyTuple_SET_ITEM(replaced, i, item);
    }
    return replaced;
}

/* Starter: what stands in for _thread.start_new_thread and its kin. Not a Python function, so that no frame of ours stands
 * in the stack, or the traceback, of who starts a thread. */
typedef struct {
    PyObject_HEAD PyObject *original;
    PyObject *wrap; /* wrap(target) is what the new thread is to call */
} Starter;

static PyObject *starter_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Starter *starter = (Starter *)self;
    bool by_name = PyTuple_GET_SIZE(args) == 0;
    PyObject *target = !by_name ? PyTuple_GET_ITEM(args, 0) : kwargs != NULL ? PyDict_GetItemString(kwargs, "function") : NULL;
    if (target == NULL) {
        return PyObject_Call(starter->original, args, kwargs); /* what is wrong, the original says best */
    }
    PyObject *wrapped = PyObject_CallFunctionObjArgs(starter->wrap, target, NULL);
    if (wrapped == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    if (by_name) {
        PyObject *named = PyDict_Copy(kwargs);
        if (named != NULL && PyDict_SetItemString(named, "function", wrapped) == 0) {
            result = PyObject_Call(starter->original, args, named);
        }
        Py_XDECREF(named);
    } else {
        PyObject *replaced = replace_first(args, wrapped);
        if (replaced != NULL) {
            result = PyObject_Call(starter->original, replaced, kwargs);
        }
        Py_XDECREF(replaced);
    }
    Py_DECREF(wrapped);
    return result;
}

static PyObject *starter_getattr(PyObject *self, void *name)
{
    return PyObject_GetAttrString(((Starter *)self)->original, name);
}

static int starter_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((Starter *)self)->original);
    Py_VISIT(((Starter *)self)->wrap);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void starter_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(((Starter *)self)->original);
    Py_XDECREF(((Starter *)self)->wrap);
    type->tp_free(self);
    Py_DECREF(type);
}

/* It looks as the function it stands for. */
static PyGetSetDef starter_getset[] = {
    {"__name__", starter_getattr, NULL, NULL, "__name__"},
    {"__qualname__", starter_getattr, NULL, NULL, "__qualname__"},
    {"__module__", starter_getattr, NULL, NULL, "__module__"},
    {"__doc__", starter_getattr, NULL, NULL, "__doc__"},
    {"__text_signature__", starter_getattr, NULL, NULL, "__text_signature__"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot starter_slots[] = {
    {Py_tp_call, starter_call},
    {Py_tp_getset, starter_getset},
    {Py_tp_traverse, starter_traverse},
    {Py_tp_dealloc, starter_dealloc},
    {0, NULL},
};

static PyType_Spec starter_spec = {
    .name = "spprof._native.Starter",
    .basicsize = sizeof(Starter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = starter_slots,
};

PyObject *sp_starter_type_new(PyObject *module)
{
    return PyType_FromModuleAndSpec(module, &starter_spec, NULL);
}

PyObject *sp_starter_new(PyTypeObject *type, PyObject *original, PyObject *wrap)
{
    Starter *starter = (Starter *)type->tp_alloc(type, 0);
    if (starter != NULL) {
        Py_INCREF(original);
        Py_INCREF(wrap);
        starter->original = original;
        starter->wrap = wrap;
    }
    return (PyObject *)starter;
}
