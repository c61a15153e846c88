/* From rings to rows: raw records become nodes of the stack tree and rows, under the lock, without the GIL. */
#include <string.h>

#include "core/err.h"
#include "os/clock.h"
#include "os/threads.h"
#include "session.h"

/* How often the drain looks when nobody wakes it, and how often it walks over all threads when their number stands still. */
#define PERIOD_NS 20000000u
#define SCAN_NS 500000000u

/* The longest it waits while nobody is sampled: who fills half of a ring meanwhile wakes it. */
#define IDLE_PERIOD_NS 160000000u

/* How often it looks whether code was loaded or unloaded. */
#define MAP_NS 50000000u
/* ... if a handler has met code that it doesn't know: code that was loaded just now, or that never will be known. */
#define MAP_SOON_NS 2000000u
/* Looks for a moment without any handler, in one such round: some tens of microseconds. */
#define QUIET_LOOKS 2000

/* The sampler is late when it is let in only after this time. A processor switches to it in 10 to 30 us. */
#define LATE_NS 40000u

/* Rows leave this part of the budget to the names that are still to be kept. */
#define NAMES_SHARE 16

/* The columns that say what a thread did with its elapsed time. */
static bool reserve_wall(struct sp_session *s)
{
    struct sp_rows *r = &s->rows;
    return s->settings.mode == SP_MODE_CPU
           || (sp_array_reserve(&s->budget, &r->walls, sizeof(uint64_t)) == SP_OK
               && sp_array_reserve(&s->budget, &r->states, sizeof(uint8_t)) == SP_OK
               && sp_array_reserve(&s->budget, &r->coroutines, sizeof(uint64_t)) == SP_OK);
}

static bool row_append(struct sp_session *s, uint64_t time_ns, uint64_t ticks, uint32_t node, uint32_t thread)
{
    struct sp_rows *r = &s->rows;
    struct sp_budget *b = &s->budget;
    if (atomic_load(&b->used) > b->limit - b->limit / NAMES_SHARE) {
        return false;
    }
    if (sp_array_reserve(b, &r->times, sizeof(uint64_t)) != SP_OK || sp_array_reserve(b, &r->weights, sizeof(uint64_t)) != SP_OK
        || sp_array_reserve(b, &r->nodes, sizeof(uint32_t)) != SP_OK || sp_array_reserve(b, &r->threads, sizeof(uint32_t)) != SP_OK
        || !reserve_wall(s)) {
        return false;
    }
    ((uint64_t *)r->times.data)[r->times.len++] = time_ns;
    ((uint64_t *)r->weights.data)[r->weights.len++] = ticks;
    ((uint32_t *)r->nodes.data)[r->nodes.len++] = node;
    ((uint32_t *)r->threads.data)[r->threads.len++] = thread;
    return true;
}

static bool same_frame(const struct sp_raw_frame *a, const struct sp_raw_frame *b)
{
    return a->addr == b->addr && a->offset == b->offset && a->kind == b->kind;
}

static bool cache_reserve(struct sp_session *s, struct sp_slot *slot, uint32_t n)
{
    if (n <= slot->last_cap) {
        return true;
    }
    uint32_t cap = n + n / 2;
    struct sp_raw_frame *frames = sp_budget_realloc(&s->budget, slot->last_stack, slot->last_cap * sizeof *frames,
                                                    cap * sizeof *frames);
    if (frames == NULL) {
        return false;
    }
    slot->last_stack = frames;
    uint32_t *nodes = sp_budget_realloc(&s->budget, slot->last_nodes, slot->last_cap * sizeof *nodes, cap * sizeof *nodes);
    if (nodes == NULL) {
        /* back to the old size, so that one number tells both */
        if (slot->last_cap > 0) {
            slot->last_stack = sp_budget_realloc(&s->budget, frames, cap * sizeof *frames, slot->last_cap * sizeof *frames);
        } else {
            sp_budget_free(&s->budget, frames, cap * sizeof *frames);
            slot->last_stack = NULL;
        }
        return false;
    }
    slot->last_nodes = nodes;
    slot->last_cap = cap;
    return true;
}

static uint32_t intern(struct sp_session *s, uint32_t parent, struct sp_raw_frame frame)
{
    if (frame.kind == SP_FRAME_CODE) {
        uint32_t code = sp_tree_code(&s->tree, frame.addr);
        if (code == SP_NO_ID) {
            return SP_NO_ID;
        }
        frame.addr = code;
    }
    return sp_tree_child(&s->tree, parent, &frame);
}

/* The node of a stack of `n` frames, leaf first. What it shares at the root with this thread's stack before is known
 * already, unless a code object died meanwhile and an address may mean another one. */
static uint32_t node_of(struct sp_session *s, struct sp_slot *slot, const struct sp_raw_frame *frames, uint32_t n)
{
    bool cached = cache_reserve(s, slot, n);
    uint32_t shared = 0;
    if (slot->last_epoch == s->code_epoch) {
        while (shared < n && shared < slot->last_len && same_frame(&slot->last_stack[shared], &frames[n - 1 - shared])) {
            shared++;
        }
    }
    uint32_t node = shared > 0 ? slot->last_nodes[shared - 1] : 0;
    slot->last_epoch = s->code_epoch;
    slot->last_len = shared;
    for (uint32_t i = shared; i < n; i++) {
        node = intern(s, node, frames[n - 1 - i]);
        if (node == SP_NO_ID) {
            return SP_NO_ID;
        }
        if (cached) {
            slot->last_stack[i] = frames[n - 1 - i];
            slot->last_nodes[i] = node;
            slot->last_len = i + 1;
        }
    }
    return node;
}

void sp_book_lost(struct sp_session *s, struct sp_thread *thread, uint64_t samples, uint64_t ticks)
{
    if (samples > 0) {
        sp_windows_lost(&thread->windows, samples, ticks);
        thread->dropped += samples;
        s->dropped += samples;
        s->dropped_ticks += ticks;
    }
}

uint32_t sp_row_add(struct sp_session *s, struct sp_slot *slot, const struct sp_raw_head *head, const struct sp_raw_frame *frames)
{
    struct sp_thread *thread = &sp_threads_of(s)[slot->thread];
    sp_book_lost(s, thread, head->lost_samples, head->lost_ticks);
    uint32_t node = node_of(s, slot, frames, head->n_frames);
    uint64_t since_start = head->time_ns > s->start_ns ? head->time_ns - s->start_ns : 0;
    if (node == SP_NO_ID || !row_append(s, since_start, head->ticks, node, slot->thread)) {
        sp_book_lost(s, thread, 1, head->ticks);
        thread->wall_dropped_ns += head->wall_ns;
        return SP_NO_ID;
    }
    uint32_t row = (uint32_t)s->rows.times.len - 1;
    if (s->settings.mode != SP_MODE_CPU) {
        ((uint64_t *)s->rows.walls.data)[s->rows.walls.len++] = head->wall_ns;
        ((uint8_t *)s->rows.states.data)[s->rows.states.len++] = (uint8_t)head->state;
        ((uint64_t *)s->rows.coroutines.data)[s->rows.coroutines.len++] = head->coroutine;
        thread->wall_ns += head->wall_ns;
        thread->states_ns[head->state] += head->wall_ns;
        thread->last_row = row;
    }
    thread->samples++;
    sp_windows_sample(&thread->windows, &s->budget, head->time_ns, head->cpu_ns, head->ticks);
    return row;
}

void sp_drain_slot(struct sp_session *s, struct sp_slot *slot)
{
    struct sp_raw_head head;
    while (slot->ring.data != NULL && sp_ring_peek(&slot->ring, 0, &head, sizeof head)) {
        sp_ring_peek(&slot->ring, sizeof head, s->record, head.bytes - (uint32_t)sizeof head);
        sp_ring_consume(&slot->ring, head.bytes);
        sp_counter_add(&s->drained, 1);
        const struct sp_raw_frame *frames = (const struct sp_raw_frame *)(const void *)s->record;
        if (head.native_seen != 0) {
            head.n_frames = sp_merge(s, &head, frames);
            frames = s->merged;
        }
        sp_row_add(s, slot, &head, frames);
    }
}

void sp_drain_all(struct sp_session *s)
{
    uint32_t n = atomic_load(&s->n_slots);
    for (uint32_t i = 0; i < n; i++) {
        if (atomic_load_explicit(&s->tids[i], memory_order_relaxed) != 0) {
            sp_drain_slot(s, sp_slot_at(s, i));
        }
    }
}

/* With many threads there is always some handler at work, but for moments. */
static bool quiet_soon(void)
{
    for (int i = 0; i < QUIET_LOOKS; i++) {
        if (sp_signal_quiet()) {
            return true;
        }
    }
    return false;
}

/* Code that was loaded or unloaded, and stacks that threads want to know of. With lock held. */
static void keep_native(struct sp_session *s, uint64_t now_ns)
{
    sp_stacks_look_up(s);
    if (now_ns - s->mapped_ns < (atomic_load(&s->map_wanted) ? MAP_SOON_NS : MAP_NS)) {
        return;
    }
    atomic_store(&s->map_wanted, false);
    s->mapped_ns = now_ns;
    if (s->codemap.retired != NULL && quiet_soon()) {
        sp_drain_all(s); /* whoever used that map has told what it saw */
        sp_codemap_sweep(&s->codemap);
    }
    if (sp_codemap_stale(&s->codemap)) {
        sp_codemap_refresh(&s->codemap);
    }
}

/* Has both threads end. */
static void tell_to_end(struct sp_session *s)
{
    atomic_store(&s->stop_threads, 1);
    sp_futex_wake(&s->stop_threads);
    atomic_fetch_add(&s->wake, 1);
    sp_futex_wake(&s->wake);
}

/* A process lives as long as the last of its threads, which must not be one of ours: a child that was forked by a thread ends with
 * that thread, and no code of the program's runs before. With lock held, after a scan. */
static void leave_if_alone(struct sp_session *s)
{
    if (s->live == 0 && s->threads_at_scan > 0 && s->missed_threads == 0 && s->helpers_at_scan == 0) {
        tell_to_end(s);
    }
}

static void *drain_main(void *arg)
{
    struct sp_session *s = arg;
    uint64_t scanned_ns = sp_now_ns();
    uint64_t period_ns = PERIOD_NS;
    while (!atomic_load(&s->stop_threads)) {
        sp_futex_wait(&s->wake, atomic_load(&s->wake), period_ns);
        bool changed = sp_threads_count() != s->threads_at_scan;
        bool scan = changed || sp_now_ns() - scanned_ns > SCAN_NS;
        bool idle = !changed && atomic_load(&s->pushed) == atomic_load(&s->drained);
        period_ns = !idle ? PERIOD_NS : period_ns < IDLE_PERIOD_NS ? 2 * period_ns : period_ns;
        if (scan || atomic_load(&s->pushed) != atomic_load(&s->drained)) {
            pthread_mutex_lock(&s->lock);
            sp_drain_all(s);
            /* Not before start() has: whom that finds was there before, and brings CPU time that is not ours. */
            if (scan && s->scan > 0 && !atomic_load(&s->stop_threads)) {
                sp_slots_scan(s, false);
                scanned_ns = sp_now_ns();
                leave_if_alone(s);
            }
            pthread_mutex_unlock(&s->lock);
        }
        if (s->settings.native != SP_NATIVE_OFF) {
            period_ns = period_ns < MAP_NS ? period_ns : MAP_NS;
            pthread_mutex_lock(&s->lock);
            if (!atomic_load(&s->stop_threads)) {
                keep_native(s, sp_now_ns());
            }
            pthread_mutex_unlock(&s->lock);
        }
        atomic_store(&s->drain_cpu_ns, sp_own_cpu_ns());
    }
    return NULL;
}

/* A look at the threads that tick from here. */
static void poll_all(struct sp_session *s, uint64_t *random, bool late)
{
    pthread_mutex_lock(&s->arm_lock);
    uint32_t n = atomic_load(&s->n_slots);
    uint32_t first = n == 0 ? 0 : (uint32_t)(sp_random(random) % n); /* no thread is always the last */
    unsigned look_ups = SP_STATE_LOOK_UPS;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = (first + k) % n;
        if (atomic_load_explicit(&s->tids[i], memory_order_relaxed) != 0 && sp_slot_at(s, i)->tick.source == SP_TICK_THREAD) {
            sp_tick_poll(&sp_slot_at(s, i)->tick, &look_ups, late);
        }
    }
    pthread_mutex_unlock(&s->arm_lock);
}

/* The other thread of ours: looks at each thread on a jittered clock. */
static void *sampler_main(void *arg)
{
    struct sp_session *s = arg;
    uint64_t random = s->seed ^ 0xa076bc9d15c3f2e1ull;
    struct sp_wall *wall = s->settings.mode == SP_MODE_CPU ? NULL : sp_wall_new(s);
    uint64_t next_ns = sp_now_ns();
    /* A first look anywhere in the interval, so that sessions shorter than it are seen in proportion. */
    uint64_t pause_ns = sp_random(&random) % s->settings.interval_ns;
    while (!atomic_load(&s->stop_threads)) {
        next_ns += pause_ns;
        uint64_t now_ns = sp_now_ns();
        while (now_ns < next_ns && atomic_load(&s->stop_threads) == 0) {
            sp_futex_wait(&s->stop_threads, 0, next_ns - now_ns);
            now_ns = sp_now_ns();
        }
        bool late = now_ns > next_ns + LATE_NS;
        if (now_ns > next_ns + s->settings.interval_ns) {
            next_ns = now_ns; /* fell behind: looks that were missed can't be made up */
        }
        if (wall != NULL) {
            sp_wall_round(s, wall, late);
        } else if (s->settings.mode == SP_MODE_CPU) {
            poll_all(s, &random, late);
        }
        if (late && (wall == NULL || !sp_wall_idle(wall))) {
            /* The thread in its way has just woken up, to which the scheduler gives precedence. If it is one of the
             * program's, this would go on: what a thread does first after a sleep would never be looked at. */
            sp_thread_make_room();
        }
        atomic_store(&s->sampler_cpu_ns, sp_own_cpu_ns());
        pause_ns = sp_tick_pause_ns(s->settings.interval_ns * (wall == NULL ? 1 : sp_wall_pauses(wall)), &random);
    }
    sp_wall_free(s, wall);
    return NULL;
}

static void *drain_entry(void *arg)
{
    struct sp_session *s = arg;
    s->drain_tid = sp_gettid();
    atomic_fetch_add(&s->threads_ready, 1);
    sp_futex_wake(&s->threads_ready);
    return drain_main(arg);
}

static void *sampler_entry(void *arg)
{
    struct sp_session *s = arg;
    s->sampler_tid = sp_gettid();
    sp_thread_precise();
    sp_thread_own_files();
    atomic_fetch_add(&s->threads_ready, 1);
    sp_futex_wake(&s->threads_ready);
    return sampler_main(arg);
}

static int spawn(struct sp_session *s, pthread_t *thread, const char *name, void *(*entry)(void *))
{
    unsigned ready = atomic_load(&s->threads_ready);
    int err = sp_thread_spawn(thread, name, entry, s);
    while (err == 0 && atomic_load(&s->threads_ready) == ready) {
        sp_futex_wait(&s->threads_ready, ready, PERIOD_NS); /* until its tid is known: it is not to be sampled */
    }
    return err;
}

int sp_drain_start(struct sp_session *s)
{
    int err = spawn(s, &s->drain_thread, "spprof-drain", drain_entry);
    s->drain_runs = err == 0;
    return err;
}

int sp_sampler_start(struct sp_session *s)
{
    if (s->sampler_runs) {
        return 0;
    }
    int err = spawn(s, &s->sampler_thread, "spprof-sampler", sampler_entry);
    s->sampler_runs = err == 0;
    return err;
}

void sp_drain_stop(struct sp_session *s)
{
    tell_to_end(s);
    if (s->drain_runs) {
        pthread_join(s->drain_thread, NULL);
    }
    if (s->sampler_runs) {
        pthread_join(s->sampler_thread, NULL);
    }
    s->drain_runs = s->sampler_runs = false;
}
