/* Python.h with the internals that the walk needs, and every version switch outside the access headers, named for the
 * question it answers. */
#ifndef SP_CPYTHON_COMPAT_H
#define SP_CPYTHON_COMPAT_H

/* Internal headers, never copied structs: a patch release may move any of them. */
#ifndef Py_BUILD_CORE_MODULE
#define Py_BUILD_CORE_MODULE 1
#endif
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <frameobject.h>

#if PY_VERSION_HEX < 0x03090000
#error "spprof needs CPython 3.9 or later"
#endif
#if PY_VERSION_HEX >= 0x03100000
#error "this CPython is newer than the newest whose frame layout spprof knows (3.15): add csrc/cpython/access_3xx.h"
#endif

/* _PyInterpreterFrame and the data stack exist (before: frame objects on the heap). */
#define SP_INTERPRETER_FRAMES (PY_VERSION_HEX >= 0x030B0000)
/* A per-C-call _PyCFrame holds the top of the stack (3.11, 3.12). */
#define SP_CFRAMES (PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030D0000)
/* Shim frames mark each entry into the evaluation loop. */
#define SP_SHIM_FRAMES (PY_VERSION_HEX >= 0x030C0000)
/* _PyRuntime.debug_offsets exists. */
#define SP_DEBUG_OFFSETS (PY_VERSION_HEX >= 0x030D0000)
/* PyCode_AddWatcher exists. */
#define SP_CODE_WATCHERS (PY_VERSION_HEX >= 0x030C0000)
/* Suspended coroutines can be read by hand, and all threads can be stopped for it where there is no GIL. */
#define SP_TASK_MOMENTS (PY_VERSION_HEX >= 0x030D0000)
/* Thread states know the event loop that runs. */
#define SP_TASK_LOOPS (PY_VERSION_HEX >= 0x030E0000)
/* Code objects carry their qualified name. */
#define SP_CODE_QUALNAME (PY_VERSION_HEX >= 0x030B0000)

/* A module says whether it can live in sub-interpreters, and without the GIL. */
#define SP_INTERPRETERS_SLOT (PY_VERSION_HEX >= 0x030C0000)
#define SP_GIL_SLOT (PY_VERSION_HEX >= 0x030D0000)

#if PY_VERSION_HEX >= 0x030B0000
#define SP_LINETABLE SP_LINETABLE_311
#elif PY_VERSION_HEX >= 0x030A0000
#define SP_LINETABLE SP_LINETABLE_310
#else
#define SP_LINETABLE SP_LINETABLE_LNOTAB_39
#endif

#ifdef Py_GIL_DISABLED
#define SP_FREE_THREADED 1
#else
#define SP_FREE_THREADED 0
#endif

#endif
