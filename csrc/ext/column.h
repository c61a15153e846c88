/* A column of a profile: memory handed over from a session, read by Python through the buffer protocol. */
#ifndef SP_EXT_COLUMN_H
#define SP_EXT_COLUMN_H

#include <Python.h>

/* The type, for module state. */
PyObject *sp_column_type_new(PyObject *module);

/* A memoryview of `len` elements of struct-module format `format` ("q", "I" or "B") at `data`, which stays the caller's. */
PyObject *sp_column_view(PyTypeObject *type, void *data, size_t len, const char *format);

/* From now on the (malloc'd) data of such a view goes with it. Can't fail. */
void sp_column_own(PyObject *view);

#endif
