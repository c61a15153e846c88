/* 3.14, with and without the GIL: executables are tagged references; on free-threaded builds the instruction pointer may
 * lie in this thread's own copy of the bytecode. Source: Include/internal/pycore_interpframe.h, pycore_stackref.h. */
#ifndef SP_CPYTHON_ACCESS_314_H
#define SP_CPYTHON_ACCESS_314_H

#include <internal/pycore_interpframe.h>

typedef struct _PyInterpreterFrame sp_frame;

static inline sp_frame *sp_frame_top(PyThreadState *ts)
{
    return ts->current_frame;
}

static inline sp_frame *sp_frame_previous(sp_frame *f)
{
    return f->previous;
}

/* PyStackRef_AsPyObjectBorrow() without its assertions: a frame that is being looked at may hold anything. */
static inline PyObject *sp_frame_code(sp_frame *f)
{
    return (PyObject *)(f->f_executable.bits & ~(uintptr_t)Py_TAG_BITS);
}

/* Where this frame's instructions start; NULL if its index is out of bounds. */
static inline _Py_CODEUNIT *sp_frame_bytecode(sp_frame *f, PyCodeObject *code, const PyCodeObject *fields)
{
#ifdef Py_GIL_DISABLED
    (void)code;
    _PyCodeArray *copies = fields->co_tlbc;
    if (copies == NULL || f->tlbc_index < 0 || f->tlbc_index >= copies->size) {
        return NULL;
    }
    return (_Py_CODEUNIT *)copies->entries[f->tlbc_index];
#else
    (void)f;
    (void)fields;
    return _PyCode_CODE(code);
#endif
}

static inline int32_t sp_frame_offset(sp_frame *f, PyCodeObject *code, const PyCodeObject *fields)
{
    _Py_CODEUNIT *start = sp_frame_bytecode(f, code, fields);
    return start == NULL ? -1 : (int32_t)(f->instr_ptr - start) * (int)sizeof(_Py_CODEUNIT);
}

static inline bool sp_frame_incomplete(sp_frame *f, PyCodeObject *code, const PyCodeObject *fields)
{
    return f->owner != FRAME_OWNED_BY_GENERATOR && f->instr_ptr < sp_frame_bytecode(f, code, fields) + fields->_co_firsttraceable;
}

static inline bool sp_frame_shim(sp_frame *f)
{
    return f->owner >= FRAME_OWNED_BY_INTERPRETER;
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
    _Py_CODEUNIT *start = sp_frame_bytecode(f, code, fields);
    return start != NULL && f->instr_ptr >= start && f->instr_ptr < start + Py_SIZE(fields);
}

/* What the frame of a coroutine that is suspended in an await waits for (genobject.c, _PyGen_yf). From 3.15 on the place
 * of an iterator's index lies above it. */
static inline PyObject *sp_frame_awaited(sp_frame *f)
{
    return (PyObject *)(f->stackpointer[PY_VERSION_HEX >= 0x030F0000 ? -2 : -1].bits & ~(uintptr_t)Py_TAG_BITS);
}

#endif
