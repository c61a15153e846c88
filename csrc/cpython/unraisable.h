/* What CPython does with an exception that ends a thread of _thread.start_new_thread(). */
#ifndef SP_CPYTHON_UNRAISABLE_H
#define SP_CPYTHON_UNRAISABLE_H

#include "compat.h"

/* Reports the current exception, as raised by the function `func` at the root of a thread: as CPython would, if it had called
 * `func` itself. sys.unraisablehook may compare `func` with what it knows. Context: with the GIL. */
static inline void sp_report_thread_exception(PyObject *func)
{
#if PY_VERSION_HEX < 0x030D0000
    _PyErr_WriteUnraisableMsg("in thread started by", func);
#else
    PyErr_FormatUnraisable("Exception ignored in thread started by %R", func);
#endif
}

#endif
