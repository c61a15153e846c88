/* Who holds the GIL, and who waits for it. */
#ifndef SP_CPYTHON_GIL_H
#define SP_CPYTHON_GIL_H

#include "compat.h"

/* Where the GIL's mutexes and condition variables are: a thread that waits on one of them waits for the GIL. */
void sp_gil_extent(PyInterpreterState *interpreter, uintptr_t *address, size_t *bytes);

/* The address of the thread state that holds it at this moment, 0 if nobody does. Not to be dereferenced. Context: any thread. */
uintptr_t sp_gil_holder(PyInterpreterState *interpreter);

#endif
