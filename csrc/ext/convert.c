#include "convert.h"

#include <stdlib.h>
#include <string.h>

#include "column.h"
#include "convert_native.h"
#include "core/err.h"
#include "cpython/codeobject.h"

static const char *const mark_names[SP_MARK_COUNT] = {"[native]",          "[truncated]", "[invalid stack]",
                                                      "[sub-interpreter]", "[running]",   "[missing native frames]"};

static const char *const mode_names[] = {"cpu", "wall", "gil"};

PyObject *sp_raise(int err, const char *text)
{
    switch (err) {
    case SP_ERR_RUNNING:
        PyErr_SetString(PyExc_RuntimeError, "Profiler already running");
        break;
    case SP_ERR_NOT_RUNNING:
        PyErr_SetString(PyExc_RuntimeError, "Profiler not running");
        break;
    case SP_ERR_MEMORY:
    case SP_ERR_LIMIT:
        PyErr_SetString(PyExc_MemoryError, "not enough memory for a profile; is memory_limit_mb too small?");
        break;
    default:
        PyErr_Format(PyExc_OSError, "spprof can't sample here: %s", text);
    }
    return NULL;
}

/* Sets dict[key] = value and drops the reference; -1 if value is NULL. */
static int put(PyObject *dict, const char *key, PyObject *value)
{
    int err = value == NULL ? -1 : PyDict_SetItemString(dict, key, value);
    Py_XDECREF(value);
    return err;
}

static PyObject *number(uint64_t n)
{
    return PyLong_FromUnsignedLongLong(n);
}

static PyObject *outside_reader(const struct sp_stats *st)
{
    if (st->mode == SP_MODE_CPU) {
        return PyUnicode_FromString("");
    }
    if (st->copy_refused == 0) {
        return PyUnicode_FromString(st->copy_way);
    }
    return PyUnicode_FromFormat("%s (process_vm_readv refused: %s)", st->copy_way, strerror(st->copy_refused));
}

PyObject *sp_convert_stats(const struct sp_stats *st)
{
    PyObject *sources = PyDict_New();
    if (sources == NULL) {
        return NULL;
    }
    for (int i = SP_TICK_PERF; i < SP_TICK_SOURCES; i++) {
        if (st->by_source[i] > 0 && put(sources, sp_tick_name(i), number(st->by_source[i])) != 0) {
            Py_DECREF(sources);
            return NULL;
        }
    }
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"collected", st->collected},
        {"dropped", st->dropped},
        {"validation_drops", st->invalid},
        {"subinterpreter_samples", st->subinterpreter},
        {"retried", st->retried},
        {"interval_ns", st->interval_ns},
        {"duration_ns", st->duration_ns},
        {"kernel_hz", (uint64_t)sp_kernel_hz()},
        {"threads_seen", st->threads_seen},
        {"threads_live", st->threads_live},
        {"threads_missed", st->missed_threads},
        {"cpu_ns", st->cpu_ns},
        {"unsampled_ns", st->unsampled_ns},
        {"dropped_ns", st->dropped_ns},
        {"memory_bytes", st->memory},
        {"memory_limit", st->memory_limit},
        {"handler_ns", st->handler_ns},
        {"handler_calls", st->handler_calls},
        {"drain_cpu_ns", st->drain_cpu_ns},
        {"sampler_cpu_ns", st->sampler_cpu_ns},
        {"ticks", st->ticks},
        {"overruns", st->overruns},
        {"foreign_signals", st->foreign_signals},
        {"looks", st->looks},
        {"outside_reads", st->outside_reads},
        {"outside_retries", st->outside_retries},
        {"outside_given_up", st->outside_given_up},
        {"gil_contended_ns", st->contended_ns},
        {"native_stacks", st->native_walks},
        {"native_cut", st->native_cut},
        {"native_disagreements", st->native_disagreements},
    };
    PyObject *dict = PyDict_New();
    int err = dict == NULL ? -1 : 0;
    for (size_t i = 0; err == 0 && i < sizeof numbers / sizeof numbers[0]; i++) {
        err = put(dict, numbers[i].key, number(numbers[i].value));
    }
    if (err != 0 || put(dict, "active", PyBool_FromLong(st->active)) != 0
        || put(dict, "handler_replaced", PyBool_FromLong(st->handler_replaced)) != 0
        || put(dict, "mode", PyUnicode_FromString(mode_names[st->mode])) != 0
        || put(dict, "outside_reader", outside_reader(st)) != 0
        || put(dict, "tick_source", PyUnicode_FromString(sp_tick_name(st->source))) != 0
        || put(dict, "tick_reason", PyUnicode_DecodeUTF8(st->source_reason, (Py_ssize_t)strlen(st->source_reason), "replace")) != 0
        || PyDict_SetItemString(dict, "threads_by_source", sources) != 0) {
        Py_CLEAR(dict);
    }
    Py_DECREF(sources);
    return dict;
}

const char *sp_mark_name(uint64_t mark)
{
    return mark_names[mark < SP_MARK_COUNT ? mark : 0];
}

PyObject *sp_position(int32_t value, int32_t unknown)
{
    if (value == unknown) {
        Py_RETURN_NONE;
    }
    return PyLong_FromLong(value);
}

static PyObject *convert_frame(struct sp_session *s, const struct sp_raw_frame *f, const struct sp_location *at,
                               PyObject *qualnames)
{
    if (f->kind == SP_FRAME_NATIVE) { /* named later, from what convert_native() hands over */
        return Py_BuildValue("(ssiOOOOi)", "", "", 0, Py_None, Py_None, Py_None, Py_True, 0);
    }
    if (f->kind != SP_FRAME_CODE) {
        return Py_BuildValue("(ssiOOOOi)", sp_mark_name(f->addr), "", 0, Py_None, Py_None, Py_None, Py_True, 0);
    }
    const struct sp_code_meta *meta = sp_tree_codes(&s->tree)[f->addr].meta;
    if (meta == NULL) { /* no memory was left to keep its name */
        return Py_BuildValue("(ssiOOOOi)", "[unknown]", "", 0, Py_None, Py_None, Py_None, Py_False, 0);
    }
    PyObject *name = meta->name;
    if (meta->code != NULL && qualnames != Py_None) {
        PyObject *key = PyLong_FromVoidPtr(meta->code);
        PyObject *better = key == NULL ? NULL : PyDict_GetItemWithError(qualnames, key);
        Py_XDECREF(key);
        if (better == NULL && PyErr_Occurred()) {
            return NULL;
        }
        name = better != NULL ? better : name;
    }
    /* "N" drops what it is given also when the tuple can't be built */
    return Py_BuildValue("(OOiNNNOi)", name, meta->filename, (int)at->line, sp_position(at->column, -1),
                         sp_position(at->end_line, 0), sp_position(at->end_column, -1), Py_False, (int)meta->first_line);
}

static PyObject *convert_frames(struct sp_session *s, PyObject *qualnames)
{
    size_t n = s->tree.frames.len;
    struct sp_location *at = malloc((n + 1) * sizeof *at);
    if (at == NULL || sp_resolve_locations(s, at) != SP_OK) {
        free(at);
        return PyErr_NoMemory();
    }
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *frame = convert_frame(s, &sp_tree_frames(&s->tree)[i], &at[i], qualnames);
        if (frame == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, frame);
        }
    }
    free(at);
    return list;
}

static uint64_t since(const struct sp_session *s, uint64_t ns)
{
    return ns > s->start_ns ? ns - s->start_ns : 0;
}

static PyObject *convert_thread(struct sp_session *s, const struct sp_thread *t)
{
    struct sp_totals sum = sp_thread_totals(t, t->cpu_end_ns - t->cpu_start_ns);
    struct sp_wall_totals wall = sp_thread_wall_totals(s, t, s->stop_ns);
    /* A thread may be born while the profile is being ended: then it begins and ends with that. */
    uint64_t start_ns = t->start_ns < s->stop_ns ? t->start_ns : s->stop_ns, end_ns = t->end_ns != 0 ? t->end_ns : s->stop_ns;
    uint64_t cpu_unsampled_ns = sum.cpu_ns - sum.sampled_ns, lived_ns = end_ns > start_ns ? end_ns - start_ns : 0;
    uint64_t sleeping_ns = 0;
    if (s->settings.mode != SP_MODE_CPU) {
        sum = (struct sp_totals){sum.cpu_ns, wall.sampled_ns, wall.unsampled_ns, wall.dropped_ns};
        for (int i = SP_STATE_LOCK; i < SP_STATES; i++) {
            sleeping_ns += t->states_ns[i];
        }
    }
    const char *name = t->name != NULL ? t->name : t->comm;
    PyObject *text = PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "replace");
    PyObject *end = t->end_ns == 0 ? (Py_INCREF(Py_None), Py_None) : number(since(s, t->end_ns));
    return Py_BuildValue("{s:i,s:N,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:N,s:K,s:K,s:K,s:K,s:K}", "thread_id", (int)t->tid, "name", text,
                         "cpu_ns", sum.cpu_ns, "sampled_ns", sum.sampled_ns, "unsampled_ns", sum.unsampled_ns, "dropped_ns",
                         sum.dropped_ns, "samples", t->samples, "dropped", t->dropped, "start_ns", since(s, start_ns), "end_ns",
                         end, "wall_ns", lived_ns, "cpu_unsampled_ns", cpu_unsampled_ns, "running_ns",
                         t->states_ns[SP_STATE_RUNNING], "gil_wait_ns", t->states_ns[SP_STATE_GIL], "sleeping_ns", sleeping_ns);
}

static int append_loss(PyObject *losses, const char *kind, size_t thread, uint64_t start, uint64_t end, uint64_t count, uint64_t ns)
{
    PyObject *loss = Py_BuildValue("(snKKKK)", kind, (Py_ssize_t)thread, start, end, count, ns);
    int err = loss == NULL ? -1 : PyList_Append(losses, loss);
    Py_XDECREF(loss);
    return err;
}

static int append_window(struct sp_session *s, PyObject *losses, size_t thread, const struct sp_window *w)
{
    if (w->lost_ticks > 0) {
        return append_loss(losses, "dropped", thread, since(s, w->start_ns), since(s, w->end_ns), w->lost_samples,
                           sp_window_lost_ns(w));
    }
    if (w->ticks == 0 && w->cpu_ns > 0) {
        return append_loss(losses, "unsampled", thread, since(s, w->start_ns), since(s, w->end_ns), 0, w->cpu_ns);
    }
    return 0;
}

/* Elapsed time that no sample shows: no windows here, a thread was seen or not. */
static int append_wall_losses(struct sp_session *s, PyObject *losses, size_t thread)
{
    const struct sp_thread *t = &sp_threads_of(s)[thread];
    struct sp_wall_totals wall = sp_thread_wall_totals(s, t, s->stop_ns);
    uint64_t start = since(s, t->start_ns), end = since(s, t->end_ns != 0 ? t->end_ns : s->stop_ns);
    int err = 0;
    if (wall.dropped_ns > 0) {
        err = append_loss(losses, "dropped", thread, start, end, t->dropped, wall.dropped_ns);
    }
    if (err == 0 && wall.unsampled_ns > 0) {
        err = append_loss(losses, "unsampled", thread, start, end, 0, wall.unsampled_ns);
    }
    return err;
}

static int append_losses(struct sp_session *s, PyObject *losses, size_t thread)
{
    if (s->settings.mode != SP_MODE_CPU) {
        return append_wall_losses(s, losses, thread);
    }
    const struct sp_windows *windows = &sp_threads_of(s)[thread].windows;
    const struct sp_window *closed = windows->closed.data;
    int err = 0;
    for (size_t k = 0; err == 0 && k < windows->closed.len; k++) {
        err = append_window(s, losses, thread, &closed[k]);
    }
    return err == 0 ? append_window(s, losses, thread, &windows->open) : err;
}

/* CPU time of threads that came and went unseen, as a thread of its own. */
static int append_others(struct sp_session *s, PyObject *threads, PyObject *losses, uint64_t other)
{
    uint64_t unsampled = s->settings.mode == SP_MODE_CPU ? other : 0;
    PyObject *pseudo = Py_BuildValue("{s:i,s:s,s:K,s:i,s:K,s:i,s:i,s:i,s:i,s:K,s:i,s:K,s:i,s:i,s:i}", "thread_id", 0, "name",
                                     "[other threads]", "cpu_ns", other, "sampled_ns", 0, "unsampled_ns", unsampled, "dropped_ns",
                                     0, "samples", 0, "dropped", 0, "start_ns", 0, "end_ns", since(s, s->stop_ns), "wall_ns", 0,
                                     "cpu_unsampled_ns", other, "running_ns", 0, "gil_wait_ns", 0, "sleeping_ns", 0);
    int err = pseudo == NULL ? -1 : PyList_Append(threads, pseudo);
    Py_XDECREF(pseudo);
    if (err == 0 && unsampled > 0) {
        err = append_loss(losses, "unsampled", s->threads.len, 0, since(s, s->stop_ns), 0, unsampled);
    }
    return err;
}

static int convert_threads(struct sp_session *s, PyObject *dict)
{
    PyObject *threads = PyList_New(0), *losses = PyList_New(0);
    int err = threads == NULL || losses == NULL ? -1 : 0;
    for (size_t i = 0; err == 0 && i < s->threads.len; i++) {
        const struct sp_thread *t = &sp_threads_of(s)[i];
        PyObject *converted = convert_thread(s, t);
        err = converted == NULL ? -1 : PyList_Append(threads, converted);
        Py_XDECREF(converted);
        if (err == 0) {
            err = append_losses(s, losses, i);
        }
    }
    uint64_t other = sp_other_cpu_ns(s);
    if (err == 0 && other > 0) {
        err = append_others(s, threads, losses, other);
    }
    if (err == 0) {
        err = PyDict_SetItemString(dict, "threads", threads) != 0 || PyDict_SetItemString(dict, "losses", losses) != 0 ? -1 : 0;
    }
    Py_XDECREF(threads);
    Py_XDECREF(losses);
    return err;
}

/* The tree's two columns: parents and frames of its nodes. */
static int convert_tree(struct sp_session *s, PyObject *dict, PyTypeObject *column_type)
{
    size_t n = s->tree.nodes.len;
    uint32_t *parents = malloc(n * sizeof *parents), *frames = malloc(n * sizeof *frames);
    if (parents == NULL || frames == NULL) {
        free(parents);
        free(frames);
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        parents[i] = sp_tree_nodes(&s->tree)[i].parent;
        frames[i] = sp_tree_nodes(&s->tree)[i].frame;
    }
    PyObject *parent_view = sp_column_view(column_type, parents, n, "I");
    PyObject *frame_view = parent_view == NULL ? NULL : sp_column_view(column_type, frames, n, "I");
    if (frame_view == NULL) {
        Py_XDECREF(parent_view);
        free(parents);
        free(frames);
        return -1;
    }
    sp_column_own(parent_view);
    sp_column_own(frame_view);
    int err = put(dict, "node_parent", parent_view);
    int err2 = put(dict, "node_frame", frame_view);
    return err != 0 || err2 != 0 ? -1 : 0;
}

/* The columns of the rows, all of them or none: what fails can be tried again. */
static int hand_over_rows(struct sp_session *s, PyObject *dict, PyTypeObject *column_type)
{
    const struct {
        const char *key, *format;
        struct sp_array *array;
        size_t element;
    } columns[] = {
        {"times", "q", &s->rows.times, sizeof(uint64_t)},           {"weights", "q", &s->rows.weights, sizeof(uint64_t)},
        {"nodes", "I", &s->rows.nodes, sizeof(uint32_t)},           {"thread_index", "I", &s->rows.threads, sizeof(uint32_t)},
        {"walls", "q", &s->rows.walls, sizeof(uint64_t)},           {"states", "B", &s->rows.states, sizeof(uint8_t)},
        {"coroutines", "Q", &s->rows.coroutines, sizeof(uint64_t)},
    };
    enum { COLUMNS = sizeof columns / sizeof columns[0] };
    PyObject *views[COLUMNS] = {NULL};
    int err = 0;
    for (int i = 0; i < COLUMNS && err == 0; i++) {
        struct sp_array *array = columns[i].array;
        if (array->len > 0 && array->len < array->cap) { /* what is not used goes back */
            void *cut = sp_budget_realloc(&s->budget, array->data, array->cap * columns[i].element,
                                          array->len * columns[i].element);
            if (cut != NULL) {
                array->data = cut;
                array->cap = array->len;
            }
        }
        views[i] = sp_column_view(column_type, array->data, array->len, columns[i].format);
        err = views[i] == NULL ? -1 : PyDict_SetItemString(dict, columns[i].key, views[i]);
    }
    for (int i = 0; i < COLUMNS; i++) {
        if (err == 0) {
            sp_column_own(views[i]);
            sp_budget_give(&s->budget, columns[i].array->cap * columns[i].element);
            *columns[i].array = (struct sp_array){NULL, 0, 0};
        }
        Py_XDECREF(views[i]);
    }
    return err;
}

PyObject *sp_convert_session(struct sp_session *s, PyTypeObject *column_type, PyObject *qualnames, PyObject *stats)
{
    int err = sp_resolve_rows(s);
    if (err != SP_OK) {
        return sp_raise(err, "");
    }
    PyObject *dict = PyDict_New();
    /* What can fail comes first; the columns leave the session last, so that a failure can be tried again. */
    if (dict == NULL || put(dict, "frames", convert_frames(s, qualnames)) != 0 || convert_threads(s, dict) != 0
        || (s->settings.native != SP_NATIVE_OFF && sp_convert_native(s, dict) != 0) || convert_tree(s, dict, column_type) != 0
        || put(dict, "start_time", PyFloat_FromDouble(s->start_time)) != 0 || put(dict, "start_ns", number(s->start_ns)) != 0
        || put(dict, "duration_ns", number(s->stop_ns - s->start_ns)) != 0
        || put(dict, "interval_ns", number(s->settings.interval_ns)) != 0 || PyDict_SetItemString(dict, "stats", stats) != 0
        || hand_over_rows(s, dict, column_type) != 0) {
        Py_XDECREF(dict);
        return NULL;
    }
    return dict;
}
