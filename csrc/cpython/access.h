/* How to read a frame on this version of CPython: the one access header for its layout.
 *
 * Each defines, for frames of type sp_frame:
 *   sp_frame_top(ts)              the innermost frame, shims and incomplete ones included
 *   sp_frame_previous(f)          its caller, or NULL
 *   sp_frame_code(f)              its executable (a code object, or another object for shims)
 *   sp_frame_offset(f, code, fields)      byte offset of its instruction, as PyCode_Addr2Line() wants it
 *   sp_frame_incomplete(f, code, fields)  true where sys._getframe() does not show it
 * and for 3.11 and later
 *   sp_frame_shim(f)              true for the interpreter's own entry frames
 *   sp_frame_in_generator(f), sp_frame_on_data_stack(f)   who owns its memory
 *   sp_frame_in_code(f, code, fields)     true if its instruction pointer lies in that code object
 * `code` is where the code object is, `fields` where it can be read: the same, or a copy of its fixed part.
 *
 * Context of all: signal handler on the thread that owns the frames. They load and compare, nothing else. */
#ifndef SP_CPYTHON_ACCESS_H
#define SP_CPYTHON_ACCESS_H

#include "compat.h"

#if PY_VERSION_HEX >= 0x030F0000
#include "access_315.h"
#elif PY_VERSION_HEX >= 0x030E0000
#include "access_314.h"
#elif PY_VERSION_HEX >= 0x030D0000
#include "access_313.h"
#elif PY_VERSION_HEX >= 0x030C0000
#include "access_312.h"
#elif PY_VERSION_HEX >= 0x030B0000
#include "access_311.h"
#else
#include "access_39.h"
#endif

#endif
