/* The handler's whole work: weigh, walk, push. Nothing else may be in this file.
 *
 * Runs on the sampled thread, between any two of its instructions: no allocation, no lock, no Python API but the one
 * look-up of the own thread state, errno kept by the caller, less than 2 KB of stack
 * (tests/unit/test_handler_symbols.py, tests/crash/test_stacks.py). */
#include "cpython/frames.h"
#include "cpython/threadstate.h"
#include "native/unwind.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/threads.h"
#include "os/ucontext.h"
#include "session.h"

#pragma GCC poison malloc calloc realloc free printf fprintf snprintf pthread_mutex_lock

/* The handler's own cost is measured on one call in so many: the clock takes as long as the walk. */
#define TIMED_EVERY 8

/* Looks at a stack that is being changed, before the sample says that it could not be read. */
#define MOST_RETRIES 3

/* initial-exec: a plain load, where the general model may call into the loader, which allocates */
static __thread struct {
    uint32_t session;
    struct sp_slot *slot;
} own __attribute__((tls_model("initial-exec")));

void sp_capture_forget_own(void)
{
    own.session = 0;
    own.slot = NULL;
}

static struct sp_slot *own_slot(struct sp_session *s)
{
    if (own.session == s->id) {
        return own.slot;
    }
    struct sp_slot *slot = sp_slot_find(s, sp_gettid());
    if (slot != NULL && !sp_tick_ready(&slot->tick)) {
        return NULL; /* somebody else's signal, while another thread arms this one */
    }
    if (slot != NULL) {
        own.slot = slot;
        own.session = s->id;
        if (sp_exit_hook_in_handler()) {
            sp_exit_hook_set((void *)(uintptr_t)slot->tick.cookie);
        }
    }
    return slot;
}

static uint32_t put_mark(struct sp_slot *slot, enum sp_mark mark)
{
    slot->scratch[0] = (struct sp_raw_frame){(uint64_t)mark, 0, SP_FRAME_MARK};
    return 1;
}

/* The number of frames in the slot's scratch; 0 if the stack was caught in mid-change. */
static uint32_t walk(struct sp_session *s, struct sp_slot *slot, uintptr_t stack_pointer, struct sp_raw_head *head)
{
    PyThreadState *ts = sp_own_thread_state();
    if (ts == NULL || sp_state_is_going(ts)) {
        return put_mark(slot, SP_MARK_NATIVE);
    }
    if ((void *)sp_interpreter_of(ts) != s->interpreter) {
        sp_counter_add(&slot->subinterpreter, 1);
        return put_mark(slot, SP_MARK_SUBINTERPRETER);
    }
    uintptr_t coroutine = 0;
    struct sp_entries entries = {slot->scratch + SP_MAX_DEPTH + 1 + SP_MAX_NATIVE, 0};
    bool native = s->settings.native != SP_NATIVE_OFF;
    int n = sp_walk(ts, stack_pointer, sp_readable, slot->scratch, &coroutine, native ? &entries : NULL);
    head->coroutine = coroutine;
    head->n_entries = entries.n;
    if (n < 0) {
        return 0;
    }
    return n > 0 ? (uint32_t)n : put_mark(slot, SP_MARK_NATIVE);
}

/* The stack that this thread is on, if it is its own; high is 0 where that is not known, and somebody was told to find out. */
static struct sp_stack own_stack(struct sp_session *s, struct sp_slot *slot)
{
    uintptr_t high = atomic_load_explicit(&slot->stack_high, memory_order_acquire);
    uintptr_t low = atomic_load_explicit(&slot->stack_low, memory_order_relaxed);
    if (high == 0) {
        if (atomic_exchange(&slot->stack_asker, (uintptr_t)pthread_self()) == 0) {
            atomic_fetch_add_explicit(&s->wake, 1, memory_order_relaxed);
            sp_futex_wake(&s->wake);
        }
        return (struct sp_stack){0, 0};
    }
    return (struct sp_stack){low, high};
}

/* The frames of machine code, behind the head->n_frames Python frames of the scratch; the entries are moved behind them. False: it
 * is not known yet where the thread's stack is. */
static bool unwind(struct sp_session *s, struct sp_slot *slot, const struct sp_delivery *delivery, bool last_chance,
                   struct sp_raw_head *head)
{
    struct sp_raw_frame *entries = slot->scratch + SP_MAX_DEPTH + 1 + SP_MAX_NATIVE;
    struct sp_registers r = {.sp = sp_ucontext_stack_pointer(delivery->ucontext), .signal_return = delivery->back};
    struct sp_stack stack = own_stack(s, slot);
    if (stack.high == 0 && !last_chance) {
        return false;
    }
    struct sp_native_map *map = atomic_load_explicit(&s->codemap.current, memory_order_acquire);
    enum sp_unwind_end end = SP_UNWIND_REFUSED;
    sp_ucontext_frame(delivery->ucontext, &r.pc, &r.fp, &r.link);
    head->n_native = sp_unwind(map, r, stack, slot->memo, slot->scratch + head->n_frames, SP_MAX_NATIVE, &end);
    if (end == SP_UNWIND_UNKNOWN && !atomic_exchange_explicit(&s->map_wanted, true, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&s->wake, 1, memory_order_relaxed);
        sp_futex_wake(&s->wake);
    }
    head->map = map->generation;
    head->native_seen = 1 + (uint32_t)end;
    head->stack_pointer = r.sp;
    struct sp_raw_frame *to = slot->scratch + head->n_frames + head->n_native;
    for (uint32_t i = 0; i < head->n_entries; i++) { /* to a lower place, or the same */
        to[i] = entries[i];
    }
    return true;
}

static void push(struct sp_session *s, struct sp_slot *slot, struct sp_raw_head *head)
{
    /* What found no room since the last record that did goes along with this one, so that it is dated. */
    uint64_t unsent_ticks = atomic_load_explicit(&slot->unsent_ticks, memory_order_relaxed);
    uint64_t unsent_samples = atomic_load_explicit(&slot->unsent_samples, memory_order_relaxed);
    head->lost_ticks = (uint32_t)(unsent_ticks > UINT32_MAX ? UINT32_MAX : unsent_ticks);
    head->lost_samples = (uint32_t)(unsent_samples > UINT32_MAX ? UINT32_MAX : unsent_samples);
    uint32_t body = (head->n_frames + head->n_native + head->n_entries) * (uint32_t)sizeof(struct sp_raw_frame);
    head->bytes = (uint32_t)sizeof *head + body;
    head->wall_ns = atomic_exchange_explicit(&slot->due_ns, 0, memory_order_relaxed);
    if (!sp_ring_push(&slot->ring, head, sizeof *head, slot->scratch, body)) {
        atomic_store_explicit(&slot->unsent_ticks, unsent_ticks + head->ticks, memory_order_relaxed);
        atomic_store_explicit(&slot->unsent_samples, unsent_samples + 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&slot->unsent_wall_ns, head->wall_ns, memory_order_relaxed);
    } else {
        atomic_store_explicit(&slot->unsent_ticks, 0, memory_order_relaxed);
        atomic_store_explicit(&slot->unsent_samples, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->pushed, 1, memory_order_release);
    }
    if (sp_ring_used(&slot->ring) > slot->ring.size / 2) {
        atomic_fetch_add_explicit(&s->wake, 1, memory_order_relaxed);
        sp_futex_wake(&s->wake);
    }
}

/* It was found ready to run, and was: to go on waiting for the GIL. */
static bool in_wait_for_gil(const struct sp_session *s, void *ucontext)
{
    return s->settings.mode != SP_MODE_CPU && sp_ucontext_left_call(ucontext) - s->gil_address < s->gil_bytes;
}

bool sp_capture(const struct sp_delivery *delivery)
{
    struct sp_session *s = atomic_load(&sp_active);
    if (s == NULL) {
        return sp_tick_is_any(delivery, SP_COOKIE_MASK, SP_COOKIE_BITS);
    }
    struct sp_slot *slot = own_slot(s);
    if (slot == NULL || !sp_tick_is(&slot->tick, delivery)) {
        return sp_tick_is_any(delivery, SP_COOKIE_MASK, SP_COOKIE_BITS);
    }
    struct sp_raw_head head = {.time_ns = sp_now_ns(), .cpu_ns = sp_own_cpu_ns()};
    head.ticks = sp_tick_count(&slot->tick, delivery, head.cpu_ns);
    if (s->settings.mode != SP_MODE_CPU) {
        /* In the order in which the sampler sets them: what it adds from now on is for the next signal. */
        atomic_store(&slot->told, false);
        head.ticks = atomic_exchange(&slot->due_ticks, 0);
    }
    if (in_wait_for_gil(s, delivery->ucontext)) {
        head.state = SP_STATE_GIL;
        atomic_store_explicit(&s->gil_wait_seen, true, memory_order_relaxed);
    }
    sp_counter_add(&slot->calls, 1);
    atomic_store_explicit(&slot->last_cpu_ns, head.cpu_ns, memory_order_relaxed);
    if (slot->retries > 0) {
        head.ticks += slot->carried_ticks;
    } else if (head.ticks == 0 && s->settings.mode == SP_MODE_CPU) {
        return true; /* it came before its time, or its ticks went along with the one before */
    }
    if (slot->scratch == NULL) {
        /* no memory was left for this thread's ring */
        sp_counter_add(&slot->unsent_ticks, head.ticks);
        sp_counter_add(&slot->unsent_samples, 1);
        atomic_fetch_add_explicit(&slot->unsent_wall_ns, atomic_exchange_explicit(&slot->due_ns, 0, memory_order_relaxed),
                                  memory_order_relaxed);
    } else {
        head.n_frames = walk(s, slot, sp_ucontext_stack_pointer(delivery->ucontext), &head);
        if (s->settings.native != SP_NATIVE_OFF && head.n_frames > 0
            && !unwind(s, slot, delivery, slot->retries == MOST_RETRIES, &head)) {
            head.n_frames = 0;
        }
        if (head.n_frames == 0 && slot->retries < MOST_RETRIES) {
            /* Again in a moment, with these ticks on top; nothing is thrown away where stacks are busy. */
            slot->carried_ticks = head.ticks;
            sp_tick_soon(&slot->tick, slot->retries++);
            sp_counter_add(&slot->retried, 1);
            return true;
        }
        if (head.n_frames == 0) {
            sp_counter_add(&slot->invalid, 1);
            head.n_frames = put_mark(slot, SP_MARK_INVALID);
            head.n_entries = 0;
        }
        push(s, slot, &head);
    }
    slot->retries = 0;
    slot->carried_ticks = 0;
    sp_counter_add(&slot->ticks, head.ticks);
    sp_counter_add(&slot->overruns, head.ticks > 1 ? head.ticks - 1 : 0);
    if (slot->calls % TIMED_EVERY == 0) {
        sp_counter_add(&slot->timed_calls, 1);
        sp_counter_add(&slot->timed_ns, sp_own_cpu_ns() - head.cpu_ns);
    }
    return true;
}
