/* Code objects: the hook that sees them die, and what is kept of them. */
#ifndef SP_CPYTHON_CODEOBJECT_H
#define SP_CPYTHON_CODEOBJECT_H

#include "compat.h"

#include "core/budget.h"
#include "core/linetable.h"

/* What a dead (or soon dead) code object is remembered by: strong references to its own strings. */
struct sp_code_meta {
    PyObject *name; /* the qualified name from 3.11 on, the plain one before */
    PyObject *filename;
    PyObject *linetable; /* bytes */
    PyObject *code;      /* the living code object itself, where its qualified name must be looked for elsewhere (< 3.11) */
    int32_t first_line;
};

/* The same without references of its own: of a code object that can't go meanwhile. False if it has no line table. Context: any
 * thread; nothing of Python runs. */
bool sp_code_names(PyCodeObject *code, struct sp_code_meta *out);

/* NULL at the memory limit. Context: GIL held (or attached). The budget counts the structure and the line table; names
 * are shared with the program. */
struct sp_code_meta *sp_code_meta_new(struct sp_budget *budget, PyCodeObject *code);
/* Context: GIL held. */
void sp_code_meta_free(struct sp_budget *budget, struct sp_code_meta *meta);

/* Keeps `code` alive with its meta, where that is needed to name it. Context: GIL held, code not dying. */
void sp_code_meta_own(struct sp_code_meta *meta, PyCodeObject *code);

/* The place of the instruction at `offset`. */
struct sp_location sp_code_locate(const struct sp_code_meta *meta, int32_t offset);

/* From now on `on_death(code)` is called for each code object that dies, before its memory or its names go. Once
 * installed it stays: a session that is not active makes it a compare. 0 or -1 with a Python error set.
 * Context: GIL held, main interpreter. */
int sp_code_watch(void (*on_death)(PyCodeObject *code));

#endif
