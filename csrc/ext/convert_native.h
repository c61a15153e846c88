/* Frames of machine code for Python: addresses, and the objects that they are in. Names are looked up there. */
#ifndef SP_EXT_CONVERT_NATIVE_H
#define SP_EXT_CONVERT_NATIVE_H

#include <Python.h>

#include "session.h"

/* Puts "native_frames" and "objects" into the dict. 0, or -1 with an exception. */
int sp_convert_native(struct sp_session *s, PyObject *dict);

/* The calling thread's own stack: (frames, objects, why the outermost frame is not there or ""). NULL with an exception. */
PyObject *sp_convert_own_stack(void);

#endif
