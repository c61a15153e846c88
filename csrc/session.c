/* The one life cycle: start, halt, end; fork; code deaths. */
#include "cpython/compat.h" /* Python.h goes before every other header */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/err.h"
#include "cpython/codeobject.h"
#include "cpython/evaluation.h"
#include "cpython/gil.h"
#include "cpython/selfcheck.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/threads.h"
#include "session.h"

_Atomic(struct sp_session *) sp_active;

/* `life` guards these; it is taken before a session's lock, and its holder never waits for the GIL. */
static struct {
    pthread_mutex_t life;
    struct sp_session *current;
    bool pending;              /* current is halted */
    struct sp_session *orphan; /* a parent's session, in its forked child, until the GIL is at hand */
    atomic_bool naming;        /* from start() until halt() has kept the names of all code objects in records */
    uint32_t ids;
    bool fork_hooks;
    atomic_bool forking;    /* life is held by a thread that forks */
    struct sp_tick *paused; /* its ticks, or NULL */
} state = {.life = PTHREAD_MUTEX_INITIALIZER};

/* The active session, locked, or NULL. With `life` held, which is given back. */
static struct sp_session *lock_active(void)
{
    struct sp_session *s = state.pending ? NULL : state.current;
    if (s != NULL) {
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&state.life);
    return s;
}

/* Context: GIL held. */
static void session_free(struct sp_session *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->tree.codes.len; i++) {
        sp_code_meta_free(&s->budget, sp_tree_codes(&s->tree)[i].meta);
    }
    sp_tree_free(&s->tree);
    sp_slots_free(s);
    for (size_t i = 0; i < s->threads.len; i++) {
        struct sp_thread *thread = &sp_threads_of(s)[i];
        sp_windows_free(&thread->windows, &s->budget);
        free(thread->name);
    }
    sp_array_free(&s->budget, &s->threads, sizeof(struct sp_thread));
    sp_array_free(&s->budget, &s->rows.times, sizeof(uint64_t));
    sp_array_free(&s->budget, &s->rows.weights, sizeof(uint64_t));
    sp_array_free(&s->budget, &s->rows.nodes, sizeof(uint32_t));
    sp_array_free(&s->budget, &s->rows.threads, sizeof(uint32_t));
    sp_array_free(&s->budget, &s->rows.walls, sizeof(uint64_t));
    sp_array_free(&s->budget, &s->rows.states, sizeof(uint8_t));
    sp_array_free(&s->budget, &s->rows.coroutines, sizeof(uint64_t));
    sp_codemap_free(&s->codemap);
    sp_copier_close(&s->copier);
    free(s->record);
    free(s->merged);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->arm_lock);
    free(s);
}

/* ---- code objects that die. Context: attached thread, in the middle of a deallocation. */

static void on_code_death(PyCodeObject *code)
{
    if (!atomic_load_explicit(&state.naming, memory_order_acquire)) {
        return;
    }
    /* Without a GIL this waits here while another thread is in halt(), which may be about to take this one's names. */
    struct sp_session *s = sp_session_lock();
    if (s == NULL) {
        return;
    }
    if (atomic_load(&s->pushed) != atomic_load(&s->drained)) {
        sp_drain_all(s); /* while the address still means this code object */
    }
    uint64_t addr = (uint64_t)(uintptr_t)code;
    uint32_t id = sp_tree_find_code(&s->tree, addr);
    if (id != SP_NO_ID) {
        sp_tree_codes(&s->tree)[id].meta = sp_code_meta_new(&s->budget, code);
        sp_tree_forget_code(&s->tree, addr);
        s->code_epoch++;
    }
    sp_session_unlock(s);
}

static void keep_living_codes(struct sp_session *s)
{
    for (size_t i = 0; i < s->tree.codes.len; i++) {
        struct sp_code *code = &sp_tree_codes(&s->tree)[i];
        if (code->addr != 0 && code->meta == NULL) {
            code->meta = sp_code_meta_new(&s->budget, (PyCodeObject *)(uintptr_t)code->addr);
            if (code->meta == NULL) {
                continue;
            }
            sp_code_meta_own(code->meta, (PyCodeObject *)(uintptr_t)code->addr);
        }
    }
}

/* ---- threads that end. Context: the ending thread, no GIL. */

/* The slot of the calling thread, if it is the one that it had when the exit hook was set. */
static struct sp_slot *slot_of_hook(struct sp_session *s, void *value)
{
    struct sp_slot *slot = s == NULL ? NULL : sp_slot_find(s, sp_gettid());
    return slot != NULL && slot->tick.cookie == (uint64_t)(uintptr_t)value ? slot : NULL;
}

/* False if a thread that forks holds it. Libraries end their threads before a fork and wait for that (OpenBLAS does), with
 * our own hook already run: a thread on its way out must not wait for the fork in turn. */
static bool lock_life_unless_forking(void)
{
    while (pthread_mutex_trylock(&state.life) != 0) {
        if (atomic_load(&state.forking)) {
            return false;
        }
        nanosleep(&(struct timespec){0, 50000}, NULL);
    }
    return true;
}

static void on_thread_exit(void *value)
{
    if (lock_life_unless_forking()) {
        struct sp_session *s = lock_active();
        struct sp_slot *slot = slot_of_hook(s, value);
        if (slot != NULL) {
            bool was_blocked = sp_signal_block(); /* no tick while the books are closed */
            sp_slot_close(s, slot, sp_own_cpu_ns());
            sp_slot_note_ended(s, slot);
            atomic_fetch_sub(&s->threads_at_scan, 1);
            sp_capture_forget_own();
            if (!was_blocked) {
                sp_signal_unblock(); /* what is pending comes now: after the unlock halt() may put back another handler */
            }
        }
        if (s != NULL) {
            sp_session_unlock(s);
        }
    } else {
        /* the next walk over the threads closes the slot, with this reading */
        sp_signal_enter();
        struct sp_session *s = atomic_load(&sp_active);
        struct sp_slot *slot = slot_of_hook(s, value);
        if (slot != NULL) {
            atomic_store(&slot->last_cpu_ns, sp_own_cpu_ns());
            atomic_fetch_sub(&s->threads_at_scan, 1);
        }
        sp_signal_leave();
    }
}

/* ---- fork. */

static void before_fork(void)
{
    pthread_mutex_lock(&state.life);
    atomic_store(&state.forking, true);
    state.paused = NULL;
    if (state.current != NULL) {
        pthread_mutex_lock(&state.current->lock);
        pthread_mutex_lock(&state.current->arm_lock); /* the sampler thread looks at nobody meanwhile */
        struct sp_slot *slot = state.pending ? NULL : sp_slot_find(state.current, sp_gettid());
        if (slot != NULL) {
            /* A tick that is pending makes the kernel start fork() over again; in a big process under a fast tick, for ever.
             * The signal is not blocked instead: threads that other hooks start now would have it blocked for good. */
            state.paused = &slot->tick;
            sp_tick_pause(state.paused);
        }
    }
}

static void after_fork(void)
{
    atomic_store(&state.forking, false);
    if (state.current != NULL) {
        pthread_mutex_unlock(&state.current->arm_lock);
        pthread_mutex_unlock(&state.current->lock);
    }
    pthread_mutex_unlock(&state.life);
}

static void in_parent(void)
{
    if (state.paused != NULL) {
        sp_tick_resume(state.paused);
    }
    after_fork();
}

static void in_child(void)
{
    struct sp_session *s = state.current;
    sp_signal_child();
    if (s != NULL) {
        /* The child is not profiled: timers, threads and ticks are the parent's. */
        atomic_store(&sp_active, (struct sp_session *)NULL);
        atomic_store(&state.naming, false);
        if (!state.pending) {
            sp_slots_forget_all(s);
            sp_signal_restore();
            sp_threads_close();
        }
        s->drain_runs = s->sampler_runs = false;
    }
    after_fork();
    if (s != NULL) {
        s->next_orphan = state.orphan;
        state.orphan = s;
        state.current = NULL;
        state.pending = false;
    }
}

/* Context: GIL held, `life` not held: dropping references may run Python code. */
static void free_orphans(void)
{
    for (;;) {
        pthread_mutex_lock(&state.life);
        struct sp_session *s = state.orphan;
        if (s != NULL) {
            state.orphan = s->next_orphan;
        }
        pthread_mutex_unlock(&state.life);
        if (s == NULL) {
            return;
        }
        session_free(s);
    }
}

/* ---- start */

static struct sp_session *session_new(const struct sp_settings *settings)
{
    struct sp_session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->arm_lock, NULL);
    s->settings = *settings;
    s->budget.limit = settings->memory_limit;
    s->interpreter = PyInterpreterState_Main();
    s->starter = pthread_self();
    s->starter_tid = sp_gettid();
    s->copy_way = "none";
    sp_gil_extent(s->interpreter, &s->gil_address, &s->gil_bytes);
    s->copier = (struct sp_copier){.way = SP_COPY_NONE, .in = -1, .out = -1};
    bool native = settings->native != SP_NATIVE_OFF;
    size_t frames_bytes = sp_raw_max_frames(native) * sizeof(struct sp_raw_frame);
    s->record = malloc(frames_bytes);
    s->merged = native ? malloc(frames_bytes) : NULL;
    if (s->record == NULL || (native && s->merged == NULL)
        || !sp_budget_take(&s->budget, sizeof *s + (native ? 2 : 1) * frames_bytes)
        || sp_tree_init(&s->tree, &s->budget) != SP_OK) {
        session_free(s);
        return NULL;
    }
    s->seed = (sp_now_ns() ^ ((uint64_t)sp_gettid() << 32)) * 0x9e3779b97f4a7c15ull | 1;
    s->random = s->seed;
    return s;
}

/* SP_OK, or why frames of machine code can't be had. */
static int start_native(struct sp_session *s, char *text, size_t text_size)
{
    sp_copier_open(&s->copier);
    if (s->copier.way == SP_COPY_NONE) {
        snprintf(text, text_size, "no way to read its own code safely (%s)", strerror(s->copier.refused));
        return SP_ERR_SYSTEM;
    }
    return sp_codemap_init(&s->codemap, &s->budget, sp_copy, &s->copier, sp_evaluation_loop());
}

static int start_locked(struct sp_session *s, char *text, size_t text_size)
{
    int err = sp_choose_source(s, text, text_size);
    if (err == SP_OK && s->settings.native != SP_NATIVE_OFF) {
        err = start_native(s, text, text_size);
    }
    if (err != SP_OK) {
        return err;
    }
    err = sp_exit_hook_init(on_thread_exit);
    if (err == 0 && !state.fork_hooks) {
        err = -pthread_atfork(before_fork, in_parent, in_child);
        state.fork_hooks = err == 0;
    }
    if (err == 0) {
        err = sp_signal_install(sp_capture);
    }
    if (err != 0) {
        snprintf(text, text_size, "%s", strerror(-err));
        return SP_ERR_SYSTEM;
    }
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    s->start_time = (double)wall.tv_sec + (double)wall.tv_nsec / 1e9;
    /* Before there is a thread that may do so too. If it fails so will the scan, which knows what to do. */
    sp_threads_open();
    err = sp_drain_start(s);
    if (err == 0 && s->settings.mode != SP_MODE_CPU) {
        err = sp_sampler_start(s); /* finds no thread yet */
    }
    if (err != 0) {
        sp_drain_stop(s);
        snprintf(text, text_size, "can't start a thread: %s", strerror(-err));
        sp_signal_restore();
        sp_threads_close();
        return SP_ERR_SYSTEM;
    }
    pthread_mutex_lock(&s->lock);
    s->start_ns = sp_now_ns();
    s->process_cpu_start_ns = sp_process_cpu_ns();
    uint64_t own_cpu_ns = sp_own_cpu_ns();
    atomic_store(&state.naming, true);
    atomic_store(&sp_active, s);
    sp_slots_scan(s, true);
    if (s->live == 0) {
        sp_slot_open(s, sp_gettid(), false); /* no /proc */
    }
    s->clocks_apart_ns = sp_now_ns() - s->start_ns;
    const struct sp_slot *own = sp_slot_find(s, sp_gettid());
    if (own != NULL) { /* what it has used before its turn came is of nobody else */
        s->process_cpu_start_ns += sp_threads_of(s)[own->thread].cpu_start_ns - own_cpu_ns;
    }
    pthread_mutex_unlock(&s->lock);
    return SP_OK;
}

int sp_session_start(const struct sp_settings *settings, char *text, size_t text_size)
{
    pthread_mutex_lock(&state.life);
    int err = SP_OK;
    struct sp_session *discarded = NULL, *s = NULL;
    if (state.current != NULL && !state.pending) {
        err = SP_ERR_RUNNING;
    } else {
        discarded = state.current;
        state.current = NULL;
        state.pending = false;
        s = session_new(settings);
        err = s == NULL ? SP_ERR_MEMORY : SP_OK;
    }
    if (err == SP_OK) {
        s->id = ++state.ids;
        err = sp_code_watch(on_code_death) == 0 ? start_locked(s, text, text_size) : SP_ERR_SYSTEM;
    }
    if (err == SP_OK) {
        state.current = s;
        s = NULL;
    }
    pthread_mutex_unlock(&state.life);
    session_free(s);
    session_free(discarded);
    free_orphans();
    return err;
}

/* ---- halt */

static void wait_for_handlers(void)
{
    for (int i = 0; i < 100000 && !sp_signal_quiet(); i++) {
        nanosleep(&(struct timespec){0, 20000}, NULL);
    }
}

int sp_session_halt(void)
{
    pthread_mutex_lock(&state.life);
    struct sp_session *s = state.current;
    if (s == NULL || state.pending) {
        int err = s == NULL ? SP_ERR_NOT_RUNNING : SP_OK;
        pthread_mutex_unlock(&state.life);
        return err;
    }
    pthread_mutex_lock(&s->lock);
    struct sp_slot *own = sp_slot_find(s, sp_gettid());
    if (own != NULL && own->carried_ticks > 0) { /* its last look was put off, and would never be made up for */
        sp_tick_send(&own->tick, 0);
    }
    pthread_mutex_unlock(&s->lock);
    /* From here on no handler starts work; the clocks are read at once, so that little CPU goes by without ticks. */
    atomic_store(&sp_active, (struct sp_session *)NULL);
    uint64_t stop_ns = sp_now_ns();
    pthread_mutex_lock(&s->lock);
    s->stop_ns = stop_ns;
    sp_slots_disarm_all(s);
    s->process_cpu_stop_ns = sp_process_cpu_ns();
    if (own != NULL) { /* its clock has gone on meanwhile */
        s->process_cpu_stop_ns -= sp_own_cpu_ns() - own->seen_cpu_ns;
    }
    s->clocks_apart_ns += sp_now_ns() - stop_ns;
    atomic_store(&s->drain_cpu_ns, sp_thread_cpu_ns(s->drain_tid));
    if (s->sampler_runs) {
        atomic_store(&s->sampler_cpu_ns, sp_thread_cpu_ns(s->sampler_tid));
    }
    pthread_mutex_unlock(&s->lock);
    sp_drain_stop(s);
    wait_for_handlers();
    pthread_mutex_lock(&s->lock);
    s->handler_replaced = sp_signal_replaced();
    s->foreign_signals = sp_signal_foreign();
    s->threads_live = s->live;
    sp_drain_all(s);
    sp_slots_close_all(s);
    keep_living_codes(s);
    atomic_store(&state.naming, false);
    sp_slots_free(s); /* rings are empty: their memory goes back before anything is built */
    pthread_mutex_unlock(&s->lock);
    sp_signal_restore();
    sp_threads_close();
    state.pending = true;
    pthread_mutex_unlock(&state.life);
    return SP_OK;
}

bool sp_session_is_active(void)
{
    pthread_mutex_lock(&state.life);
    bool active = state.current != NULL && !state.pending;
    pthread_mutex_unlock(&state.life);
    return active;
}

struct sp_session *sp_session_pending(void)
{
    pthread_mutex_lock(&state.life);
    struct sp_session *s = state.pending ? state.current : NULL;
    pthread_mutex_unlock(&state.life);
    return s;
}

void sp_session_end(void)
{
    pthread_mutex_lock(&state.life);
    struct sp_session *s = state.pending ? state.current : NULL;
    if (s != NULL) {
        state.current = NULL;
        state.pending = false;
    }
    pthread_mutex_unlock(&state.life);
    session_free(s);
    free_orphans();
}

struct sp_session *sp_session_lock(void)
{
    pthread_mutex_lock(&state.life);
    return lock_active();
}

void sp_session_unlock(struct sp_session *s)
{
    pthread_mutex_unlock(&s->lock);
}

bool sp_thread_begin(bool born)
{
    struct sp_session *s = sp_session_lock();
    if (s == NULL) {
        return false;
    }
    pid_t tid = sp_gettid();
    struct sp_slot *slot = sp_slot_find(s, tid);
    if (slot != NULL && sp_own_cpu_ns() < slot->seen_cpu_ns) {
        sp_slot_close(s, slot, slot->seen_cpu_ns); /* left by an earlier thread of the same tid */
        slot = NULL;
    }
    if (slot == NULL && sp_slot_open(s, tid, born) == SP_OK) {
        slot = sp_slot_find(s, tid);
        atomic_fetch_add(&s->threads_at_scan, 1);
    }
    if (slot != NULL) {
        sp_exit_hook_set((void *)(uintptr_t)slot->tick.cookie);
    }
    sp_session_unlock(s);
    return slot != NULL;
}

static bool set_registered(bool registered)
{
    struct sp_session *s = sp_session_lock();
    bool before = false;
    if (s != NULL) {
        struct sp_slot *slot = sp_slot_find(s, sp_gettid());
        if (slot != NULL) {
            before = slot->registered;
            slot->registered = registered;
        }
        sp_session_unlock(s);
    }
    return before;
}

bool sp_thread_register(void)
{
    bool sampled = sp_thread_begin(false);
    if (sampled) {
        set_registered(true);
    }
    return sampled;
}

bool sp_thread_unregister(void)
{
    return set_registered(false);
}

/* The calling thread was met by a walk before it could say that it is spprof's. With lock held. */
static void unmeet_own(struct sp_session *s)
{
    struct sp_slot *slot = sp_slot_find(s, sp_gettid());
    if (slot == NULL) {
        return;
    }
    bool was_blocked = sp_signal_block();
    uint32_t index = slot->thread;
    sp_slot_close(s, slot, sp_own_cpu_ns());
    sp_capture_forget_own();
    if (!was_blocked) {
        sp_signal_unblock();
    }
    struct sp_thread *thread = &sp_threads_of(s)[index];
    if (index + 1 == s->threads.len && thread->samples == 0 && thread->name == NULL) { /* nothing refers to it yet */
        sp_windows_free(&thread->windows, &s->budget);
        s->threads.len--;
    }
}

void sp_thread_hide(void)
{
    struct sp_session *s = sp_session_lock();
    if (s != NULL) {
        pid_t tid = sp_gettid();
        int i = 0;
        while (i < SP_HELPERS - 1 && s->helpers[i].tid != 0 && s->helpers[i].tid != tid) {
            i++;
        }
        s->helpers[i] = (struct sp_helper){tid, sp_own_cpu_ns()};
        unmeet_own(s);
        sp_session_unlock(s);
    }
}

bool sp_thread_sample_now(void)
{
    struct sp_session *s = sp_session_lock();
    if (s == NULL) {
        return false;
    }
    struct sp_slot *slot = sp_slot_find(s, sp_gettid());
    bool taken = slot != NULL && sp_tick_send(&slot->tick, 1) == 0; /* delivered before the system call returns */
    sp_drain_all(s);                                                /* a caller in a loop must not outrun the drain thread */
    sp_session_unlock(s);
    return taken;
}

void sp_thread_name(pid_t tid, const char *name)
{
    pid_t id = tid != 0 ? tid : sp_gettid();
    struct sp_session *s = sp_session_lock();
    if (s != NULL) {
        sp_thread_set_name(s, id, name);
        sp_session_unlock(s);
    } else if ((s = sp_session_pending()) != NULL) {
        sp_thread_set_name(s, id, name);
    }
}

const char *sp_session_selfcheck(void)
{
    return sp_selfcheck(sp_readable);
}
