#include "convert_peek.h"

#include <string.h>

#include "convert.h"
#include "core/err.h"
#include "cpython/codeobject.h"
#include "peek.h"

/* Takes the reference. */
static int append(PyObject *list, PyObject *value)
{
    int err = value == NULL ? -1 : PyList_Append(list, value);
    Py_XDECREF(value);
    return err;
}

static PyObject *frame_of(const struct sp_peek_frame *f)
{
    if (f->raw.kind == SP_FRAME_NATIVE) {
        return f->function == SP_NO_FUNCTION
                   ? Py_BuildValue("(iKO)", (int)f->raw.offset, (unsigned long long)f->raw.addr, Py_None)
                   : Py_BuildValue("(iKK)", (int)f->raw.offset, (unsigned long long)f->raw.addr, (unsigned long long)f->function);
    }
    if (f->name == NULL) {
        const char *mark = f->raw.kind == SP_FRAME_MARK ? sp_mark_name(f->raw.addr) : "[unknown]";
        return Py_BuildValue("(ssiOOOOi)", mark, "", 0, Py_None, Py_None, Py_None,
                             f->raw.kind == SP_FRAME_MARK ? Py_True : Py_False, 0);
    }
    struct sp_code_meta names = {.linetable = f->linetable, .first_line = f->first_line};
    struct sp_location at = sp_code_locate(&names, f->raw.offset);
    return Py_BuildValue("(OOiNNNOi)", f->name, f->filename, (int)at.line, sp_position(at.column, -1), sp_position(at.end_line, 0),
                         sp_position(at.end_column, -1), Py_False, (int)f->first_line);
}

static PyObject *frames_of(const struct sp_peek *c)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < c->frames; i++) {
        if (append(list, frame_of(&c->frame[i])) != 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *segments_of(const struct sp_peek_object *o)
{
    PyObject *list = PyList_New(0);
    for (unsigned k = 0; list != NULL && k < o->n_code; k++) {
        if (append(list, Py_BuildValue("(KKK)", (unsigned long long)o->code[k].start, (unsigned long long)o->code[k].end,
                                       (unsigned long long)o->code_offset[k]))
            != 0) {
            Py_CLEAR(list);
        }
    }
    PyObject *segments = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return segments;
}

static PyObject *objects_of(const struct sp_peek *c)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < c->objects; i++) {
        const struct sp_peek_object *o = &c->object[i];
        PyObject *path = PyUnicode_DecodeFSDefault(o->path);
        PyObject *build_id = PyBytes_FromStringAndSize((const char *)o->build_id, (Py_ssize_t)o->build_id_bytes);
        if (append(list, Py_BuildValue("(NNKiN)", path, build_id, (unsigned long long)o->bias, o->role, segments_of(o))) != 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *threads_of(const struct sp_peek *c)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < c->threads; i++) {
        const struct sp_peek_thread *f = &c->thread[i];
        uint64_t sleeping_ns = 0;
        for (int k = SP_STATE_LOCK; k < SP_STATES; k++) {
            sleeping_ns += f->states_ns[k];
        }
        PyObject *name = PyUnicode_DecodeUTF8(f->name, (Py_ssize_t)strlen(f->name), "replace");
        PyObject *end = f->alive ? (Py_INCREF(Py_None), Py_None) : PyLong_FromUnsignedLongLong(f->end_ns);
        if (append(list, Py_BuildValue("(niNKNKKKKKKKK)", (Py_ssize_t)f->index, (int)f->tid, name, f->start_ns, end, f->cpu_ns,
                                       f->samples, f->dropped, f->wall_ns, f->wall_dropped_ns, f->states_ns[SP_STATE_RUNNING],
                                       f->states_ns[SP_STATE_GIL], sleeping_ns))
            != 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *bytes_of(const void *data, size_t n, size_t element)
{
    return PyBytes_FromStringAndSize(data, (Py_ssize_t)(n * element));
}

static PyObject *dict_of(const struct sp_peek *c)
{
    size_t n_wall = c->wall ? c->rows : 0;
    return Py_BuildValue("{s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:O,s:K,s:K,s:d}", "frames", frames_of(c), "objects",
                         objects_of(c), "node_parent", bytes_of(c->parents, c->nodes, sizeof *c->parents), "node_frame",
                         bytes_of(c->node_frames, c->nodes, sizeof *c->node_frames), "times",
                         bytes_of(c->times, c->rows, sizeof *c->times), "ticks", bytes_of(c->ticks, c->rows, sizeof *c->ticks),
                         "nodes", bytes_of(c->row_nodes, c->rows, sizeof *c->row_nodes), "thread_index",
                         bytes_of(c->row_threads, c->rows, sizeof *c->row_threads), "walls",
                         bytes_of(c->walls, n_wall, sizeof *c->walls), "states", bytes_of(c->states, n_wall, sizeof *c->states),
                         "threads", threads_of(c), "complete", c->complete ? Py_True : Py_False, "duration_ns", c->now_ns,
                         "interval_ns", c->interval_ns, "start_time", c->start_time);
}

PyObject *sp_convert_peek(PyObject *module, PyObject *args)
{
    (void)module;
    Py_ssize_t row, node, frame, object, thread;
    unsigned long long since_ns;
    if (!PyArg_ParseTuple(args, "nnnnnK:peek", &row, &node, &frame, &object, &thread, &since_ns)) {
        return NULL;
    }
    if (row < 0 || node < 0 || frame < 0 || object < 0 || thread < 0) {
        PyErr_SetString(PyExc_ValueError, "peek() counts from 0");
        return NULL;
    }
    struct sp_peek c = {.from = {(size_t)row, (size_t)node, (size_t)frame, (size_t)object, (size_t)thread, since_ns}};
    int err = SP_OK;
    if (!sp_peek_take(&c, &err)) {
        Py_RETURN_NONE;
    }
    PyObject *result = err == SP_OK ? dict_of(&c) : sp_raise(err, "");
    sp_peek_free(&c);
    return result;
}
