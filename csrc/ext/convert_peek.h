/* What a running session has recorded so far, as Python objects. */
#ifndef SP_EXT_CONVERT_PEEK_H
#define SP_EXT_CONVERT_PEEK_H

#include <Python.h>

/* peek(row, node, frame, object, thread, since_ns): what is new from these numbers on; None if no session is active. */
PyObject *sp_convert_peek(PyObject *module, PyObject *args);

#endif
