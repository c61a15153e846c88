#include "convert_native.h"

#include <stdlib.h>

#include "core/err.h"
#include "ownstack.h"

/* Takes the reference. */
static int append(PyObject *list, PyObject *value)
{
    int err = value == NULL ? -1 : PyList_Append(list, value);
    Py_XDECREF(value);
    return err;
}

/* Where the function begins that has this address of an object; None if nobody knows. */
static PyObject *function_of(const struct sp_codemap *cm, int object, uint64_t address)
{
    if (object >= 0) {
        const struct sp_code_object *o = sp_codemap_object(cm, (uint32_t)object);
        uint64_t start = sp_table_function(&o->table, address + o->bias);
        if (start != SP_NO_FUNCTION) {
            return PyLong_FromUnsignedLongLong(start - o->bias);
        }
    }
    Py_RETURN_NONE;
}

/* (start, end, offset in the file) of each part of its code. */
static PyObject *segments_of(const struct sp_code_object *o)
{
    PyObject *segments = PyTuple_New((Py_ssize_t)o->n_code);
    for (unsigned k = 0; segments != NULL && k < o->n_code; k++) {
        PyObject *segment = Py_BuildValue("(KKK)", (unsigned long long)o->code[k].start, (unsigned long long)o->code[k].end,
                                          (unsigned long long)o->code_offset[k]);
        if (segment == NULL) {
            Py_CLEAR(segments);
        } else {
            PyTuple_SET_ITEM(segments, (Py_ssize_t)k, segment);
        }
    }
    return segments;
}

/* (path, build id, bias, role, segments) of each. */
static PyObject *objects_of(const struct sp_codemap *cm)
{
    PyObject *objects = PyList_New(0);
    for (size_t i = 0; objects != NULL && i < cm->objects.len; i++) {
        const struct sp_code_object *o = sp_codemap_object(cm, (uint32_t)i);
        PyObject *path = PyUnicode_DecodeFSDefault(o->path);
        PyObject *build_id = PyBytes_FromStringAndSize((const char *)o->build_id, (Py_ssize_t)o->build_id_bytes);
        if (append(objects, Py_BuildValue("(NNKiN)", path, build_id, (unsigned long long)o->bias, (int)o->role, segments_of(o)))
            != 0) {
            Py_CLEAR(objects);
        }
    }
    return objects;
}

int sp_convert_native(struct sp_session *s, PyObject *dict)
{
    PyObject *objects = objects_of(&s->codemap), *frames = PyList_New(0);
    int err = frames == NULL || objects == NULL ? -1 : 0;
    for (size_t i = 0; err == 0 && i < s->tree.frames.len; i++) {
        const struct sp_raw_frame *f = &sp_tree_frames(&s->tree)[i];
        if (f->kind == SP_FRAME_NATIVE) {
            err = append(frames, Py_BuildValue("(niKN)", (Py_ssize_t)i, (int)f->offset, (unsigned long long)f->addr,
                                               function_of(&s->codemap, (int)f->offset, f->addr)));
        }
    }
    if (err == 0) {
        err = PyDict_SetItemString(dict, "native_frames", frames) != 0 || PyDict_SetItemString(dict, "objects", objects) != 0 ? -1
                                                                                                                              : 0;
    }
    Py_XDECREF(frames);
    Py_XDECREF(objects);
    return err;
}

static const char *const ends[] = {
    [SP_UNWIND_WHOLE] = "",
    [SP_UNWIND_UNKNOWN] = "it leads through code without unwind tables",
    [SP_UNWIND_REFUSED] = "a frame on it makes no sense, or it is not the thread's own stack",
    [SP_UNWIND_DEEP] = "it is too deep",
};

PyObject *sp_convert_own_stack(void)
{
    struct sp_own_stack *own = malloc(sizeof *own);
    if (own == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *result = NULL;
    int err = sp_own_stack_take(own);
    if (err != SP_OK) {
        PyErr_SetString(err == SP_ERR_LIMIT ? PyExc_MemoryError : PyExc_OSError,
                        err == SP_ERR_LIMIT ? "not enough memory for unwind tables"
                                            : "no way to read the program's code is allowed here");
    } else {
        PyObject *frames = PyList_New(0), *objects = objects_of(&own->codemap);
        const struct sp_native_map *map = atomic_load(&own->codemap.current);
        for (uint32_t i = 0; frames != NULL && i < own->n; i++) {
            uintptr_t pc = (uintptr_t)own->frames[i].addr;
            const struct sp_code_range *range = sp_native_range(map, pc);
            int object = range == NULL ? -1 : (int)range->object;
            uintptr_t bias = range == NULL ? 0 : sp_codemap_object(&own->codemap, range->object)->bias;
            PyObject *function = function_of(&own->codemap, object, pc - bias);
            if (append(frames, Py_BuildValue("(iKN)", object, (unsigned long long)(pc - bias), function)) != 0) {
                Py_CLEAR(frames);
            }
        }
        result = frames == NULL || objects == NULL ? NULL : Py_BuildValue("(OOs)", frames, objects, ends[own->end]);
        Py_XDECREF(frames);
        Py_XDECREF(objects);
    }
    sp_own_stack_free(own);
    free(own);
    return result;
}
