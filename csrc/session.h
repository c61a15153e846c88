/* The session: the one life cycle, and the owner of everything.
 *
 *             start()            halt()              collect()
 *   nothing ---------> active ----------> pending -------------> nothing
 *                        |                   \ discarded by the next start()
 *                        \ fork: the child's copy is put away, and freed when Python next asks for something
 *
 * Who touches what:
 *   handler        its own slot, its own ring; reads the session through one atomic pointer (sp_active)
 *   lock           slots, threads, tree, rows: drain thread, thread births and ends, code deaths, stats, halt
 *   arm_lock       the ticks of the slots: taken inside lock, and alone by the sampler thread
 * Under these locks nothing calls into Python, so a holder never waits for the GIL. */
#ifndef SP_SESSION_H
#define SP_SESSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "codemap.h"
#include "core/budget.h"
#include "core/limits.h"
#include "core/ring.h"
#include "core/sample.h"
#include "core/stacktree.h"
#include "core/weights.h"
#include "os/copy.h"
#include "os/tick.h"

/* One writer, its own thread's handler; anybody may read. */
typedef _Atomic uint64_t sp_counter;

static inline void sp_counter_add(sp_counter *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* What handlers have counted, of several threads together. */
struct sp_counts {
    uint64_t calls, timed_calls, timed_ns, ticks, overruns, invalid, subinterpreter, retried;
};

/* States of threads that the sampler may ask the system for in one round (10 to 20 us each). */
#define SP_STATE_LOOK_UPS 8

/* A live thread. Slots are never freed before the session ends, and are used again by later threads. */
struct sp_slot {
    /* set when armed */
    pid_t tid;
    uint32_t thread; /* index into threads */
    struct sp_ring ring;
    uint8_t *pages; /* scratch, memo, then ring data */
    size_t pages_bytes;
    uint32_t ring_bytes;
    struct sp_raw_frame *scratch; /* where the handler builds a stack: SP_MAX_DEPTH + 1 */
    struct sp_memo *memo;         /* the walk before, of native frames */
    struct sp_tick tick;          /* under arm_lock; the handler's parts are the handler's */
    bool registered;              /* by register_thread() */
    uint32_t scan;                /* last scan that saw it */
    uint64_t seen_cpu_ns;         /* its clock at that scan */

    /* the handler's */
    sp_counter calls, timed_calls, timed_ns /* of CPU, in the timed calls */, ticks, overruns, invalid, subinterpreter,
        unsent_ticks, unsent_samples;
    sp_counter retried;     /* walks put off because the stack was in mid-change */
    sp_counter last_cpu_ns; /* the thread's clock at the last tick */
    uint32_t carried_ticks; /* of walks put off */
    uint32_t retries;

    /* frames of machine code: the thread's stack; high is 0 until it is known. */
    _Atomic uintptr_t stack_low, stack_high;
    _Atomic uintptr_t stack_asker; /* its pthread_t, if it wants to know; 0 when that was looked up */

    /* elapsed time (wall.c): what the sampler thread leaves for the handler */
    _Atomic uint64_t due_ns;         /* that the next sample stands for */
    _Atomic uint64_t unsent_wall_ns; /* of samples that found no room */
    uint64_t told_cpu_ns;            /* its CPU clock when it was last asked */
    atomic_uint due_ticks;           /* looks at which it was on a processor */
    atomic_bool told;                /* a signal is on its way */
    /* and what it keeps for itself, under lock */
    uint64_t looked_ns;     /* up to here its time is accounted for */
    uint64_t looked_cpu_ns; /* its CPU clock when it was found asleep */
    bool deaf;              /* it has been told, and doesn't answer */
    uint32_t asleep_row;    /* the row of that sleep, which goes on while the clock stands still; SP_NO_ID: none */
    uintptr_t state;        /* its thread state; 0: none was found among those of `generation` */

    /* the drain's */
    struct sp_raw_frame *last_stack; /* raw, root first, and the node of each: what the next stack shares is not looked up */
    uint32_t *last_nodes;
    uint32_t last_len, last_cap;
    uint64_t last_epoch;
};

/* A thread that was seen, living or not. */
struct sp_thread {
    pid_t tid;
    char *name; /* UTF-8, from threading; NULL: use comm */
    char comm[16];
    uint64_t start_ns, end_ns; /* end 0: alive */
    uint64_t cpu_start_ns, cpu_end_ns;
    uint64_t samples, dropped;
    bool began_before;                 /* alive at start(): its earlier CPU is not ours */
    uint64_t wall_ns, wall_dropped_ns; /* of its samples; and of those that were lost */
    uint64_t states_ns[SP_STATES];     /* of its samples, by state */
    uint32_t last_row;                 /* SP_NO_ID: none */
    struct sp_windows windows;
};

/* A thread whose books are closed and that the system may still list: no walk may take it for a new one. */
struct sp_ended {
    pid_t tid;
    uint32_t scan; /* last scan that saw it, or the one before its end */
    uint64_t cpu_ns;
};

struct sp_rows {
    struct sp_array times;   /* uint64_t, ns since start */
    struct sp_array weights; /* uint64_t: ticks while sampling, ns of CPU after collect */
    struct sp_array nodes;   /* uint32_t */
    struct sp_array threads; /* uint32_t */
    /* empty where CPU time is sampled: */
    struct sp_array walls;      /* uint64_t, ns of elapsed time */
    struct sp_array states;     /* uint8_t, enum sp_state */
    struct sp_array coroutines; /* uint64_t, addresses */
};

/* One of spprof's own threads that runs Python: asyncio's looks, the file that grows. */
#define SP_HELPERS 4
struct sp_helper {
    pid_t tid; /* 0: none */
    uint64_t cpu_ns;
};

/* What a thread's clock is, and which threads count. */
enum sp_mode {
    SP_MODE_CPU,
    SP_MODE_WALL, /* elapsed time of every thread */
    SP_MODE_GIL,  /* elapsed time of the thread that holds the GIL */
};

/* Frames of machine code. */
enum sp_native {
    SP_NATIVE_OFF,
    SP_NATIVE_FOLDED, /* without the interpreter's own between Python frames */
    SP_NATIVE_ALL,
};

/* The code of the evaluation loop, where its place on the stack can't be told otherwise (before 3.11). */
#define SP_EVAL_RANGES 16
struct sp_eval_range {
    uintptr_t start, end;
};

struct sp_settings {
    enum sp_native native;
    struct sp_eval_range eval[SP_EVAL_RANGES];
    uint32_t n_eval;
    enum sp_mode mode;
    bool may_fall_back; /* to elapsed time, where no source ticks in CPU time */
    uint64_t interval_ns;
    size_t memory_limit;
    enum sp_tick_source source; /* SP_TICK_NONE: the best that can be had */
};

struct sp_session {
    uint32_t id;
    struct sp_settings settings;
    enum sp_tick_source source; /* in use */
    char source_reason[512];
    void *interpreter;     /* PyInterpreterState whose frames are recorded */
    uintptr_t gil_address; /* a thread that waits on a word in there waits for the GIL */
    size_t gil_bytes;

    pthread_mutex_t lock, arm_lock;
    struct sp_budget budget;

    /* slots: tids[i] is 0 for a free one; n_slots of them were ever used */
    atomic_int tids[SP_MAX_SLOTS];
    struct sp_slot *slabs[SP_MAX_SLOTS / SP_SLOTS_PER_SLAB];
    atomic_uint n_slots;
    uint32_t live;

    struct sp_array threads; /* struct sp_thread */
    struct sp_tree tree;
    struct sp_rows rows;
    uint64_t code_epoch;     /* counts deaths of known code objects */
    sp_counter drained;      /* records */
    _Atomic uint64_t pushed; /* records, by all handlers */
    uint64_t dropped, dropped_ticks;
    uint64_t missed_threads;                                                                   /* that no slot could be had for */
    uint64_t rounds, looks, outside_reads, outside_retries, outside_given_up, outside_invalid; /* of the sampler thread */
    atomic_bool gil_wait_seen;                                                                 /* by a handler */
    uint64_t contended_ns; /* in which a thread waited for the GIL */
    const char *copy_way;  /* how sleeping threads are read */
    int copy_refused;      /* errno of the better way */
    uint8_t *record;       /* the drain's copy of one raw record */

    /* frames of machine code; under lock but for the map that handlers read */
    struct sp_codemap codemap;
    struct sp_copier copier;
    atomic_bool map_wanted;      /* a handler has met code that is not in the map */
    struct sp_raw_frame *merged; /* one stack, of both kinds */
    uint64_t native_walks, native_cut, native_disagreements,
        mapped_ns; /* records; those not whole; those that don't fit; last look */

    uint64_t start_ns, stop_ns;
    double start_time; /* s since the epoch */
    uint64_t process_cpu_start_ns, process_cpu_stop_ns;
    uint64_t clocks_apart_ns; /* elapsed time in which the threads' clocks were read, at both ends */

    pthread_t starter; /* the thread that called start(), and its tid */
    pid_t starter_tid;
    pthread_t drain_thread, sampler_thread;
    bool drain_runs, sampler_runs;
    atomic_uint stop_threads;  /* futex */
    atomic_uint threads_ready; /* futex: how many of ours have told their tid */
    atomic_uint wake;          /* futex: the drain's alarm clock */
    pid_t drain_tid, sampler_tid;
    atomic_uint_fast64_t drain_cpu_ns, sampler_cpu_ns;
    struct sp_helper helpers[SP_HELPERS]; /* threads of the Python side's, which are not sampled */
    int helpers_at_scan;
    uint32_t scan;
    atomic_int threads_at_scan; /* their number then, and who was seen to come and go since: the drain looks for the others */
    struct sp_ended ended[SP_ENDED_REMEMBERED]; /* tid 0: none */
    uint32_t next_ended;
    uint64_t seed;   /* of the random numbers of each thread of ours */
    uint64_t random; /* arming; lock held */

    /* totals of slots that were given back */
    struct sp_counts gone;               /* of threads that are gone */
    uint64_t by_source[SP_TICK_SOURCES]; /* threads armed from each */

    /* told at halt */
    bool rows_resolved;
    uint32_t threads_live;
    bool handler_replaced;
    uint64_t foreign_signals;

    struct sp_session *next_orphan;
};

/* The session that handlers may use, or NULL. */
extern _Atomic(struct sp_session *) sp_active;

/* What a tick's si_value holds: which session, which slot. */
#define SP_COOKIE_MASK 0xffff000000000000ull
#define SP_COOKIE_BITS 0x5350000000000000ull
static inline uint64_t sp_cookie(uint32_t session, uint32_t slot)
{
    return SP_COOKIE_BITS | ((uint64_t)(session & 0xffff) << 32) | slot;
}

static inline struct sp_slot *sp_slot_at(const struct sp_session *s, uint32_t i)
{
    return &s->slabs[i / SP_SLOTS_PER_SLAB][i % SP_SLOTS_PER_SLAB];
}

static inline struct sp_thread *sp_threads_of(const struct sp_session *s)
{
    return s->threads.data;
}

/* ---- life (session.c). Context of all: GIL held (or attached), any thread. 0 or an enum sp_err; `text` gets the reason. */
int sp_session_start(const struct sp_settings *settings, char *text, size_t text_size);
int sp_session_halt(void);
bool sp_session_is_active(void);
/* The halted session that waits for collect(), or NULL. The caller reads it, then calls sp_session_end(). */
struct sp_session *sp_session_pending(void);
void sp_session_end(void);
/* NULL, or why spprof refuses to sample on this interpreter. */
const char *sp_session_selfcheck(void);
/* The active session under its lock, or NULL. */
struct sp_session *sp_session_lock(void);
void sp_session_unlock(struct sp_session *s);

/* ---- threads (slots.c). */
/* Arms the calling thread if it isn't; `born`: it is new, all its CPU time is ours. Context: any thread. */
bool sp_thread_begin(bool born);
/* register_thread() and unregister_thread() of the calling thread: is it sampled now; had it been registered? */
bool sp_thread_register(void);
bool sp_thread_unregister(void);
/* The calling thread is one of spprof's own from now on; called again, books what it has used. */
void sp_thread_hide(void);
/* One sample of the calling thread, through the signal, and drained; false if it is not sampled. For tests. */
bool sp_thread_sample_now(void);
/* What the thread `tid` (0: the calling one) is called, in the active or the pending session. */
void sp_thread_name(pid_t tid, const char *name);
/* The slot of `tid`, or NULL. Context: any, handler included (find.c). */
struct sp_slot *sp_slot_find(struct sp_session *s, pid_t tid);
/* With lock held: */
int sp_slot_open(struct sp_session *s, pid_t tid, bool born);
void sp_slot_close(struct sp_session *s, struct sp_slot *slot, uint64_t cpu_ns);
void sp_slot_count(const struct sp_slot *slot, struct sp_counts *counts);  /* adds the thread's */
void sp_slot_note_ended(struct sp_session *s, const struct sp_slot *slot); /* closed by its thread, which is not gone yet */
void sp_slots_scan(struct sp_session *s, bool first);
void sp_slots_disarm_all(struct sp_session *s); /* and read each thread's clock for the last time */
void sp_slots_close_all(struct sp_session *s);
void sp_slots_forget_all(struct sp_session *s); /* in a forked child */
void sp_slots_free(struct sp_session *s);
void sp_thread_set_name(struct sp_session *s, pid_t tid, const char *name);
/* 0 or -errno; `text` says what the source can do, or why it can't be had. Context: any thread, no lock. */
int sp_source_usable(enum sp_tick_source source, char *text, size_t size);
int sp_choose_source(struct sp_session *s, char *text, size_t text_size);

/* ---- stacks.c: where threads have their stacks. With lock held. */
/* Of a new slot: at once if it can be told without asking the thread. */
void sp_stack_note(struct sp_slot *slot);
/* Of those whose handler asked. */
void sp_stacks_look_up(struct sp_session *s);

/* ---- merge.c. With lock held: the stack of a record with frames of both kinds; the number of frames in s->merged. */
uint32_t sp_merge(struct sp_session *s, const struct sp_raw_head *head, const struct sp_raw_frame *frames);

/* ---- wall.c. Context: the sampler thread. */
struct sp_wall;
struct sp_wall *sp_wall_new(struct sp_session *s); /* NULL: no memory */
void sp_wall_free(struct sp_session *s, struct sp_wall *wall);
/* One look at every thread. */
void sp_wall_round(struct sp_session *s, struct sp_wall *wall, bool late);
/* True if all threads were asleep then. */
bool sp_wall_idle(const struct sp_wall *wall);
/* Intervals until the next round: 1, and more when all threads have slept for long. */
unsigned sp_wall_pauses(const struct sp_wall *wall);
/* With lock held, any thread: the books of a thread that ends at `end_ns`. */
void sp_wall_close(struct sp_session *s, struct sp_slot *slot, uint64_t end_ns);

/* ---- capture.c. Context: signal handler. */
bool sp_capture(const struct sp_delivery *delivery);
/* The calling thread's slot is given back. Context: any but the handler. */
void sp_capture_forget_own(void);

/* ---- drain.c. With lock held: */
void sp_drain_all(struct sp_session *s);
/* Ticks of a thread that found no room. */
void sp_book_lost(struct sp_session *s, struct sp_thread *thread, uint64_t samples, uint64_t ticks);
void sp_drain_slot(struct sp_session *s, struct sp_slot *slot);
/* One sample of the thread in `slot`; the number of its row, or SP_NO_ID if it was lost (and booked so). */
uint32_t sp_row_add(struct sp_session *s, struct sp_slot *slot, const struct sp_raw_head *head, const struct sp_raw_frame *frames);
int sp_drain_start(struct sp_session *s);   /* -errno */
int sp_sampler_start(struct sp_session *s); /* -errno; idempotent */
void sp_drain_stop(struct sp_session *s);   /* not with lock held */

#endif
