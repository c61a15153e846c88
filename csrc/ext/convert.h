/* Sessions as Python objects. Context of all: GIL held. */
#ifndef SP_EXT_CONVERT_H
#define SP_EXT_CONVERT_H

#include <Python.h>

#include "resolve.h"

/* stats() as a dict. */
PyObject *sp_convert_stats(const struct sp_stats *stats);

/* collect(): the dict that src/spprof/_native.pyi describes. The columns' memory leaves the session. `qualnames` may be
 * None or a dict of id(code) to name. */
PyObject *sp_convert_session(struct sp_session *s, PyTypeObject *column_type, PyObject *qualnames, PyObject *stats);

/* What stands for a frame that is none, SP_MARK_*. */
const char *sp_mark_name(uint64_t mark);

/* A line or column, or None for what stands for an unknown one. */
PyObject *sp_position(int32_t value, int32_t unknown);

/* Raises what an enum sp_err means; returns NULL. */
PyObject *sp_raise(int err, const char *text);

#endif
