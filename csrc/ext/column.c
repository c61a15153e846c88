#include "column.h"

#include <stdbool.h>
#include <stdlib.h>

typedef struct {
    PyObject_HEAD void *data;
    const char *format;
    Py_ssize_t len, itemsize;
    bool owned;
} Column;

static void column_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (((Column *)self)->owned) {
        free(((Column *)self)->data);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static int column_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    Column *c = (Column *)self;
    if (PyBuffer_FillInfo(view, self, c->data, c->len * c->itemsize, 1, flags) != 0) {
        return -1;
    }
    /* FillInfo describes bytes; these are numbers */
    view->itemsize = c->itemsize;
    if (flags & PyBUF_FORMAT) {
        view->format = (char *)c->format;
    }
    if (flags & PyBUF_ND) {
        view->shape = &c->len;
    }
    if (flags & PyBUF_STRIDES) {
        view->strides = &c->itemsize;
    }
    return 0;
}

static PyType_Slot column_slots[] = {
    {Py_tp_dealloc, column_dealloc},
    {Py_bf_getbuffer, column_getbuffer},
    {Py_tp_doc, "A column of numbers that belongs to a profile."},
    {0, NULL},
};

static PyType_Spec column_spec = {
    .name = "spprof._native.Column",
    .basicsize = sizeof(Column),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = column_slots,
};

PyObject *sp_column_type_new(PyObject *module)
{
    return PyType_FromModuleAndSpec(module, &column_spec, NULL);
}

PyObject *sp_column_view(PyTypeObject *type, void *data, size_t len, const char *format)
{
    Column *c = (Column *)type->tp_alloc(type, 0);
    if (c == NULL) {
        return NULL;
    }
    c->data = data;
    c->format = format;
    c->len = (Py_ssize_t)len;
    c->itemsize = *format == 'q' || *format == 'Q' ? 8 : *format == 'I' ? 4 : 1;
    PyObject *view = PyMemoryView_FromObject((PyObject *)c);
    Py_DECREF(c);
    return view;
}

void sp_column_own(PyObject *view)
{
    ((Column *)PyMemoryView_GET_BUFFER(view)->obj)->owned = true;
}
