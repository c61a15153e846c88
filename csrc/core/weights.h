/* What a sample weighs.
 *
 * Shares come from where ticks land, totals from the thread's CPU clock. A window is a run of one thread's samples,
 * at least SP_WINDOW_NS long and SP_WINDOW_TICKS ticks rich; the CPU time that the clock says passed in it is dealt
 * out over its ticks, those that were lost (no room) included. "CPU since the sample before" as each sample's weight
 * has the same sum, but is biased wherever ticks are not uniform in CPU time. Decided in docs/adr. */
#ifndef SP_CORE_WEIGHTS_H
#define SP_CORE_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "budget.h"

struct sp_window {
    uint64_t samples; /* of the thread, in this window */
    uint64_t ticks;   /* of those samples */
    uint64_t lost_ticks;
    uint64_t lost_samples;
    uint64_t cpu_ns; /* that the thread's clock says was used */
    uint64_t start_ns;
    uint64_t end_ns;
};

/* The windows of one thread, oldest first. */
struct sp_windows {
    struct sp_array closed; /* struct sp_window */
    struct sp_window open;
    uint64_t open_cpu_ns; /* the thread's CPU clock where the open window began */
    bool deaf;            /* the open window is one without ticks, and stays alone */
};

void sp_windows_start(struct sp_windows *w, uint64_t time_ns, uint64_t cpu_ns);

/* One sample of `ticks` at `time_ns`, when the thread's clock stood at `cpu_ns`. If no memory is left for one more
 * window the open one simply goes on: coarser, never wrong in sum. */
void sp_windows_sample(struct sp_windows *w, struct sp_budget *b, uint64_t time_ns, uint64_t cpu_ns, uint32_t ticks);

/* Ticks that found no room. */
void sp_windows_lost(struct sp_windows *w, uint64_t samples, uint64_t ticks);

/* Since its last sample, when its clock stood at `cpu_ns`, the thread heard no tick, for so long that there must be a cause
 * (the signal is blocked, its handler replaced): what it used since then is nobody's weight, but a window of its own. */
void sp_windows_deaf(struct sp_windows *w, struct sp_budget *b, uint64_t cpu_ns);

/* The thread's clock ends at `cpu_ns`. A last window with few ticks joins the one before it. */
void sp_windows_end(struct sp_windows *w, struct sp_budget *b, uint64_t time_ns, uint64_t cpu_ns);

void sp_windows_free(struct sp_windows *w, struct sp_budget *b);

/* Deals out the CPU time of a thread's windows, one sample after the other. */
struct sp_dealer {
    const struct sp_windows *windows;
    uint64_t window;     /* the one being dealt; closed.len is the open one */
    uint64_t samples;    /* dealt of it */
    uint64_t ticks;      /* of those */
    uint64_t sampled_ns; /* dealt in all */
};

/* The weight in ns of the thread's next sample, which has `ticks`. Rounding never loses a nanosecond: the weights of a
 * window's samples and its lost ticks add up to cpu_ns. */
uint64_t sp_dealer_next(struct sp_dealer *d, uint32_t ticks);

/* The part of a window's CPU time that its lost ticks stand for. */
uint64_t sp_window_lost_ns(const struct sp_window *w);

#endif
