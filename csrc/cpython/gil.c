#include "gil.h"

#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

/* One for the process up to 3.11, one for each interpreter (or shared by some) since 3.12. */
static struct _gil_runtime_state *gil_of(PyInterpreterState *interpreter)
{
#if PY_VERSION_HEX >= 0x030C0000
    return interpreter->ceval.gil;
#else
    (void)interpreter;
    return &_PyRuntime.ceval.gil;
#endif
}

void sp_gil_extent(PyInterpreterState *interpreter, uintptr_t *address, size_t *bytes)
{
    struct _gil_runtime_state *gil = gil_of(interpreter);
    *address = (uintptr_t)gil;
    *bytes = gil == NULL ? 0 : sizeof *gil;
}

uintptr_t sp_gil_holder(PyInterpreterState *interpreter)
{
    struct _gil_runtime_state *gil = gil_of(interpreter);
    if (gil == NULL) {
        return 0;
    }
#if PY_VERSION_HEX >= 0x030D0000
    bool locked = _Py_atomic_load_int_relaxed(&gil->locked) == 1;
    return locked ? (uintptr_t)_Py_atomic_load_ptr_relaxed(&gil->last_holder) : 0;
#else
    bool locked = _Py_atomic_load_relaxed(&gil->locked) == 1;
    return locked ? (uintptr_t)_Py_atomic_load_relaxed(&gil->last_holder) : 0;
#endif
}
