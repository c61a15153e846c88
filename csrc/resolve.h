/* From a halted session to what a profile shows: weights, order, places, totals. Context of all: GIL held, session
 * pending (nobody else touches it). */
#ifndef SP_RESOLVE_H
#define SP_RESOLVE_H

#include "core/linetable.h"
#include "session.h"

/* What one thread's CPU time went to; the three add up to cpu_ns. */
struct sp_totals {
    uint64_t cpu_ns, sampled_ns, unsampled_ns, dropped_ns;
};

/* What its elapsed time (of which only that with the GIL counts in that mode) went to; the three add up to wall_ns. */
struct sp_wall_totals {
    uint64_t wall_ns, sampled_ns, unsampled_ns, dropped_ns;
};

struct sp_wall_totals sp_thread_wall_totals(const struct sp_session *s, const struct sp_thread *thread, uint64_t now_ns);

struct sp_totals sp_thread_totals(const struct sp_thread *thread, uint64_t cpu_ns);

/* Turns the ticks in the weight column into ns of CPU, then puts the rows in order of time. SP_ERR_MEMORY if the sort
 * can't have its (temporary) memory: the rows are then as they were. */
int sp_resolve_rows(struct sp_session *s);

/* The place of each frame of the tree; all zero for marks and codes that could not be kept. `out` has tree.frames.len. */
int sp_resolve_locations(struct sp_session *s, struct sp_location *out);

/* CPU of the process that no thread of the profile and none of ours accounts for: threads that came and went unseen. */
uint64_t sp_other_cpu_ns(const struct sp_session *s);

/* Numbers of a session, taken under its lock so that nothing of Python runs meanwhile. */
struct sp_stats {
    bool active;
    uint64_t collected, dropped, invalid, subinterpreter, retried, interval_ns, duration_ns;
    uint64_t cpu_ns, unsampled_ns, dropped_ns;
    uint64_t memory, memory_limit;
    uint64_t handler_ns, handler_calls, ticks, overruns;
    uint64_t drain_cpu_ns, sampler_cpu_ns;
    uint64_t foreign_signals;
    uint64_t threads_seen, threads_live, missed_threads;
    uint64_t native_walks, native_cut, native_disagreements;
    uint64_t looks, outside_reads, outside_retries, outside_given_up, contended_ns;
    enum sp_mode mode;
    const char *copy_way;
    int copy_refused;
    uint64_t by_source[SP_TICK_SOURCES];
    bool handler_replaced;
    enum sp_tick_source source;
    char source_reason[512];
};
void sp_stats_take(struct sp_session *s, bool active, struct sp_stats *out);

#endif
