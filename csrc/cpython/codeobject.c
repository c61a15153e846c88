#include "codeobject.h"

#include <stdlib.h>

typedef void (*code_hook)(PyCodeObject *code);

/* Set once. Any thread may see a code object die. */
static _Atomic code_hook death_hook;

static PyObject *linetable_of(PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030A0000
    return code->co_linetable;
#else
    return code->co_lnotab;
#endif
}

static size_t cost_of(const struct sp_code_meta *meta)
{
    return sizeof *meta + (size_t)PyBytes_GET_SIZE(meta->linetable);
}

bool sp_code_names(PyCodeObject *code, struct sp_code_meta *out)
{
#if SP_CODE_QUALNAME
    out->name = code->co_qualname;
#else
    out->name = code->co_name;
#endif
    out->filename = code->co_filename;
    out->linetable = linetable_of(code);
    out->first_line = code->co_firstlineno;
    out->code = NULL;
    return out->linetable != NULL && PyBytes_Check(out->linetable);
}

struct sp_code_meta *sp_code_meta_new(struct sp_budget *budget, PyCodeObject *code)
{
    struct sp_code_meta names;
    if (!sp_code_names(code, &names) || !sp_budget_take(budget, cost_of(&names))) {
        return NULL;
    }
    struct sp_code_meta *meta = malloc(sizeof *meta);
    if (meta == NULL) {
        sp_budget_give(budget, cost_of(&names));
        return NULL;
    }
    *meta = names;
    Py_INCREF(meta->name);
    Py_INCREF(meta->filename);
    Py_INCREF(meta->linetable);
    return meta;
}

void sp_code_meta_free(struct sp_budget *budget, struct sp_code_meta *meta)
{
    if (meta == NULL) {
        return;
    }
    sp_budget_give(budget, cost_of(meta));
    Py_DECREF(meta->name);
    Py_DECREF(meta->filename);
    Py_DECREF(meta->linetable);
    Py_XDECREF(meta->code);
    free(meta);
}

void sp_code_meta_own(struct sp_code_meta *meta, PyCodeObject *code)
{
    if (!SP_CODE_QUALNAME) {
        Py_INCREF(code);
        meta->code = (PyObject *)code;
    }
}

struct sp_location sp_code_locate(const struct sp_code_meta *meta, int32_t offset)
{
    return sp_linetable_lookup(SP_LINETABLE, (const uint8_t *)PyBytes_AS_STRING(meta->linetable),
                               (size_t)PyBytes_GET_SIZE(meta->linetable), meta->first_line, offset);
}

/* Before 3.12, and where all eight watchers are taken: the type's own deallocator, wrapped. */
static destructor original_dealloc;

static void dealloc(PyObject *code)
{
    atomic_load (&death_hook)((PyCodeObject *)code);
    original_dealloc(code);
}

#if SP_CODE_WATCHERS
static int watch(PyCodeEvent event, PyCodeObject *code)
{
    if (event == PY_CODE_EVENT_DESTROY) {
        atomic_load (&death_hook)(code);
    }
    return 0;
}
#endif

int sp_code_watch(void (*on_death)(PyCodeObject *code))
{
    if (atomic_load(&death_hook) != NULL) {
        return 0;
    }
    atomic_store(&death_hook, on_death);
#if SP_CODE_WATCHERS
    if (PyCode_AddWatcher(watch) >= 0) {
        return 0;
    }
    PyErr_Clear();
#endif
    original_dealloc = PyCode_Type.tp_dealloc;
    PyCode_Type.tp_dealloc = dealloc;
    return 0;
}
