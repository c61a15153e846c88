/* Threads: found, armed, booked and let go. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "os/clock.h"
#include "os/memory.h"
#include "native/unwind.h"
#include "os/threads.h"
#include "session.h"

/* What a ring should hold: this long, at this many bytes a sample (about 100 frames). */
#define RING_NS 80000000u
#define RING_SAMPLE_BYTES 1600u

static size_t scratch_bytes(const struct sp_session *s)
{
    size_t bytes = sp_raw_max_frames(s->settings.native != SP_NATIVE_OFF) * sizeof(struct sp_raw_frame);
    return (bytes + 63) / 64 * 64;
}

static size_t memo_bytes(const struct sp_session *s)
{
    return s->settings.native != SP_NATIVE_OFF ? (sizeof(struct sp_memo) + 63) / 64 * 64 : 0;
}

static uint32_t ring_bytes(const struct sp_session *s)
{
    uint32_t factor = s->settings.native != SP_NATIVE_OFF ? SP_RING_NATIVE_FACTOR : 1;
    uint32_t least = SP_RING_MIN_BYTES * factor;
    uint64_t want = (uint64_t)RING_NS / s->settings.interval_ns * RING_SAMPLE_BYTES * factor;
    uint32_t bytes = least * 2;
    while (bytes < want && bytes < SP_RING_MAX_BYTES) {
        bytes *= 2;
    }
    /* Rings may take half of the budget: with many threads they get smaller, down to one deep stack. */
    while (bytes > least && (uint64_t)bytes * (s->live + 1) > s->budget.limit / 2) {
        bytes /= 2;
    }
    return bytes;
}

static void give_pages(struct sp_session *s, struct sp_slot *slot)
{
    if (slot->pages != NULL) {
        sp_pages_free(slot->pages, slot->pages_bytes);
        sp_budget_give(&s->budget, slot->pages_bytes);
    }
    slot->pages = NULL;
    slot->scratch = NULL;
    slot->memo = NULL;
}

/* Scratch and ring. Without them (memory limit) the thread's ticks are counted as dropped. */
static void take_pages(struct sp_session *s, struct sp_slot *slot)
{
    uint32_t ring = ring_bytes(s);
    if (slot->pages != NULL && slot->ring_bytes > ring) {
        give_pages(s, slot);
    }
    if (slot->pages == NULL) {
        size_t bytes = scratch_bytes(s) + memo_bytes(s) + ring;
        if (atomic_load(&s->budget.used) + bytes > s->budget.limit / 4 * 3 || !sp_budget_take(&s->budget, bytes)) {
            sp_ring_init(&slot->ring, NULL, 0);
            return;
        }
        slot->pages = sp_pages_new(bytes);
        if (slot->pages == NULL) {
            sp_budget_give(&s->budget, bytes);
            sp_ring_init(&slot->ring, NULL, 0);
            return;
        }
        slot->pages_bytes = bytes;
        slot->ring_bytes = ring;
    }
    slot->scratch = (struct sp_raw_frame *)(void *)slot->pages;
    slot->memo = memo_bytes(s) > 0 ? (struct sp_memo *)(void *)(slot->pages + scratch_bytes(s)) : NULL;
    sp_ring_init(&slot->ring, slot->pages + (slot->pages_bytes - slot->ring_bytes), slot->ring_bytes);
}

/* A free slot's number, or SP_NO_ID. */
static uint32_t free_slot(struct sp_session *s)
{
    uint32_t n = atomic_load(&s->n_slots);
    if (s->live < n) {
        for (uint32_t i = 0; i < n; i++) {
            if (atomic_load(&s->tids[i]) == 0) {
                return i;
            }
        }
    }
    if (n == SP_MAX_SLOTS) {
        return SP_NO_ID;
    }
    struct sp_slot **slab = &s->slabs[n / SP_SLOTS_PER_SLAB];
    if (*slab == NULL) {
        size_t bytes = SP_SLOTS_PER_SLAB * sizeof(struct sp_slot);
        *slab = sp_budget_realloc(&s->budget, NULL, 0, bytes);
        if (*slab == NULL) {
            return SP_NO_ID;
        }
        memset(*slab, 0, bytes);
    }
    return n;
}

/* Arms with the session's source, or with the next one if this thread can't have it (descriptors used up). */
static int arm(struct sp_session *s, struct sp_slot *slot, uint32_t i, uint64_t cpu_ns)
{
    static const enum sp_tick_source order[] = {SP_TICK_PERF, SP_TICK_THREAD, SP_TICK_TIMER};
    int err = -ESRCH;
    if (s->settings.mode != SP_MODE_CPU) {
        /* no ticks of CPU time: the sampler thread sends signals to those that run */
        err = s->source == SP_TICK_NONE ? 0
                                        : sp_tick_arm(&slot->tick, SP_TICK_THREAD, slot->tid, s->settings.interval_ns,
                                                      sp_cookie(s->id, i), sp_random(&s->random), cpu_ns);
        s->by_source[s->source]++;
        return err;
    }
    pthread_mutex_lock(&s->arm_lock);
    for (int k = -1; k < 3; k++) {
        enum sp_tick_source source = k < 0 ? s->source : order[k];
        if (source == SP_TICK_THREAD && sp_sampler_start(s) != 0) {
            continue;
        }
        err = sp_tick_arm(&slot->tick, source, slot->tid, s->settings.interval_ns, sp_cookie(s->id, i), sp_random(&s->random),
                          cpu_ns);
        if (err == 0) {
            s->by_source[source]++;
            break;
        }
        if (err == -ESRCH) {
            break; /* the thread is gone */
        }
    }
    pthread_mutex_unlock(&s->arm_lock);
    return err;
}

int sp_slot_open(struct sp_session *s, pid_t tid, bool born)
{
    uint32_t i = free_slot(s);
    if (i == SP_NO_ID || sp_array_reserve(&s->budget, &s->threads, sizeof(struct sp_thread)) != SP_OK) {
        s->missed_threads++;
        return SP_ERR_LIMIT;
    }
    struct sp_slot *slot = sp_slot_at(s, i);
    struct sp_slot kept = *slot;
    memset(slot, 0, sizeof *slot);
    slot->pages = kept.pages;
    slot->pages_bytes = kept.pages_bytes;
    slot->ring_bytes = kept.ring_bytes;
    slot->last_stack = kept.last_stack;
    slot->last_nodes = kept.last_nodes;
    slot->last_cap = kept.last_cap;
    slot->tid = tid;
    slot->thread = (uint32_t)s->threads.len;
    slot->scan = s->scan;
    take_pages(s, slot);

    uint64_t cpu_ns = sp_thread_cpu_ns(tid);
    uint64_t now_ns = sp_now_ns();
    slot->seen_cpu_ns = cpu_ns;
    slot->looked_ns = now_ns;
    slot->asleep_row = SP_NO_ID;
    atomic_store(&slot->last_cpu_ns, cpu_ns);
    struct sp_thread *thread = &sp_threads_of(s)[slot->thread];
    memset(thread, 0, sizeof *thread);
    thread->tid = tid;
    thread->start_ns = now_ns;
    thread->began_before = !born;
    thread->last_row = SP_NO_ID;
    thread->cpu_start_ns = born ? 0 : cpu_ns;
    sp_thread_comm(tid, thread->comm);
    if (s->settings.native != SP_NATIVE_OFF) {
        sp_stack_note(slot);
    }
    sp_windows_start(&thread->windows, now_ns, thread->cpu_start_ns);

    /* Armed last: from here on the thread's handler uses the slot. */
    s->threads.len++;
    s->live++;
    atomic_store(&s->tids[i], tid);
    if (i == atomic_load(&s->n_slots)) {
        atomic_store(&s->n_slots, i + 1);
    }
    int err = arm(s, slot, i, cpu_ns);
    if (err == -ESRCH) {
        s->threads.len--;
        s->live--;
        atomic_store(&s->tids[i], 0);
        return SP_ERR_SYSTEM;
    }
    return SP_OK; /* armed, or not to be had: then its CPU time is accounted as unsampled */
}

static void disarm(struct sp_session *s, struct sp_slot *slot)
{
    pthread_mutex_lock(&s->arm_lock);
    sp_tick_disarm(&slot->tick);
    pthread_mutex_unlock(&s->arm_lock);
}

/* CPU time without a tick that is no chance any more, whatever the source: the timers are looked at every few ms only. */
static uint64_t deaf_ns(const struct sp_session *s)
{
    uint64_t several = 16 * s->settings.interval_ns;
    return several > 20000000u ? several : 20000000u;
}

void sp_slot_count(const struct sp_slot *slot, struct sp_counts *counts)
{
    counts->calls += slot->calls;
    counts->timed_calls += slot->timed_calls;
    counts->timed_ns += slot->timed_ns;
    counts->ticks += slot->ticks;
    counts->overruns += slot->overruns;
    counts->invalid += slot->invalid;
    counts->subinterpreter += slot->subinterpreter;
    counts->retried += slot->retried;
}

void sp_slot_close(struct sp_session *s, struct sp_slot *slot, uint64_t cpu_ns)
{
    disarm(s, slot);
    sp_drain_slot(s, slot);
    struct sp_thread *thread = &sp_threads_of(s)[slot->thread];
    sp_book_lost(s, thread, slot->unsent_samples + (slot->carried_ticks > 0), slot->unsent_ticks + slot->carried_ticks);
    slot->carried_ticks = slot->retries = 0;
    uint64_t last_ns = atomic_load(&slot->last_cpu_ns);
    thread->cpu_end_ns = cpu_ns > last_ns ? cpu_ns : last_ns;
    thread->end_ns = s->stop_ns != 0 ? s->stop_ns : sp_now_ns();
    sp_wall_close(s, slot, thread->end_ns);
    last_ns = atomic_load(&slot->last_cpu_ns);
    if (thread->cpu_end_ns - last_ns > deaf_ns(s)) {
        sp_windows_deaf(&thread->windows, &s->budget, last_ns);
    }
    sp_windows_end(&thread->windows, &s->budget, thread->end_ns, thread->cpu_end_ns);
    sp_slot_count(slot, &s->gone);
    slot->retried = 0;
    slot->calls = slot->timed_calls = slot->timed_ns = slot->ticks = slot->overruns = slot->invalid = slot->subinterpreter = 0;
    slot->unsent_ticks = slot->unsent_samples = 0;
    s->live--;
    uint32_t n = atomic_load(&s->n_slots);
    for (uint32_t i = 0; i < n; i++) {
        if (sp_slot_at(s, i) == slot) {
            atomic_store(&s->tids[i], 0);
            break;
        }
    }
}

void sp_slot_note_ended(struct sp_session *s, const struct sp_slot *slot)
{
    s->ended[s->next_ended] = (struct sp_ended){slot->tid, s->scan, sp_threads_of(s)[slot->thread].cpu_end_ns};
    s->next_ended = (s->next_ended + 1) % SP_ENDED_REMEMBERED;
}

/* Is `tid` still the thread that closed its slot? What it uses on its last steps is in the process' clock alone. */
static bool on_its_way_out(struct sp_session *s, pid_t tid)
{
    for (uint32_t i = 0; i < SP_ENDED_REMEMBERED; i++) {
        struct sp_ended *ended = &s->ended[i];
        if (ended->tid != tid) {
            continue;
        }
        /* No clock: it went after the walk was given its number (or another one has it, and has not run yet). */
        uint64_t cpu_ns = sp_thread_cpu_ns(tid);
        if (cpu_ns == 0 || cpu_ns >= ended->cpu_ns) {
            ended->scan = s->scan;
            return true;
        }
    }
    return false;
}

static void forget_gone(struct sp_session *s)
{
    for (uint32_t i = 0; i < SP_ENDED_REMEMBERED; i++) {
        if (s->ended[i].scan != s->scan) {
            s->ended[i].tid = 0;
        }
    }
}

static uint64_t final_cpu_ns(const struct sp_slot *slot)
{
    uint64_t cpu_ns = sp_tick_cpu_ns(&slot->tick);
    return cpu_ns > slot->seen_cpu_ns ? cpu_ns : slot->seen_cpu_ns;
}

static bool is_helper(const struct sp_session *s, pid_t tid)
{
    for (int i = 0; i < SP_HELPERS; i++) {
        if (s->helpers[i].tid == tid) {
            return true;
        }
    }
    return false;
}

struct scan_context {
    struct sp_session *session;
    bool first;
    int count, helpers;
};

static void scan_one(pid_t tid, void *ctx)
{
    struct scan_context *scan = ctx;
    struct sp_session *s = scan->session;
    scan->count++;
    if (tid == s->drain_tid || tid == s->sampler_tid) {
        return;
    }
    if (is_helper(s, tid)) {
        scan->helpers++;
        return;
    }
    struct sp_slot *slot = sp_slot_find(s, tid);
    if (slot != NULL) {
        uint64_t cpu_ns = sp_thread_cpu_ns(tid);
        bool another = cpu_ns != 0 && cpu_ns < slot->seen_cpu_ns; /* clocks don't go back: the tid was used again */
        bool closed_under_us = !sp_tick_alive(&slot->tick);
        if (!another && cpu_ns == slot->seen_cpu_ns && sp_leader_has_ended(tid)) {
            sp_slot_close(s, slot, cpu_ns);
            sp_slot_note_ended(s, slot);
            return;
        }
        if (!another && !closed_under_us) {
            slot->scan = s->scan;
            slot->seen_cpu_ns = cpu_ns;
            return;
        }
        if (!another) {
            /* the program closed our descriptor: the thread goes on, with a new one */
            disarm(s, slot);
            slot->scan = s->scan;
            slot->seen_cpu_ns = cpu_ns;
            arm(s, slot, (uint32_t)(slot->tick.cookie & 0xffffffffu), cpu_ns);
            return;
        }
        sp_slot_close(s, slot, slot->seen_cpu_ns);
    } else if (on_its_way_out(s, tid)) {
        return;
    }
    sp_slot_open(s, tid, !scan->first);
}

void sp_slots_scan(struct sp_session *s, bool first)
{
    struct scan_context scan = {s, first, 0, 0};
    s->scan++;
    if (sp_threads_each(scan_one, &scan) != 0) {
        return; /* no /proc: threads are known from their births alone */
    }
    s->threads_at_scan = scan.count;
    s->helpers_at_scan = scan.helpers;
    uint32_t n = atomic_load(&s->n_slots);
    for (uint32_t i = 0; i < n; i++) {
        struct sp_slot *slot = sp_slot_at(s, i);
        if (atomic_load(&s->tids[i]) != 0 && slot->scan != s->scan) {
            sp_slot_close(s, slot, final_cpu_ns(slot));
        }
    }
    forget_gone(s);
}

void sp_slots_disarm_all(struct sp_session *s)
{
    uint32_t n = atomic_load(&s->n_slots);
    for (uint32_t i = 0; i < n; i++) {
        if (atomic_load(&s->tids[i]) != 0) {
            struct sp_slot *slot = sp_slot_at(s, i);
            slot->seen_cpu_ns = final_cpu_ns(slot);
            disarm(s, slot);
        }
    }
}

void sp_slots_close_all(struct sp_session *s)
{
    uint32_t n = atomic_load(&s->n_slots);
    for (uint32_t i = 0; i < n; i++) {
        if (atomic_load(&s->tids[i]) != 0) {
            struct sp_slot *slot = sp_slot_at(s, i);
            uint32_t thread = slot->thread;
            sp_slot_close(s, slot, slot->seen_cpu_ns);
            sp_threads_of(s)[thread].end_ns = 0; /* alive at the end */
        }
    }
}

void sp_slots_forget_all(struct sp_session *s)
{
    uint32_t n = atomic_load(&s->n_slots);
    for (uint32_t i = 0; i < n; i++) {
        sp_tick_forget(&sp_slot_at(s, i)->tick);
    }
}

void sp_slots_free(struct sp_session *s)
{
    for (uint32_t i = 0; i < SP_MAX_SLOTS / SP_SLOTS_PER_SLAB && s->slabs[i] != NULL; i++) {
        for (uint32_t k = 0; k < SP_SLOTS_PER_SLAB; k++) {
            struct sp_slot *slot = &s->slabs[i][k];
            give_pages(s, slot);
            sp_budget_free(&s->budget, slot->last_stack, slot->last_cap * sizeof *slot->last_stack);
            sp_budget_free(&s->budget, slot->last_nodes, slot->last_cap * sizeof *slot->last_nodes);
        }
        sp_budget_free(&s->budget, s->slabs[i], SP_SLOTS_PER_SLAB * sizeof(struct sp_slot));
        s->slabs[i] = NULL;
    }
}

void sp_thread_set_name(struct sp_session *s, pid_t tid, const char *name)
{
    struct sp_thread *threads = sp_threads_of(s);
    for (size_t i = s->threads.len; i-- > 0;) {
        if (threads[i].tid == tid) {
            size_t bytes = strlen(name) + 1;
            char *copy = sp_budget_realloc(&s->budget, NULL, 0, bytes);
            if (copy != NULL) {
                memcpy(copy, name, bytes);
                if (threads[i].name != NULL) {
                    sp_budget_free(&s->budget, threads[i].name, strlen(threads[i].name) + 1);
                }
                threads[i].name = copy;
            }
            return;
        }
    }
}
