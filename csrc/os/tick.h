/* Ticks: a signal to a thread for every `interval` of CPU time that it uses. The sources know nothing of stacks.
 *
 *   perf    perf_event_open(2), software task clock: the true rate, kernel time included; a descriptor a thread
 *   thread  a thread of ours on a jittered clock looks which threads run now, and signals them; needs nothing
 *   timer   POSIX timer on the thread's CPU clock: looked at only on the kernel's tick, so at most HZ a second and in
 *           step with programs that wake on the clock
 *
 * Why in this order: docs/adr/. */
#ifndef SP_OS_TICK_H
#define SP_OS_TICK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/schedule.h"
#include "signal_handler.h"

enum sp_tick_source { SP_TICK_NONE, SP_TICK_PERF, SP_TICK_THREAD, SP_TICK_TIMER, SP_TICK_SOURCES };

struct sp_tick {
    atomic_bool ready; /* set last, by whoever arms; what the handler reads first. Without it nothing else is looked at */
    _Atomic enum sp_tick_source source; /* a handler may run while another thread disarms */
    pid_t tid;
    int fd;          /* perf */
    uint64_t fd_id;  /* perf: the event's own number, so that a re-used descriptor is never taken for it */
    int timer;       /* timer: the kernel's id; 0 is a good one */
    uint64_t cookie; /* comes back in si_value */
    struct sp_schedule schedule;
    uint64_t first_ns;               /* until the first tick, for those who arm */
    uint64_t armed_cpu_ns;           /* the thread's CPU clock when it was armed */
    uint64_t last_cpu_ns;            /* the thread's CPU clock at the last tick */
    uint64_t polled_cpu_ns;          /* thread: its clock when last looked at */
    uint32_t passed_over;            /* thread: late looks in a row that have put it aside */
    atomic_uint asked;               /* thread: ticks sent since the handler last ran; timer: ticks that a pause cost */
    _Atomic uint64_t quiet_until_ns; /* thread: no tick before the ticked thread's clock stands there */
    uint64_t paused_cpu_ns;          /* the thread's CPU clock at a pause */
};

const char *sp_tick_name(enum sp_tick_source source);

/* Arms ticks on the thread `tid`, the first after a random part of the interval. `cpu_ns` is that thread's clock now.
 * Context: session lock held, any thread may arm any other. 0 or -errno. */
int sp_tick_arm(struct sp_tick *tick, enum sp_tick_source source, pid_t tid, uint64_t interval_ns, uint64_t cookie, uint64_t seed,
                uint64_t cpu_ns);

/* The last thing before the first tick may come. Context: arming. */
static inline void sp_tick_publish(struct sp_tick *tick)
{
    atomic_store_explicit(&tick->ready, true, memory_order_release);
}

/* Whether it was armed; then the caller sees all that was set before. Context: any, also the handler. */
static inline bool sp_tick_ready(const struct sp_tick *tick)
{
    return atomic_load_explicit(&tick->ready, memory_order_acquire);
}

/* Stops the ticks and gives back timer or descriptor. A signal already on its way may still arrive. */
void sp_tick_disarm(struct sp_tick *tick);

/* No ticks between the two, whose CPU time the first tick afterwards stands for. Context: the ticked thread, arm_lock held. */
void sp_tick_pause(struct sp_tick *tick);
void sp_tick_resume(struct sp_tick *tick);

/* In a forked child: closes what was inherited without touching the parent's event. */
void sp_tick_forget(struct sp_tick *tick);

/* False if the program closed the descriptor under us. */
bool sp_tick_alive(const struct sp_tick *tick);

/* The CPU time of the ticked thread, also of one that has just ended where the source still knows; else 0. */
uint64_t sp_tick_cpu_ns(const struct sp_tick *tick);

/* Context: signal handler. Is this delivery a tick of `tick`? */
bool sp_tick_is(const struct sp_tick *tick, const struct sp_delivery *delivery);

/* Context: signal handler. Could it be a tick of any session of ours, also one that is over? */
bool sp_tick_is_any(const struct sp_delivery *delivery, uint64_t cookie_mask, uint64_t cookie_bits);

/* Context: signal handler, on the ticked thread. The ticks that this delivery stands for, those that were merged into it
 * included; 0 if it came before its time, or was sent for a walk alone. Sets the next period. */
uint32_t sp_tick_count(struct sp_tick *tick, const struct sp_delivery *delivery, uint64_t cpu_ns);

/* Context: signal handler. Orders a delivery soon, later with each try, that stands for no tick; where the source can't, the
 * next regular one must do. */
void sp_tick_soon(struct sp_tick *tick, uint32_t tries);

/* thread source: looks at one thread and signals it if it runs. `look_ups` is how often it may still ask the system for a
 * thread's state in this round, which costs more than all the rest; `late`: the sampler thread was let in late. Context: the sampler
 * thread. */
void sp_tick_poll(struct sp_tick *tick, unsigned *look_ups, bool late);

/* Whether a thread that the sampler thread has put aside, or may have, is to be left alone this time.
 *
 * A busy processor lets the sampler thread in at a moment of its own: when the thread on it leaves the kernel, after a
 * system call or on the kernel's tick. Who is put aside then is found at that call, again and again, and a call of 3 us between
 * pieces of 400 us got 4 to 10 % for 0.7 (docs/benchmarks.md). So only who was put aside at the moment that the sampler thread's own
 * clock chose is asked; but where that never happens, now and then one of the others rather than nobody. */
bool sp_tick_pass_over(struct sp_tick *tick, bool late);

/* A delivery by hand to the calling or another thread, which stands for `ticks`; 0: for the walk alone. 0 or -errno. */
int sp_tick_send(struct sp_tick *tick, unsigned ticks);

/* The sampler thread's pause until its next look: the interval, jittered. */
uint64_t sp_tick_pause_ns(uint64_t interval_ns, uint64_t *random);

/* Tries a source for real on the calling thread: 0 or -errno of the call that refused. */
int sp_tick_try(enum sp_tick_source source);

/* The kernel's tick in Hz, measured from the resolution of the coarse clock. */
int sp_kernel_hz(void);

/* kernel.perf_event_paranoid, or -100 if it can't be read. */
int sp_perf_paranoid(void);

/* perf (tick_linux_perf.c) */
int sp_perf_arm(struct sp_tick *tick);
void sp_perf_disarm(struct sp_tick *tick);
void sp_perf_forget(struct sp_tick *tick);
bool sp_perf_had(int fd); /* Context: signal handler. Could a signal from `fd` be one of ours that comes late? */
bool sp_perf_alive(const struct sp_tick *tick);
void sp_perf_set_period(struct sp_tick *tick, uint64_t period_ns);
void sp_perf_pause(struct sp_tick *tick);
void sp_perf_resume(struct sp_tick *tick, uint64_t first_ns);

/* timer (tick_linux_timer.c) */
int sp_timer_arm(struct sp_tick *tick);
void sp_timer_disarm(struct sp_tick *tick);
/* The next tick in `first_ns`, and then every interval; 0: none. 0 or -errno. */
int sp_timer_set(struct sp_tick *tick, uint64_t first_ns);

#endif
