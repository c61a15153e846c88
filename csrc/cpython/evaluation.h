/* Where the interpreter's own code is. */
#ifndef SP_CPYTHON_EVALUATION_H
#define SP_CPYTHON_EVALUATION_H

#include "compat.h"

/* An address in the evaluation loop. */
static inline uintptr_t sp_evaluation_loop(void)
{
    return (uintptr_t)_PyEval_EvalFrameDefault;
}

/* Whether its activations can be told by what they have on the stack. */
static inline bool sp_entries_are_seen(void)
{
    return SP_INTERPRETER_FRAMES;
}

#endif
