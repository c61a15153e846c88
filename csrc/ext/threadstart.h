/* ThreadStart(func): what a new thread calls instead of `func`, so that it is sampled from its first instruction on. */
#ifndef SP_EXT_THREADSTART_H
#define SP_EXT_THREADSTART_H

#include <Python.h>

PyObject *sp_threadstart_type_new(PyObject *module);

/* A stand-in for `original`, one of _thread's functions that start a thread: calls it with wrap(target) for the target. */
PyObject *sp_starter_type_new(PyObject *module);
PyObject *sp_starter_new(PyTypeObject *type, PyObject *original, PyObject *wrap);

#endif
