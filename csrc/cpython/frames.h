/* The walk: a thread's Python frames, from the innermost to the outermost, as sys._getframe() would show them. */
#ifndef SP_CPYTHON_FRAMES_H
#define SP_CPYTHON_FRAMES_H

#include "compat.h" /* Python.h goes before every other header */
#include "core/sample.h"

/* Reads the frames of `ts` into `out`, which has room for SP_MAX_DEPTH + 1; the leaf comes first.
 *
 * `stack_pointer` is the interrupted one: what lies above it may be this thread's C stack, whose contents can be another
 * fibre's for a moment (greenlet copies stacks) or not yet written (3.11 and 3.12 name a _PyCFrame before they fill
 * it in). A pointer that comes from there is believed only after checks that can't fault (`readable`).
 *
 * `entries`, if there is one, gets the activations of the evaluation loop, the innermost first, with the number of frames that it
 * and those within run: only where their place on the C stack is known (3.11 on). Room for SP_MAX_ENTRIES.
 *
 * Returns the number of frames, 0 where there are none, -1 if a check refused the stack: it was caught between two stores
 * (entering the evaluation loop on 3.12, a fibre switch) and will be whole some instructions later. More than SP_MAX_DEPTH frames: the
 * leaf half and the root half, a mark between.
 * Context: signal handler on the thread of `ts`. Tested by tests/functional/test_stack_equality.py, tests/crash. */
struct sp_entries {
    struct sp_raw_frame *frames;
    uint32_t n;
};
int sp_walk(PyThreadState *ts, uintptr_t stack_pointer, bool (*readable)(uintptr_t), struct sp_raw_frame *out, uintptr_t *coroutine,
            struct sp_entries *entries);

#endif
