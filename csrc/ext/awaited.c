#include "awaited.h"

/* The attribute, or NULL without an exception. */
static PyObject *attribute_or_null(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL) {
        PyErr_Clear(); /* of another kind than it looked */
    }
    return value;
}

PyObject *sp_awaited(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *coroutine, *running_name, *awaited_name;
    if (!PyArg_ParseTuple(args, "OUU:awaited", &coroutine, &running_name, &awaited_name)) {
        return NULL;
    }
    PyObject *running = attribute_or_null(coroutine, running_name);
    int runs = running == NULL ? 1 : PyObject_IsTrue(running);
    Py_XDECREF(running);
    if (runs < 0) {
        PyErr_Clear();
    }
    PyObject *awaited = runs == 0 ? attribute_or_null(coroutine, awaited_name) : NULL;
    if (awaited == NULL) {
        Py_RETURN_NONE;
    }
    return awaited;
}
