/* 3.12: as 3.11, with a shim frame on the C stack for each entry into the evaluation loop.
 * Source: Include/internal/pycore_frame.h, Python/ceval.c. */
#ifndef SP_CPYTHON_ACCESS_312_H
#define SP_CPYTHON_ACCESS_312_H

#include <internal/pycore_frame.h>

typedef _PyInterpreterFrame sp_frame;

static inline sp_frame *sp_frame_top(PyThreadState *ts)
{
    return ts->cframe->current_frame;
}

static inline sp_frame *sp_frame_previous(sp_frame *f)
{
    return f->previous;
}

static inline PyObject *sp_frame_code(sp_frame *f)
{
    return (PyObject *)f->f_code;
}

static inline int32_t sp_frame_offset(sp_frame *f, PyCodeObject *code, const PyCodeObject *fields)
{
    (void)fields;
    return (int32_t)(f->prev_instr - _PyCode_CODE(code)) * (int)sizeof(_Py_CODEUNIT);
}

static inline bool sp_frame_incomplete(sp_frame *f, PyCodeObject *code, const PyCodeObject *fields)
{
    return f->owner != FRAME_OWNED_BY_GENERATOR && f->prev_instr < _PyCode_CODE(code) + fields->_co_firsttraceable;
}

static inline bool sp_frame_shim(sp_frame *f)
{
    return f->owner == FRAME_OWNED_BY_CSTACK;
}

static inline bool sp_frame_entry(sp_frame *f)
{
    return f->owner == FRAME_OWNED_BY_CSTACK;
}

static inline bool sp_frame_in_generator(sp_frame *f)
{
    return f->owner == FRAME_OWNED_BY_GENERATOR;
}

static inline bool sp_frame_on_data_stack(sp_frame *f)
{
    return f->owner == FRAME_OWNED_BY_THREAD;
}

static inline bool sp_frame_in_code(sp_frame *f, PyCodeObject *code, const PyCodeObject *fields)
{
    return f->prev_instr >= _PyCode_CODE(code) - 1 && f->prev_instr < _PyCode_CODE(code) + Py_SIZE(fields);
}

#endif
