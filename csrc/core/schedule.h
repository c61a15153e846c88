/* When the ticks of one thread are due, in its own CPU time, for a source that may be late, may go on by itself, and may be
 * given a new period at each tick (perf). Knows nothing of the source.
 *
 * Ticks are due at points on the thread's CPU clock, an interval apart in the mean, each jittered. However late one is
 * delivered (the thread was long in the kernel, or had the signal blocked), the points stay where they are: a tick stands for
 * all that have passed since the one before. A point that moved with the delay would tie the ticks to what the
 * program did when it was late, and shares would be wrong by tens of points. */
#ifndef SP_CORE_SCHEDULE_H
#define SP_CORE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

/* The shortest period that is ever set; Linux rounds smaller ones up to the same (kernel/events/core.c). */
#define SP_SHORTEST_PERIOD_NS 10000u

/* Below this interval a pace stays for some ticks, since the system call that sets it is not free. */
#define SP_JITTER_EACH_TICK_NS 5000000u
#define SP_JITTER_EVERY 8u

struct sp_schedule {
    uint64_t interval_ns; /* the mean, > 0 */
    uint64_t random;      /* xorshift64*, never 0 */
    uint64_t due_ns;      /* the thread's CPU clock at the next tick */
    uint64_t pace_ns;     /* from one tick to the next: the interval, jittered */
    uint64_t usual_ns;    /* from a tick's time to its handler, where the program does not hold it up */
    uint32_t paces_left;  /* ticks until another pace is drawn */
    bool goes_on;         /* the source has this pace as its own period */
};

/* Begins at `cpu_ns`. Returns the time to the first tick, anywhere in the interval: short threads are seen in proportion,
 * and threads don't tick together. */
uint64_t sp_schedule_start(struct sp_schedule *schedule, uint64_t interval_ns, uint64_t seed, uint64_t cpu_ns);

/* The source has ticked, and the thread's clock stands at `cpu_ns`. Returns how many ticks that stands for; 0: none, it
 * is one that came before its time (a source goes on with its old period until it has the new one). `*set_ns` is the
 * period to set now, 0 to leave the source alone. No tick is to come for `put_off_ns`; those due meanwhile count in
 * the next. Context: any, also the signal handler. */
uint32_t sp_schedule_tick(struct sp_schedule *schedule, uint64_t cpu_ns, uint64_t put_off_ns, uint64_t *set_ns);

/* Until the next tick is due: the period for a source that has been given another one meanwhile, or was stopped. */
uint64_t sp_schedule_left(struct sp_schedule *schedule, uint64_t cpu_ns);

/* xorshift64* (Vigna, 2016): enough for jitter, and safe in a handler. */
static inline uint64_t sp_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

#endif
