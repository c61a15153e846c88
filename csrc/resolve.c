#include "cpython/compat.h" /* Python.h goes before every other header */

#include "resolve.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "cpython/codeobject.h"
#include "os/clock.h"
#include "os/threads.h"

/* Clocks of different threads are read one after the other; a rest below this is the reading, not a thread. So is what those that
 * are known may have used, each on a processor of its own, while the clocks of all of them were read. */
#define OTHER_THREADS_NS 200000u

struct sp_totals sp_thread_totals(const struct sp_thread *thread, uint64_t cpu_ns)
{
    struct sp_totals t = {cpu_ns, 0, 0, 0};
    const struct sp_windows *w = &thread->windows;
    const struct sp_window *closed = w->closed.data;
    uint64_t accounted = 0;
    for (size_t i = 0; i < w->closed.len; i++) {
        t.dropped_ns += sp_window_lost_ns(&closed[i]);
        accounted += closed[i].cpu_ns;
    }
    struct sp_window open = w->open;
    open.cpu_ns = cpu_ns > accounted ? cpu_ns - accounted : 0;
    t.dropped_ns += sp_window_lost_ns(&open);
    if (open.ticks + open.lost_ticks == 0) {
        t.unsampled_ns = open.cpu_ns;
    }
    t.sampled_ns = cpu_ns - t.dropped_ns - t.unsampled_ns;
    return t;
}

struct sp_wall_totals sp_thread_wall_totals(const struct sp_session *s, const struct sp_thread *thread, uint64_t now_ns)
{
    uint64_t end_ns = thread->end_ns != 0 ? thread->end_ns : now_ns;
    struct sp_wall_totals t = {0, thread->wall_ns, 0, thread->wall_dropped_ns};
    t.wall_ns = t.sampled_ns + t.dropped_ns;
    uint64_t lived_ns = end_ns > thread->start_ns ? end_ns - thread->start_ns : 0;
    if (s->settings.mode == SP_MODE_WALL && thread->last_row == SP_NO_ID && lived_ns > t.wall_ns) {
        t.unsampled_ns = lived_ns - t.wall_ns; /* never seen: later than its last sample there is nothing unsampled */
        t.wall_ns = lived_ns;
    }
    return t;
}

static int deal_weights(struct sp_session *s)
{
    size_t n = s->rows.weights.len;
    uint64_t *weights = s->rows.weights.data;
    const uint32_t *threads = s->rows.threads.data;
    struct sp_dealer *dealers = calloc(s->threads.len + 1, sizeof *dealers);
    if (dealers == NULL) {
        return SP_ERR_MEMORY;
    }
    for (size_t i = 0; i < s->threads.len; i++) {
        dealers[i].windows = &sp_threads_of(s)[i].windows;
    }
    for (size_t i = 0; i < n; i++) {
        weights[i] = sp_dealer_next(&dealers[threads[i]], (uint32_t)weights[i]);
    }
    free(dealers);
    return SP_OK;
}

/* Merges neighbouring runs of `order`, which ascend by time each, until one is left. Rows come in runs: what one thread
 * did between two drains. Stable: equal times keep the order in which they were drained. */
static int sort_order(const uint64_t *times, uint32_t *order, size_t n)
{
    uint32_t *other = malloc(n * sizeof *other);
    if (other == NULL) {
        return SP_ERR_MEMORY;
    }
    for (;;) {
        size_t runs = 0;
        size_t i = 0;
        while (i < n) {
            size_t middle = i + 1;
            while (middle < n && times[order[middle]] >= times[order[middle - 1]]) {
                middle++;
            }
            size_t end = middle;
            if (end < n) {
                end++;
                while (end < n && times[order[end]] >= times[order[end - 1]]) {
                    end++;
                }
            }
            size_t a = i, b = middle;
            for (size_t k = i; k < end; k++) {
                bool left = b >= end || (a < middle && times[order[a]] <= times[order[b]]);
                other[k] = left ? order[a++] : order[b++];
            }
            i = end;
            runs++;
        }
        memcpy(order, other, n * sizeof *order);
        if (runs <= 1) {
            free(other);
            return SP_OK;
        }
    }
}

static void gather64(uint64_t *column, const uint32_t *order, uint64_t *scratch, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        scratch[i] = column[order[i]];
    }
    memcpy(column, scratch, n * sizeof *column);
}

static void gather32(uint32_t *column, const uint32_t *order, uint32_t *scratch, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        scratch[i] = column[order[i]];
    }
    memcpy(column, scratch, n * sizeof *column);
}

static void gather8(uint8_t *column, const uint32_t *order, uint8_t *scratch, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        scratch[i] = column[order[i]];
    }
    memcpy(column, scratch, n * sizeof *column);
}

static int sort_rows(struct sp_session *s)
{
    struct sp_rows *r = &s->rows;
    size_t n = r->times.len;
    const uint64_t *times = r->times.data;
    size_t sorted = 1;
    while (sorted < n && times[sorted] >= times[sorted - 1]) {
        sorted++;
    }
    if (sorted >= n) {
        return SP_OK;
    }
    uint32_t *order = malloc(n * sizeof *order);
    uint64_t *scratch = malloc(n * sizeof *scratch);
    int err = order == NULL || scratch == NULL ? SP_ERR_MEMORY : SP_OK;
    if (err == SP_OK) {
        for (size_t i = 0; i < n; i++) {
            order[i] = (uint32_t)i;
        }
        err = sort_order(times, order, n);
    }
    if (err == SP_OK) {
        gather64(r->times.data, order, scratch, n);
        gather64(r->weights.data, order, scratch, n);
        gather32(r->nodes.data, order, (uint32_t *)scratch, n);
        gather32(r->threads.data, order, (uint32_t *)scratch, n);
        if (s->settings.mode != SP_MODE_CPU) {
            gather64(r->walls.data, order, scratch, n);
            gather8(r->states.data, order, (uint8_t *)scratch, n);
            gather64(r->coroutines.data, order, scratch, n);
        }
    }
    free(order);
    free(scratch);
    return err;
}

int sp_resolve_rows(struct sp_session *s)
{
    if (s->rows_resolved) {
        return SP_OK; /* an earlier collect() got this far before it was interrupted */
    }
    int err = deal_weights(s);
    if (err != SP_OK) {
        return err;
    }
    s->rows_resolved = true;
    return s->rows.times.len > 0 ? sort_rows(s) : SP_OK;
}

static const struct sp_raw_frame *sorting_frames; /* qsort has no context; the GIL is held */

static int by_code_and_offset(const void *a, const void *b)
{
    const struct sp_raw_frame *x = &sorting_frames[*(const uint32_t *)a], *y = &sorting_frames[*(const uint32_t *)b];
    if (x->addr != y->addr) {
        return x->addr < y->addr ? -1 : 1;
    }
    return (x->offset > y->offset) - (x->offset < y->offset);
}

int sp_resolve_locations(struct sp_session *s, struct sp_location *out)
{
    size_t n = s->tree.frames.len;
    const struct sp_raw_frame *frames = sp_tree_frames(&s->tree);
    uint32_t *order = malloc((n + 1) * sizeof *order);
    if (order == NULL) {
        return SP_ERR_MEMORY;
    }
    size_t codes = 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct sp_location){0, 0, -1, -1};
        if (frames[i].kind == SP_FRAME_CODE) {
            order[codes++] = (uint32_t)i;
        }
    }
    sorting_frames = frames;
    qsort(order, codes, sizeof *order, by_code_and_offset);
    for (size_t i = 0; i < codes; i++) {
        const struct sp_code_meta *meta = sp_tree_codes(&s->tree)[frames[order[i]].addr].meta;
        if (meta != NULL) {
            out[order[i]] = sp_code_locate(meta, frames[order[i]].offset);
        }
    }
    free(order);
    return SP_OK;
}

static uint64_t helpers_cpu_ns(const struct sp_session *s)
{
    uint64_t sum = 0;
    for (int i = 0; i < SP_HELPERS; i++) {
        sum += s->helpers[i].cpu_ns;
    }
    return sum;
}

uint64_t sp_other_cpu_ns(const struct sp_session *s)
{
    uint64_t total = s->process_cpu_stop_ns - s->process_cpu_start_ns;
    uint64_t known = atomic_load(&s->drain_cpu_ns) + atomic_load(&s->sampler_cpu_ns) + helpers_cpu_ns(s);
    for (size_t i = 0; i < s->threads.len; i++) {
        known += sp_threads_of(s)[i].cpu_end_ns - sp_threads_of(s)[i].cpu_start_ns;
    }
    uint64_t processors = sp_processors(), others = processors < s->threads.len ? processors : s->threads.len;
    uint64_t apart_ns = others > 1 ? (others - 1) * s->clocks_apart_ns : 0;
    return total > known + OTHER_THREADS_NS + apart_ns ? total - known : 0;
}

void sp_stats_take(struct sp_session *s, bool active, struct sp_stats *out)
{
    memset(out, 0, sizeof *out);
    out->active = active;
    out->collected = s->rows.times.len;
    out->dropped = s->dropped;
    out->interval_ns = s->settings.interval_ns;
    out->duration_ns = (active ? sp_now_ns() : s->stop_ns) - s->start_ns;
    out->memory = atomic_load(&s->budget.used);
    out->memory_limit = s->budget.limit;
    out->drain_cpu_ns = atomic_load(&s->drain_cpu_ns);
    out->sampler_cpu_ns = atomic_load(&s->sampler_cpu_ns) + helpers_cpu_ns(s);
    out->foreign_signals = active ? sp_signal_foreign() : s->foreign_signals;
    out->handler_replaced = active ? sp_signal_replaced() : s->handler_replaced;
    out->threads_seen = s->threads.len;
    out->threads_live = active ? s->live : s->threads_live;
    out->missed_threads = s->missed_threads;
    out->looks = s->looks;
    out->native_walks = s->native_walks;
    out->native_cut = s->native_cut;
    out->native_disagreements = s->native_disagreements;
    out->outside_reads = s->outside_reads;
    out->outside_retries = s->outside_retries;
    out->outside_given_up = s->outside_given_up;
    out->contended_ns = s->contended_ns;
    out->mode = s->settings.mode;
    out->copy_way = s->copy_way;
    out->copy_refused = s->copy_refused;
    memcpy(out->by_source, s->by_source, sizeof out->by_source);
    out->source = s->source;
    memcpy(out->source_reason, s->source_reason, sizeof out->source_reason);
    struct sp_counts counts = s->gone;
    uint32_t n = active ? atomic_load(&s->n_slots) : 0;
    for (uint32_t i = 0; i < n; i++) {
        if (atomic_load(&s->tids[i]) == 0) {
            continue;
        }
        struct sp_slot *slot = sp_slot_at(s, i);
        sp_slot_count(slot, &counts);
        out->dropped += slot->unsent_samples;
        sp_threads_of(s)[slot->thread].cpu_end_ns = sp_thread_cpu_ns(slot->tid);
    }
    bool cpu_mode = s->settings.mode == SP_MODE_CPU;
    out->handler_calls = counts.calls;
    out->ticks = cpu_mode ? counts.ticks : s->rounds;
    out->overruns = cpu_mode ? counts.overruns : 0;
    out->invalid = counts.invalid + s->outside_invalid;
    out->subinterpreter = counts.subinterpreter;
    out->retried = counts.retried;
    out->handler_ns = counts.timed_calls == 0
                          ? 0
                          : (uint64_t)((double)counts.timed_ns * (double)counts.calls / (double)counts.timed_calls);
    for (size_t i = 0; i < s->threads.len; i++) {
        const struct sp_thread *thread = &sp_threads_of(s)[i];
        uint64_t cpu_ns = thread->cpu_end_ns > thread->cpu_start_ns ? thread->cpu_end_ns - thread->cpu_start_ns : 0;
        struct sp_totals t = sp_thread_totals(thread, cpu_ns);
        out->cpu_ns += t.cpu_ns;
        if (s->settings.mode != SP_MODE_CPU) {
            struct sp_wall_totals wall = sp_thread_wall_totals(s, thread, active ? sp_now_ns() : s->stop_ns);
            t.unsampled_ns = wall.unsampled_ns;
            t.dropped_ns = wall.dropped_ns;
        }
        out->unsampled_ns += t.unsampled_ns;
        out->dropped_ns += t.dropped_ns;
    }
    if (!active && s->settings.mode != SP_MODE_CPU) {
        out->cpu_ns += sp_other_cpu_ns(s);
    } else if (!active) {
        uint64_t other = sp_other_cpu_ns(s);
        out->cpu_ns += other;
        out->unsampled_ns += other;
    }
}
