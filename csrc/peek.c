#include "peek.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "cpython/codeobject.h"
#include "os/clock.h"

#define MOST_ROWS 16384u
#define MOST_NODES 16384u
#define MOST_FRAMES 1024u

void sp_peek_free(struct sp_peek *c)
{
    for (size_t i = 0; i < c->frames; i++) {
        Py_XDECREF(c->frame[i].name);
        Py_XDECREF(c->frame[i].filename);
        Py_XDECREF(c->frame[i].linetable);
    }
    for (size_t i = 0; i < c->objects; i++) {
        free(c->object[i].path);
    }
    free(c->frame);
    free(c->parents);
    free(c->node_frames);
    free(c->times);
    free(c->ticks);
    free(c->walls);
    free(c->row_nodes);
    free(c->row_threads);
    free(c->states);
    free(c->thread);
    free(c->object);
}

static size_t rest(size_t len, size_t from, size_t most)
{
    size_t n = len > from ? len - from : 0;
    return n < most ? n : most;
}

/* A copy of `n` elements of an array from `from` on; never NULL but for want of memory. */
static void *part(const struct sp_array *array, size_t from, size_t n, size_t element)
{
    void *data = malloc(n * element + 1);
    if (data != NULL && n > 0) {
        memcpy(data, (const char *)array->data + from * element, n * element);
    }
    return data;
}

/* ---- with the session's lock held: no Python code runs. SP_OK, SP_ERR_MEMORY. */

static void name_frame(struct sp_session *s, struct sp_peek_frame *f)
{
    f->function = SP_NO_FUNCTION;
    if (f->raw.kind == SP_FRAME_NATIVE && f->raw.offset >= 0) {
        const struct sp_code_object *o = sp_codemap_object(&s->codemap, (uint32_t)f->raw.offset);
        uint64_t start = sp_table_function(&o->table, f->raw.addr + o->bias);
        f->function = start == SP_NO_FUNCTION ? start : start - o->bias;
    }
    if (f->raw.kind != SP_FRAME_CODE) {
        return;
    }
    const struct sp_code *code = &sp_tree_codes(&s->tree)[f->raw.addr];
    struct sp_code_meta names;
    if (code->meta != NULL) {
        names = *(const struct sp_code_meta *)code->meta;
    } else if (code->addr == 0 || !sp_code_names((PyCodeObject *)(uintptr_t)code->addr, &names)) {
        return;
    }
    f->name = names.name;
    f->filename = names.filename;
    f->linetable = names.linetable;
    f->first_line = names.first_line;
    Py_INCREF(f->name);
    Py_INCREF(f->filename);
    Py_INCREF(f->linetable);
}

static int copy_frames(struct sp_session *s, struct sp_peek *c)
{
    size_t n = rest(s->tree.frames.len, c->from.frame, MOST_FRAMES);
    c->frame = calloc(n + 1, sizeof *c->frame);
    if (c->frame == NULL) {
        return SP_ERR_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        c->frame[i].raw = sp_tree_frames(&s->tree)[c->from.frame + i];
        name_frame(s, &c->frame[i]);
    }
    c->frames = n;
    c->complete = c->from.frame + n >= s->tree.frames.len;
    return SP_OK;
}

static int copy_objects(struct sp_session *s, struct sp_peek *c)
{
    size_t n = s->settings.native == SP_NATIVE_OFF ? 0 : rest(s->codemap.objects.len, c->from.object, SIZE_MAX);
    c->object = calloc(n + 1, sizeof *c->object);
    if (c->object == NULL) {
        return SP_ERR_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        const struct sp_code_object *o = sp_codemap_object(&s->codemap, (uint32_t)(c->from.object + i));
        struct sp_peek_object *to = &c->object[i];
        *to = (struct sp_peek_object){.path = strdup(o->path),
                                      .build_id_bytes = o->build_id_bytes,
                                      .bias = o->bias,
                                      .role = (int)o->role,
                                      .n_code = o->n_code};
        c->objects = i + 1;
        if (to->path == NULL) {
            return SP_ERR_MEMORY;
        }
        memcpy(to->build_id, o->build_id, sizeof to->build_id);
        memcpy(to->code, o->code, sizeof to->code);
        memcpy(to->code_offset, o->code_offset, sizeof to->code_offset);
    }
    return SP_OK;
}

/* Nodes, if all of their frames are there. */
static int copy_nodes(struct sp_session *s, struct sp_peek *c)
{
    size_t n = c->complete ? rest(s->tree.nodes.len, c->from.node, MOST_NODES) : 0;
    c->parents = malloc((n + 1) * sizeof *c->parents);
    c->node_frames = malloc((n + 1) * sizeof *c->node_frames);
    if (c->parents == NULL || c->node_frames == NULL) {
        return SP_ERR_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        c->parents[i] = sp_tree_nodes(&s->tree)[c->from.node + i].parent;
        c->node_frames[i] = sp_tree_nodes(&s->tree)[c->from.node + i].frame;
    }
    c->nodes = n;
    c->complete = c->complete && c->from.node + n >= s->tree.nodes.len;
    return SP_OK;
}

/* Rows, if all of their nodes are there. */
static int copy_rows(struct sp_session *s, struct sp_peek *c)
{
    const struct sp_rows *r = &s->rows;
    size_t from = c->from.row, n = c->complete ? rest(r->times.len, from, MOST_ROWS) : 0;
    size_t n_wall = c->wall ? n : 0;
    c->times = part(&r->times, from, n, sizeof(uint64_t));
    c->ticks = part(&r->weights, from, n, sizeof(uint64_t));
    c->row_nodes = part(&r->nodes, from, n, sizeof(uint32_t));
    c->row_threads = part(&r->threads, from, n, sizeof(uint32_t));
    c->walls = part(&r->walls, from, n_wall, sizeof(uint64_t));
    c->states = part(&r->states, from, n_wall, sizeof(uint8_t));
    c->rows = n;
    c->complete = c->complete && from + n >= r->times.len;
    return c->times == NULL || c->ticks == NULL || c->row_nodes == NULL || c->row_threads == NULL || c->walls == NULL
                   || c->states == NULL
               ? SP_ERR_MEMORY
               : SP_OK;
}

/* New threads, those that live and those that have ended since. Only if all rows are there, so that sums and rows agree. */
static int copy_threads(struct sp_session *s, struct sp_peek *c)
{
    size_t n = c->complete ? s->threads.len : 0, kept = 0;
    uint64_t since_ns = s->start_ns + c->from.since_ns;
    struct sp_thread *threads = sp_threads_of(s);
    for (size_t i = 0; i < n; i++) {
        kept += i >= c->from.thread || threads[i].end_ns == 0 || threads[i].end_ns >= since_ns;
    }
    c->thread = calloc(kept + 1, sizeof *c->thread);
    if (c->thread == NULL) {
        return SP_ERR_MEMORY;
    }
    uint32_t n_slots = n > 0 ? atomic_load(&s->n_slots) : 0;
    for (uint32_t i = 0; i < n_slots; i++) {
        if (atomic_load(&s->tids[i]) != 0) {
            const struct sp_slot *slot = sp_slot_at(s, i);
            uint64_t cpu_ns = sp_thread_cpu_ns(slot->tid), last_ns = atomic_load(&slot->last_cpu_ns);
            uint64_t *told_ns = &threads[slot->thread].cpu_end_ns;
            cpu_ns = cpu_ns > last_ns ? cpu_ns : last_ns;
            *told_ns = cpu_ns > *told_ns ? cpu_ns : *told_ns;
        }
    }
    for (size_t i = 0; i < n; i++) {
        const struct sp_thread *t = &threads[i];
        if (i < c->from.thread && t->end_ns != 0 && t->end_ns < since_ns) {
            continue;
        }
        struct sp_peek_thread *f = &c->thread[c->threads++];
        *f = (struct sp_peek_thread){
            .index = i,
            .tid = t->tid,
            .start_ns = t->start_ns > s->start_ns ? t->start_ns - s->start_ns : 0,
            .end_ns = t->end_ns > s->start_ns ? t->end_ns - s->start_ns : 0,
            .alive = t->end_ns == 0,
            .cpu_ns = t->cpu_end_ns > t->cpu_start_ns ? t->cpu_end_ns - t->cpu_start_ns : 0,
            .samples = t->samples,
            .dropped = t->dropped,
            .wall_ns = t->wall_ns,
            .wall_dropped_ns = t->wall_dropped_ns,
        };
        memcpy(f->states_ns, t->states_ns, sizeof f->states_ns);
        strncpy(f->name, t->name != NULL ? t->name : t->comm, SP_PEEK_NAME_BYTES - 1);
    }
    return SP_OK;
}

static int copy_locked(struct sp_session *s, struct sp_peek *c)
{
    if (atomic_load(&s->pushed) != atomic_load(&s->drained)) {
        sp_drain_all(s); /* so that rows and clocks are of the same moment, nearly */
    }
    c->wall = s->settings.mode != SP_MODE_CPU;
    c->now_ns = sp_now_ns() - s->start_ns;
    c->start_time = s->start_time;
    c->interval_ns = s->settings.interval_ns;
    int err = copy_frames(s, c);
    err = err != SP_OK ? err : copy_objects(s, c);
    err = err != SP_OK ? err : copy_nodes(s, c);
    err = err != SP_OK ? err : copy_rows(s, c);
    return err != SP_OK ? err : copy_threads(s, c);
}

bool sp_peek_take(struct sp_peek *c, int *err)
{
    struct sp_session *s = sp_session_lock();
    if (s == NULL) {
        return false;
    }
    *err = copy_locked(s, c);
    sp_session_unlock(s);
    return true;
}
