/* 3.9 and 3.10: frame objects on the heap, linked by f_back. Source: Include/cpython/frameobject.h, Python/ceval.c. */
#ifndef SP_CPYTHON_ACCESS_39_H
#define SP_CPYTHON_ACCESS_39_H

typedef PyFrameObject sp_frame;

static inline sp_frame *sp_frame_top(PyThreadState *ts)
{
    return ts->frame;
}

static inline sp_frame *sp_frame_previous(sp_frame *f)
{
    return f->f_back;
}

static inline PyObject *sp_frame_code(sp_frame *f)
{
    return (PyObject *)f->f_code;
}

static inline int32_t sp_frame_offset(sp_frame *f, PyCodeObject *code, const PyCodeObject *fields)
{
    (void)fields;
    (void)code;
#if PY_VERSION_HEX >= 0x030A0000
    return f->f_lasti * (int)sizeof(_Py_CODEUNIT); /* counts instructions; -1 becomes -2, which is "not started" too */
#else
    return f->f_lasti; /* counts bytes */
#endif
}

/* The generator or coroutine whose frame it is, or NULL. */
static inline PyObject *sp_frame_generator(sp_frame *f)
{
    return f->f_gen;
}

static inline bool sp_frame_incomplete(sp_frame *f, PyCodeObject *code, const PyCodeObject *fields)
{
    (void)fields;
    (void)f;
    (void)code;
    return false;
}

#endif
