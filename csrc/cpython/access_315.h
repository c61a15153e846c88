/* 3.15: the frame layout is 3.14's. What differs is the end of the chain: `base_frame` in the thread state, a shim that
 * has no caller. Source: Include/internal/pycore_interpframe_structs.h, pycore_tstate.h. */
#ifndef SP_CPYTHON_ACCESS_315_H
#define SP_CPYTHON_ACCESS_315_H

#include "access_314.h"

#include <internal/pycore_tstate.h>

#endif
