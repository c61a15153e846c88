/* Where asyncio's tasks are suspended, at one moment for all of them. */
#ifndef SP_EXT_MOMENTS_H
#define SP_EXT_MOMENTS_H

#include "cpython/compat.h" /* Python.h goes before every other header */

/* moments(tasks, first): of the tasks from index `first` on, as many as there was room for, at least one: a list of (what it
 * waits for or None, its suspended coroutines from its own one on as (code, instruction, line), or None if it is not suspended).
 * CPython 3.13 and later.
 *
 * Without a GIL a task goes on while it is read: CPython's attributes of coroutines (cr_await, cr_frame) and, up to 3.13,
 * asyncio's own of tasks are then read without protection, and give objects that are being freed. So all threads are held at a safe point
 * meanwhile, as for the garbage collector. With a GIL nobody runs anyway. */
PyObject *sp_moments(PyObject *module, PyObject *args);

/* running_loops(): the event loop that each thread runs, if it runs any. CPython 3.14 and later, where thread states know it. */
PyObject *sp_running_loops(PyObject *module, PyObject *unused);

#endif
