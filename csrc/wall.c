/* Elapsed time: which thread does what, looked at by the sampler thread without waking anybody.
 *
 *   the thread's CPU clock stands where it stood when it was found asleep   it sleeps on: its last sample grows
 *   the clock moves between two readings                                    it runs now: a signal, it looks at itself
 *   the clock stands still, the kernel says that the thread is runnable     it waits for a processor: a signal as well
 *   the clock stands still, the kernel says that it sleeps                  its stack is read from here, and counts if the
 *                                                                           clock has not moved meanwhile
 *
 * So no system call in which a thread sleeps is interrupted. The time between two looks goes to the sample that the later
 * one leads to: at once, or when the signal is handled (`due_ns`). Decided in docs/adr/0014. */
#include "cpython/compat.h" /* Python.h goes before every other header */

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "cpython/gil.h"
#include "cpython/outside.h"
#include "os/clock.h"
#include "os/copy.h"
#include "os/memory.h"
#include "os/threads.h"
#include "os/waits.h"
#include "session.h"

/* Looks at a thread that goes to sleep and wakes up while it is being read, before its time waits for the next round. */
#define MOST_LOOKS 3

/* After so much CPU time a thread has come back from the kernel, where a signal waits for it. */
#define CHANCE_NS 1000000u

/* CPU time of one such wake-up in a wait for the GIL, generously. */
#define GIL_WAKE_UP_NS 100000u

/* CPU time in which no thread can have woken up, done anything and gone back to sleep: a switch to it and away takes longer.
 * Three clocks that are read one after the other differ by less than that from round to round, mostly (the process' clock is a
 * sum over threads, which takes its time); if not, threads are looked at. So they are every so many rounds in any case. */
#define UNNOTICED_NS 1500u
#define UNNOTICED_THREAD_NS 40u
#define MOST_QUIET_ROUNDS 20

/* After so many rounds without anybody running the pauses get longer, and once more. The look that ends one stands for all of
 * it, as any look does; so the error is that of one longer interval in each such sleep: a fortieth of it, then a hundredth. */
#define LONG_QUIET_ROUNDS 200
#define LONG_PAUSES 5
#define LONGER_QUIET_ROUNDS 400
#define LONGER_PAUSES 10

struct sp_wall {
    struct sp_copier copier;
    struct sp_outside outside;
    uint64_t random;
    uint64_t round_ns; /* when the last round began */
    bool all_asleep;   /* as of the last round that looked at threads */
    uint64_t used_ns;  /* CPU time of the program's threads before it */
    uint64_t quiet_ns; /* up to here nobody has run since */
    bool asked;        /* used_ns was read */
    size_t threads;    /* ever seen, by then */
    bool somebody_ran;
    unsigned quiet_rounds, all_quiet_rounds; /* without a look; without anybody running */
    struct sp_raw_frame frames[SP_MAX_DEPTH + 1];
    /* of the present round: */
    uint64_t now_ns;
    unsigned look_ups;
    bool late;  /* this round, as the sampler thread was let in late */
    bool waits; /* somebody waits for the GIL */
};

struct sp_wall *sp_wall_new(struct sp_session *s)
{
    struct sp_wall *w = sp_budget_take(&s->budget, sizeof *w) ? sp_pages_new(sizeof *w) : NULL;
    if (w == NULL) {
        return NULL;
    }
    sp_copier_open(&w->copier);
    sp_outside_init(&w->outside, s->interpreter, (struct sp_outside_thread){(uintptr_t)pthread_self(), sp_gettid()},
                    (struct sp_outside_thread){(uintptr_t)s->starter, s->starter_tid}, sp_copy, &w->copier);
    w->random = s->seed ^ 0x8ebc6af09c88c6e3ull;
    pthread_mutex_lock(&s->lock);
    s->copy_way = sp_copy_name(w->copier.way);
    s->copy_refused = w->copier.refused;
    pthread_mutex_unlock(&s->lock);
    return w;
}

void sp_wall_free(struct sp_session *s, struct sp_wall *w)
{
    if (w != NULL) {
        sp_copier_close(&w->copier);
        sp_pages_free(w, sizeof *w);
        sp_budget_give(&s->budget, sizeof *w);
    }
}

static enum sp_state state_of(const struct sp_session *s, const struct sp_wait *wait)
{
    switch (wait->kind) {
    case SP_WAIT_LOCK:
        return wait->address - s->gil_address < s->gil_bytes ? SP_STATE_GIL : SP_STATE_LOCK;
    case SP_WAIT_IO:
        return SP_STATE_IO;
    case SP_WAIT_SLEEP:
        return SP_STATE_SLEEP;
    case SP_WAIT_PROCESS:
        return SP_STATE_PROCESS;
    case SP_WAIT_SIGNAL:
        return SP_STATE_SIGNAL;
    default:
        return SP_STATE_OTHER;
    }
}

static enum sp_state state_of_row(const struct sp_session *s, uint32_t row)
{
    return ((const uint8_t *)s->rows.states.data)[row];
}

/* What a row of the thread stands for goes on. */
static void grow(struct sp_session *s, struct sp_thread *thread, uint32_t row, uint64_t ns)
{
    ((uint64_t *)s->rows.walls.data)[row] += ns;
    thread->wall_ns += ns;
    thread->states_ns[state_of_row(s, row)] += ns;
}

/* The sleep of an earlier look goes on. */
static void extend(struct sp_session *s, struct sp_wall *w, struct sp_slot *slot, uint64_t ns)
{
    grow(s, &sp_threads_of(s)[slot->thread], slot->asleep_row, ns);
    w->waits |= state_of_row(s, slot->asleep_row) == SP_STATE_GIL;
}

/* A look at a thread that could not be read, or that can't be asked: its sample is a mark. */
static uint32_t mark(struct sp_wall *w, enum sp_mark which)
{
    w->frames[0] = (struct sp_raw_frame){(uint64_t)which, 0, SP_FRAME_MARK};
    return 1;
}

static uint32_t add(struct sp_session *s, struct sp_wall *w, struct sp_slot *slot, uint32_t n, uintptr_t coroutine, uint64_t cpu_ns,
                    uint32_t ticks, enum sp_state state)
{
    struct sp_raw_head head = {
        .n_frames = n,
        .ticks = ticks,
        .time_ns = w->now_ns,
        .cpu_ns = cpu_ns,
        .wall_ns = atomic_exchange(&slot->due_ns, 0),
        .state = state,
        .coroutine = coroutine,
    };
    return sp_row_add(s, slot, &head, w->frames);
}

/* Where the thread's state is; 0 if it has none, or one without frames. */
static uintptr_t thread_state(struct sp_wall *w, struct sp_slot *slot)
{
    slot->state = sp_outside_find(&w->outside, slot->tid, slot->state);
    return slot->state;
}

/* Time before the last `rest_ns` for which a thread that was signalled, because it ran, owes the answer. */
static uint64_t unanswered_ns(struct sp_slot *slot, uint64_t rest_ns)
{
    uint64_t due_ns = atomic_load(&slot->due_ns);
    return atomic_load(&slot->told) && due_ns > rest_ns ? due_ns - rest_ns : 0;
}

/* After that time without an answer the thread has the signal blocked. Before, it may be in a sleep that no signal ends (a page that is
 * fetched, a lock in the kernel), and will answer when it comes back. */
static uint64_t patience_ns(const struct sp_session *s)
{
    return 4 * s->settings.interval_ns + 50000000u;
}

/* What a thread that blocks the signal ran for is not the time of its next sleep. `rest_ns` stays due. */
static void book_unanswered(struct sp_session *s, struct sp_slot *slot, uint64_t cpu_ns, uint64_t rest_ns)
{
    uint64_t wall_ns = unanswered_ns(slot, rest_ns);
    uint64_t due_ns = wall_ns + rest_ns;
    if (wall_ns == 0 || !atomic_compare_exchange_strong(&slot->due_ns, &due_ns, rest_ns)) {
        return; /* or it has answered at this very moment */
    }
    const struct sp_raw_frame frame = {SP_MARK_RUNNING, 0, SP_FRAME_MARK};
    struct sp_raw_head head = {
        .n_frames = 1,
        .ticks = atomic_exchange(&slot->due_ticks, 0),
        .time_ns = sp_now_ns(),
        .cpu_ns = cpu_ns,
        .wall_ns = wall_ns,
        .state = SP_STATE_RUNNING,
    };
    sp_row_add(s, slot, &head, &frame);
    atomic_store_explicit(&slot->last_cpu_ns, cpu_ns, memory_order_relaxed);
}

/* False if the thread ran meanwhile. */
static bool read_asleep(struct sp_session *s, struct sp_wall *w, struct sp_slot *slot, uint64_t cpu_ns, enum sp_state state,
                        uint64_t elapsed_ns)
{
    sp_outside_refresh(&w->outside);
    s->outside_reads++;
    uintptr_t ts = thread_state(w, slot);
    uintptr_t coroutine = 0;
    int n = ts == 0 ? 0 : sp_outside_walk(&w->outside, ts, w->frames, &coroutine);
    if (sp_thread_cpu_ns(slot->tid) != cpu_ns) {
        return false;
    }
    if (n == 0) {
        n = (int)mark(w, SP_MARK_NATIVE);
    } else if (n < 0) {
        s->outside_invalid++;
        n = (int)mark(w, w->copier.way == SP_COPY_NONE ? SP_MARK_NATIVE : SP_MARK_INVALID);
    }
    sp_drain_slot(s, slot); /* what its handler saw came before */
    book_unanswered(s, slot, cpu_ns, elapsed_ns);
    slot->asleep_row = add(s, w, slot, (uint32_t)n, coroutine, cpu_ns, 0, state);
    slot->looked_cpu_ns = cpu_ns;
    atomic_store_explicit(&slot->last_cpu_ns, cpu_ns, memory_order_relaxed);
    w->waits |= state == SP_STATE_GIL;
    return true;
}

/* A thread that runs, or is about to: `ticks` is 1 if it is on a processor, and uses the CPU time that this sample stands for. */
static void ask(struct sp_session *s, struct sp_wall *w, struct sp_slot *slot, uint64_t cpu_ns, uint32_t ticks)
{
    if (slot->tick.source != SP_TICK_THREAD) {
        mark(w, SP_MARK_RUNNING);
        atomic_store_explicit(&slot->last_cpu_ns, cpu_ns, memory_order_relaxed);
        add(s, w, slot, 1, 0, cpu_ns, ticks, SP_STATE_RUNNING);
        return;
    }
    atomic_fetch_add(&slot->due_ticks, ticks);
    if (!atomic_exchange(&slot->told, true)) {
        slot->deaf = false;
        slot->told_cpu_ns = cpu_ns;
        sp_tick_send(&slot->tick, 1);
    }
}

/* A thread that waits for the GIL wakes up every 5 ms to say that it is still there. On a busy machine it then waits for a
 * processor first, and is found ready to run, which it is not. */
static bool still_waits_for_gil(struct sp_session *s, const struct sp_slot *slot, uint32_t row, uint64_t cpu_ns)
{
    return row != SP_NO_ID && state_of_row(s, row) == SP_STATE_GIL && cpu_ns - slot->looked_cpu_ns < GIL_WAKE_UP_NS
           && sp_gil_holder(s->interpreter) != slot->state;
}

/* With lock held. */
static void look(struct sp_session *s, struct sp_wall *w, struct sp_slot *slot, uint64_t since_ns)
{
    uint64_t cpu_ns = sp_thread_cpu_ns(slot->tid);
    if (cpu_ns == 0) {
        return; /* gone; the next walk over the threads closes its books */
    }
    if (slot->asleep_row != SP_NO_ID && w->quiet_ns > since_ns) {
        extend(s, w, slot, w->quiet_ns - since_ns); /* rounds in which it was known to sleep on, without a look */
        since_ns = w->quiet_ns;
    }
    uint64_t elapsed_ns = w->now_ns - since_ns;
    slot->looked_ns = w->now_ns;
    sp_threads_of(s)[slot->thread].wall_dropped_ns += atomic_exchange(&slot->unsent_wall_ns, 0);
    s->looks++;
    if (slot->asleep_row != SP_NO_ID && cpu_ns == slot->looked_cpu_ns) {
        extend(s, w, slot, elapsed_ns);
        return;
    }
    w->somebody_ran = true;
    uint32_t before = slot->asleep_row;
    slot->asleep_row = SP_NO_ID;
    atomic_fetch_add(&slot->due_ns, elapsed_ns);
    for (int tries = 0; tries < MOST_LOOKS; tries++) {
        uint64_t again_ns = sp_thread_cpu_ns(slot->tid);
        if (again_ns != cpu_ns) {
            slot->tick.passed_over = 0;
            ask(s, w, slot, again_ns, 1);
            return;
        }
        struct sp_wait wait = sp_thread_waits(slot->tid);
        if (wait.kind == SP_WAIT_GONE) {
            return;
        }
        if (wait.kind == SP_WAIT_RUNS) {
            if (still_waits_for_gil(s, slot, before, cpu_ns)) {
                slot->asleep_row = before;
                slot->looked_cpu_ns = cpu_ns;
                extend(s, w, slot, atomic_exchange(&slot->due_ns, 0));
                return;
            }
            /* Put aside by this very thread it would be on a processor. */
            bool displaced = w->look_ups > 0 && w->look_ups-- > 0 && sp_thread_displaced(slot->tid);
            /* To find that out took a while, in which it may have got its turn and gone to sleep: half of the sleeps that a signal
             * ended early, on a busy machine. */
            again_ns = sp_thread_cpu_ns(slot->tid);
            if (again_ns != cpu_ns && tries + 1 < MOST_LOOKS) {
                cpu_ns = again_ns;
                continue;
            }
            if (displaced && sp_tick_pass_over(&slot->tick, w->late)) {
                atomic_fetch_add(&slot->due_ticks, 1);
                return; /* what it used, and the time until now, go along with the next look */
            }
            ask(s, w, slot, cpu_ns, displaced ? 1 : 0);
            return;
        }
        uint64_t owed_ns = unanswered_ns(slot, elapsed_ns);
        if (owed_ns > 0 && !slot->deaf) {
            if (owed_ns <= patience_ns(s)) {
                return;
            }
            slot->deaf = true; /* from now on it is not waited for, until it has answered again */
        }
        if (read_asleep(s, w, slot, cpu_ns, state_of(s, &wait), elapsed_ns)) {
            return;
        }
        s->outside_retries++;
        cpu_ns = sp_thread_cpu_ns(slot->tid);
    }
    s->outside_given_up++;
}

/* The tid of the thread that holds the GIL, or 0. */
static pid_t gil_holder(struct sp_session *s, struct sp_wall *w)
{
    uintptr_t ts = sp_gil_holder(s->interpreter);
    if (ts == 0) {
        return 0;
    }
    sp_outside_refresh(&w->outside);
    return sp_outside_tid(&w->outside, ts);
}

/* CPU time of the process without spprof's two threads. */
static uint64_t used_by_the_program(struct sp_session *s)
{
    uint64_t whole_ns = sp_process_cpu_ns();
    return whole_ns - sp_own_cpu_ns() - sp_thread_cpu_ns(s->drain_tid);
}

void sp_wall_round(struct sp_session *s, struct sp_wall *w, bool late)
{
    bool holder_only = s->settings.mode == SP_MODE_GIL;
    w->now_ns = sp_now_ns();
    w->look_ups = SP_STATE_LOOK_UPS;
    w->late = late;
    w->waits = atomic_exchange(&s->gil_wait_seen, false);
    /* Only if nobody was running: asking for its own clock has the scheduler charge this thread, after which it can't be told any
     * more whom it has put aside (sp_thread_displaced). */
    bool asks = w->all_asleep && !holder_only;
    uint64_t used_ns = asks ? used_by_the_program(s) : 0;
    pthread_mutex_lock(&s->lock);
    size_t threads = s->threads.len; /* before the looks: who is born meanwhile makes the next round look again */
    uint32_t live = s->live;
    s->rounds++;
    pthread_mutex_unlock(&s->lock);
    bool quiet = asks && w->asked && threads == w->threads && used_ns - w->used_ns < UNNOTICED_NS + UNNOTICED_THREAD_NS * live;
    if (quiet && ++w->quiet_rounds < MOST_QUIET_ROUNDS) {
        w->all_quiet_rounds++;
        w->quiet_ns = w->now_ns;
        w->round_ns = w->now_ns;
        return;
    }
    w->quiet_rounds = 0;
    w->somebody_ran = false;
    bool asleep = true;
    pid_t holder = holder_only ? gil_holder(s, w) : 0;
    uint32_t n = atomic_load(&s->n_slots);
    uint32_t first = n == 0 ? 0 : (uint32_t)(sp_random(&w->random) % n); /* no thread is always the last */
    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = (first + k) % n;
        /* One by one: a thread that frees code waits for this lock with the GIL. */
        pthread_mutex_lock(&s->lock);
        pid_t tid = atomic_load_explicit(&s->tids[i], memory_order_relaxed);
        struct sp_slot *slot = sp_slot_at(s, i);
        if (tid == 0 || atomic_load(&sp_active) != s) {
            /* nobody; or halt() has disarmed everybody, and closes the books next */
        } else if (holder_only && tid != holder) {
            slot->looked_ns = w->now_ns;
            slot->asleep_row = SP_NO_ID;
        } else if (w->now_ns > slot->looked_ns) {
            look(s, w, slot, slot->looked_ns);
            asleep &= slot->asleep_row != SP_NO_ID;
        }
        pthread_mutex_unlock(&s->lock);
    }
    if (w->waits) {
        pthread_mutex_lock(&s->lock);
        s->contended_ns += w->now_ns - (w->round_ns > s->start_ns ? w->round_ns : s->start_ns);
        pthread_mutex_unlock(&s->lock);
    }
    w->round_ns = w->now_ns;
    w->used_ns = used_ns;
    w->asked = asks;
    w->threads = threads;
    w->all_asleep = asleep;
    w->all_quiet_rounds = w->somebody_ran ? 0 : w->all_quiet_rounds + 1;
}

bool sp_wall_idle(const struct sp_wall *w)
{
    return w->all_asleep;
}

unsigned sp_wall_pauses(const struct sp_wall *w)
{
    return w->all_quiet_rounds > LONGER_QUIET_ROUNDS ? LONGER_PAUSES : w->all_quiet_rounds > LONG_QUIET_ROUNDS ? LONG_PAUSES : 1;
}

void sp_wall_close(struct sp_session *s, struct sp_slot *slot, uint64_t end_ns)
{
    if (s->settings.mode == SP_MODE_CPU) {
        return;
    }
    struct sp_thread *thread = &sp_threads_of(s)[slot->thread];
    thread->wall_dropped_ns += atomic_exchange(&slot->unsent_wall_ns, 0);
    /* Else it has waited for a processor ever since it was asked, or would have answered had the session not ended. */
    if (thread->cpu_end_ns > slot->told_cpu_ns + CHANCE_NS && (slot->deaf || unanswered_ns(slot, 0) > patience_ns(s))) {
        book_unanswered(s, slot, thread->cpu_end_ns, 0);
    }
    uint64_t rest = atomic_exchange(&slot->due_ns, 0);
    if (s->settings.mode == SP_MODE_WALL && end_ns > slot->looked_ns) {
        rest += end_ns - slot->looked_ns;
    }
    if (thread->last_row != SP_NO_ID) { /* else no sample of it: its time is unsampled */
        grow(s, thread, thread->last_row, rest);
    }
}
