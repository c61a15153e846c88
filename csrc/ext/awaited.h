/* What a suspended coroutine waits for. */
#ifndef SP_EXT_AWAITED_H
#define SP_EXT_AWAITED_H

#include <Python.h>

/* awaited(coroutine, running, awaited): the attribute `awaited`; None if the attribute `running` is true, or one of them is
 * missing.
 *
 * CPython 3.11 and 3.12 look for what a coroutine awaits behind the instruction that it executes. If it runs, that may be data of
 * the interpreter's that happens to look like the end of an await, and what cr_await then gives is no object (genobject.c,
 * _PyGen_yf). So whether it runs is asked first, and here, because between two calls from Python another thread could set it going. */
PyObject *sp_awaited(PyObject *module, PyObject *args);

#endif
