/* spprof._native: the session's life and what a profile is made of. The Python side is src/spprof/_session.py; types are
 * in src/spprof/_native.pyi. */
#include <Python.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "awaited.h"
#include "column.h"
#include "convert.h"
#include "convert_native.h"
#include "convert_peek.h"
#include "core/err.h"
#include "cpython/compat.h"
#include "cpython/evaluation.h"
#include "moments.h"
#include "threadstart.h"

typedef struct {
    PyObject *column_type;
    PyObject *threadstart_type;
    PyObject *starter_type;
    PyObject *last_stats; /* of the session before, or NULL */
    const char *refusal;  /* why the self-check says no, or NULL */
} module_state;

static module_state *state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

/* Names from a dict of tid to str: collected first, told to the session afterwards, since its lock must not see Python run. */
static int set_names(PyObject *names)
{
    PyObject *tid, *name;
    Py_ssize_t at = 0;
    PyObject *copy = PyDict_Copy(names);
    if (copy == NULL) {
        return -1;
    }
    while (PyDict_Next(copy, &at, &tid, &name)) {
        long id = PyLong_AsLong(tid);
        const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
        if (text == NULL || (id == -1 && PyErr_Occurred())) {
            PyErr_Clear(); /* a name that is no text (lone surrogates, say): the kernel's name stays */
            continue;
        }
        sp_thread_name((pid_t)id, text);
    }
    Py_DECREF(copy);
    return 0;
}

static int parse_source(const char *name, enum sp_tick_source *source)
{
    if (strcmp(name, "auto") == 0) {
        *source = SP_TICK_NONE;
        return 0;
    }
    for (int i = SP_TICK_PERF; i < SP_TICK_SOURCES; i++) {
        if (strcmp(name, sp_tick_name(i)) == 0) {
            *source = i;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "unknown tick source '%s': expected auto, perf, timer or thread", name);
    return -1;
}

static int parse_mode(const char *name, struct sp_settings *settings)
{
    if (strcmp(name, "wall") == 0) {
        settings->mode = SP_MODE_WALL;
    } else if (strcmp(name, "gil") == 0 && !SP_FREE_THREADED) {
        settings->mode = SP_MODE_GIL;
    } else if (strcmp(name, "auto") == 0) {
        settings->may_fall_back = true;
    } else if (strcmp(name, "cpu") != 0) {
        PyErr_Format(PyExc_ValueError, "unknown mode '%s': expected auto, cpu, wall%s", name, SP_FREE_THREADED ? "" : " or gil");
        return -1;
    }
    return 0;
}

/* Frames of machine code: "off", "folded" or "all"; where the code of the evaluation loop is. */
static int parse_native(const char *name, PyObject *loops, struct sp_settings *settings)
{
    if (strcmp(name, "off") == 0) {
        return 0;
    }
    if (strcmp(name, "folded") != 0 && strcmp(name, "all") != 0) {
        PyErr_Format(PyExc_ValueError, "unknown native '%s': expected off, folded or all", name);
        return -1;
    }
    settings->native = strcmp(name, "all") == 0 ? SP_NATIVE_ALL : SP_NATIVE_FOLDED;
    Py_ssize_t n = loops == NULL ? 0 : PyList_Size(loops);
    for (Py_ssize_t i = 0; i < n && settings->n_eval < SP_EVAL_RANGES; i++) {
        unsigned long long start, end;
        PyObject *range = PyList_GetItem(loops, i);
        if (range == NULL || !PyArg_ParseTuple(range, "KK", &start, &end)) {
            return -1;
        }
        settings->eval[settings->n_eval++] = (struct sp_eval_range){(uintptr_t)start, (uintptr_t)end};
    }
    return 0;
}

static PyObject *native_start(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"interval_ns", "memory_limit", "tick", "mode", "thread_names", "native", "evaluation_loops", NULL};
    unsigned long long interval_ns = 0, memory_limit = 0;
    const char *tick = "auto", *mode = "cpu", *native = "off";
    PyObject *thread_names = NULL, *loops = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$KKssO!sO!:start", names, &interval_ns, &memory_limit, &tick, &mode,
                                     &PyDict_Type, &thread_names, &native, &PyList_Type, &loops)) {
        return NULL;
    }
    if (thread_names == NULL) {
        PyErr_SetString(PyExc_TypeError, "start() needs thread_names");
        return NULL;
    }
    struct sp_settings settings = {.interval_ns = interval_ns, .memory_limit = (size_t)memory_limit};
    if (parse_native(native, loops, &settings) != 0) {
        return NULL;
    }
    if (parse_source(tick, &settings.source) != 0) {
        return NULL;
    }
    if (parse_mode(mode, &settings) != 0) {
        return NULL;
    }
    if (interval_ns < 10000) {
        PyErr_SetString(PyExc_ValueError, "interval_ns must be at least 10000");
        return NULL;
    }
    module_state *state = state_of(module);
    if (state->refusal != NULL) {
        return PyErr_Format(PyExc_RuntimeError, "spprof refuses to sample on this interpreter: %s", state->refusal);
    }
    char text[512] = "";
    int err = sp_session_start(&settings, text, sizeof text);
    if (err != SP_OK) {
        return sp_raise(err, text);
    }
    Py_CLEAR(state->last_stats);
    set_names(thread_names);
    Py_RETURN_NONE;
}

static PyObject *native_halt(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    int err = sp_session_halt();
    return err == SP_OK ? (Py_INCREF(Py_None), Py_None) : sp_raise(err, "");
}

static PyObject *stats_of_pending(struct sp_session *s)
{
    struct sp_stats stats;
    sp_stats_take(s, false, &stats);
    return sp_convert_stats(&stats);
}

static PyObject *native_collect(PyObject *module, PyObject *args)
{
    PyObject *thread_names, *qualnames;
    if (!PyArg_ParseTuple(args, "O!O:collect", &PyDict_Type, &thread_names, &qualnames)) {
        return NULL;
    }
    if (qualnames != Py_None && !PyDict_Check(qualnames)) {
        PyErr_SetString(PyExc_TypeError, "qualnames must be a dict or None");
        return NULL;
    }
    struct sp_session *s = sp_session_pending();
    if (s == NULL) {
        return sp_raise(SP_ERR_NOT_RUNNING, "");
    }
    module_state *state = state_of(module);
    if (set_names(thread_names) != 0) {
        return NULL;
    }
    PyObject *stats = stats_of_pending(s);
    PyObject *kept = stats == NULL ? NULL : PyDict_Copy(stats);
    PyObject *result = kept == NULL ? NULL : sp_convert_session(s, (PyTypeObject *)state->column_type, qualnames, stats);
    Py_XDECREF(stats);
    if (result == NULL) {
        Py_XDECREF(kept);
        return NULL; /* the session is still there, to be collected again */
    }
    Py_XSETREF(state->last_stats, kept);
    sp_session_end();
    return result;
}

static PyObject *native_is_active(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(sp_session_is_active());
}

static PyObject *native_is_pending(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(sp_session_pending() != NULL);
}

static PyObject *native_stats(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct sp_session *s = sp_session_lock();
    if (s != NULL) {
        struct sp_stats stats;
        sp_stats_take(s, true, &stats);
        sp_session_unlock(s);
        return sp_convert_stats(&stats);
    }
    s = sp_session_pending();
    if (s != NULL) {
        return stats_of_pending(s);
    }
    module_state *state = state_of(module);
    if (state->last_stats == NULL) {
        Py_RETURN_NONE;
    }
    return PyDict_Copy(state->last_stats);
}

static PyObject *native_register_thread(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(sp_thread_register());
}

static PyObject *native_unregister_thread(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(sp_thread_unregister());
}

static PyObject *native_hide_thread(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    sp_thread_hide();
    Py_RETURN_NONE;
}

static PyObject *native_sample_now(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(sp_thread_sample_now());
}

static PyObject *native_self_check(PyObject *module, PyObject *unused)
{
    (void)unused;
    const char *refusal = state_of(module)->refusal;
    if (refusal == NULL) {
        refusal = sp_session_selfcheck();
    }
    if (refusal == NULL) {
        Py_RETURN_NONE;
    }
    return PyUnicode_FromString(refusal);
}

static PyObject *native_tick_sources(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *dict = PyDict_New();
    for (int i = SP_TICK_PERF; dict != NULL && i < SP_TICK_SOURCES; i++) {
        char text[192];
        bool usable = sp_source_usable(i, text, sizeof text) == 0;
        PyObject *entry = Py_BuildValue("(Os)", usable ? Py_True : Py_False, text);
        if (entry == NULL || PyDict_SetItemString(dict, sp_tick_name(i), entry) != 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(entry);
    }
    return dict;
}

static PyObject *native_own_stack(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return sp_convert_own_stack();
}

static PyObject *native_arming(PyObject *module, PyObject *args)
{
    PyObject *original, *wrap;
    if (!PyArg_ParseTuple(args, "OO:arming", &original, &wrap)) {
        return NULL;
    }
    return sp_starter_new((PyTypeObject *)state_of(module)->starter_type, original, wrap);
}

static PyObject *native_fail_allocations(PyObject *module, PyObject *arg)
{
    (void)module;
    long n = PyLong_AsLong(arg);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    sp_budget_fail_after(n);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"start", (PyCFunction)(void (*)(void))native_start, METH_VARARGS | METH_KEYWORDS, "Starts a session."},
    {"halt", native_halt, METH_NOARGS, "Ends sampling; the samples wait for collect()."},
    {"collect", native_collect, METH_VARARGS, "The halted session as a dict; frees it."},
    {"peek", sp_convert_peek, METH_VARARGS, "What a running session has recorded, from some numbers on."},
    {"is_active", native_is_active, METH_NOARGS, "True while sampling."},
    {"is_pending", native_is_pending, METH_NOARGS, "True between halt() and collect()."},
    {"stats", native_stats, METH_NOARGS, "Figures of the session, or of the last one, or None."},
    {"register_thread", native_register_thread, METH_NOARGS, "True if the calling thread is sampled."},
    {"unregister_thread", native_unregister_thread, METH_NOARGS, "True if it had been registered."},
    {"hide_thread", native_hide_thread, METH_NOARGS, "The calling thread is one of spprof's own."},
    {"sample_now", native_sample_now, METH_NOARGS, "One sample of the calling thread, for tests."},
    {"self_check", native_self_check, METH_NOARGS, "None, or why spprof refuses to sample here."},
    {"tick_sources", native_tick_sources, METH_NOARGS, "Each tick source: usable or not, and why."},
    {"own_stack", native_own_stack, METH_NOARGS, "The calling thread's frames of machine code."},
    {"awaited", sp_awaited, METH_VARARGS, "What a coroutine waits for; None if it runs."},
    {"moments", sp_moments, METH_VARARGS, "Where tasks are suspended, at one moment."},
    {"running_loops", sp_running_loops, METH_NOARGS, "The event loops that threads run."},
    {"arming", native_arming, METH_VARARGS, "A stand-in for a function that starts threads: wraps its target."},
    {"_fail_allocations", native_fail_allocations, METH_O, "Tests: let the nth allocation and all after it fail; 0 ends that."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module)
{
    module_state *state = state_of(module);
    PyThreadState *ts = PyThreadState_Get();
    if (ts->interp != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "spprof samples the main interpreter only; start it there");
        return -1;
    }
    state->column_type = sp_column_type_new(module);
    state->threadstart_type = sp_threadstart_type_new(module);
    state->starter_type = sp_starter_type_new(module);
    if (state->column_type == NULL || state->threadstart_type == NULL || state->starter_type == NULL) {
        return -1;
    }
    state->refusal = sp_session_selfcheck();
    Py_INCREF(state->threadstart_type);
    if (PyModule_AddObject(module, "ThreadStart", state->threadstart_type) != 0) {
        Py_DECREF(state->threadstart_type);
        return -1;
    }
    PyObject *free_threaded = SP_FREE_THREADED ? Py_True : Py_False;
    if (PyObject_SetAttrString(module, "free_threaded_build", free_threaded) != 0
        || PyObject_SetAttrString(module, "free_threading_safe", free_threaded) != 0
        || PyModule_AddObject(module, "evaluation_loop", PyLong_FromSize_t(sp_evaluation_loop())) != 0
        || PyObject_SetAttrString(module, "entries_are_seen", sp_entries_are_seen() ? Py_True : Py_False) != 0
        || PyModule_AddIntConstant(module, "max_depth", SP_MAX_DEPTH) != 0
        || PyModule_AddIntConstant(module, "signal", SP_SIGNAL) != 0) {
        return -1;
    }
    return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    module_state *state = state_of(module);
    Py_VISIT(state->column_type);
    Py_VISIT(state->threadstart_type);
    Py_VISIT(state->starter_type);
    Py_VISIT(state->last_stats);
    return 0;
}

static int module_clear(PyObject *module)
{
    module_state *state = state_of(module);
    Py_CLEAR(state->column_type);
    Py_CLEAR(state->threadstart_type);
    Py_CLEAR(state->starter_type);
    Py_CLEAR(state->last_stats);
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
#if SP_INTERPRETERS_SLOT
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if SP_GIL_SLOT
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,          .m_name = "spprof._native", .m_doc = "The sampler. Use the spprof package.",
    .m_size = sizeof(module_state), .m_methods = methods,       .m_slots = slots,
    .m_traverse = module_traverse,  .m_clear = module_clear,    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
