/* 3.13, with and without the GIL: the thread state names the innermost frame; instr_ptr is the instruction being executed.
 * Source: Include/internal/pycore_frame.h, Python/ceval.c. */
#ifndef SP_CPYTHON_ACCESS_313_H
#define SP_CPYTHON_ACCESS_313_H

#include <internal/pycore_frame.h>

typedef _PyInterpreterFrame sp_frame;

static inline sp_frame *sp_frame_top(PyThreadState *ts)
{
    return ts->current_frame;
}

static inline sp_frame *sp_frame_previous(sp_frame *f)
{
    return f->previous;
}

static inline PyObject *sp_frame_code(sp_frame *f)
{
    return f->f_executable;
}

static inline int32_t sp_frame_offset(sp_frame *f, PyCodeObject *code, const PyCodeObject *fields)
{
    (void)fields;
    return (int32_t)(f->instr_ptr - _PyCode_CODE(code)) * (int)sizeof(_Py_CODEUNIT);
}

static inline bool sp_frame_incomplete(sp_frame *f, PyCodeObject *code, const PyCodeObject *fields)
{
    return f->owner != FRAME_OWNED_BY_GENERATOR && f->instr_ptr < _PyCode_CODE(code) + fields->_co_firsttraceable;
}

static inline bool sp_frame_shim(sp_frame *f)
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
    return f->instr_ptr >= _PyCode_CODE(code) && f->instr_ptr < _PyCode_CODE(code) + Py_SIZE(fields);
}

/* What the frame of a coroutine that is suspended in an await waits for (genobject.c, _PyGen_yf). */
static inline PyObject *sp_frame_awaited(sp_frame *f)
{
    return f->localsplus[f->stacktop - 1];
}

#endif
