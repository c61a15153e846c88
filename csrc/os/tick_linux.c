#include "tick.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "threads.h"

#define SOON_NS 40000u
/* Late looks in a row at one thread that ask it nothing. */
#define MOST_PASSED_OVER 16u

const char *sp_tick_name(enum sp_tick_source source)
{
    static const char *const names[] = {"none", "perf", "thread", "timer"};
    return names[source];
}

int sp_tick_arm(struct sp_tick *tick, enum sp_tick_source source, pid_t tid, uint64_t interval_ns, uint64_t cookie, uint64_t seed,
                uint64_t cpu_ns)
{
    memset(tick, 0, sizeof *tick);
    tick->fd = -1;
    tick->tid = tid;
    tick->cookie = cookie;
    tick->last_cpu_ns = tick->polled_cpu_ns = tick->armed_cpu_ns = cpu_ns;
    tick->first_ns = sp_schedule_start(&tick->schedule, interval_ns, seed, cpu_ns);
    tick->source = source; /* the first tick may come before this function returns */
    int err = 0;
    if (source == SP_TICK_PERF) {
        err = sp_perf_arm(tick);
    } else if (source == SP_TICK_TIMER) {
        err = sp_timer_arm(tick);
    } else {
        sp_tick_publish(tick);
    }
    if (err != 0) {
        tick->source = SP_TICK_NONE;
    }
    return err;
}

void sp_tick_disarm(struct sp_tick *tick)
{
    if (tick->source == SP_TICK_PERF) {
        sp_perf_disarm(tick);
    } else if (tick->source == SP_TICK_TIMER) {
        sp_timer_disarm(tick);
    }
    tick->source = SP_TICK_NONE;
}

void sp_tick_pause(struct sp_tick *tick)
{
    tick->paused_cpu_ns = sp_own_cpu_ns();
    if (tick->source == SP_TICK_PERF) {
        sp_perf_pause(tick);
    } else if (tick->source == SP_TICK_TIMER) {
        sp_timer_set(tick, 0);
    }
}

void sp_tick_resume(struct sp_tick *tick)
{
    uint64_t cpu_ns = sp_own_cpu_ns();
    if (tick->source == SP_TICK_PERF) {
        sp_perf_resume(tick, sp_schedule_left(&tick->schedule, cpu_ns)); /* how much was missed is told by the CPU clock */
    } else if (tick->source == SP_TICK_TIMER) {
        uint64_t interval = tick->schedule.interval_ns, *random = &tick->schedule.random;
        uint64_t missed = (cpu_ns - tick->paused_cpu_ns + sp_random(random) % interval) / interval;
        atomic_fetch_add_explicit(&tick->asked, (unsigned)missed, memory_order_relaxed);
        sp_timer_set(tick, 1 + sp_random(random) % interval);
    }
}

void sp_tick_forget(struct sp_tick *tick)
{
    /* POSIX timers are not inherited; of a perf event the child has a descriptor to the parent's, which it must close
     * without switching it off. */
    if (tick->source == SP_TICK_PERF) {
        sp_perf_forget(tick);
    }
    tick->source = SP_TICK_NONE;
}

bool sp_tick_alive(const struct sp_tick *tick)
{
    return tick->source != SP_TICK_PERF || sp_perf_alive(tick);
}

uint64_t sp_tick_cpu_ns(const struct sp_tick *tick)
{
    uint64_t cpu_ns = sp_thread_cpu_ns(tick->tid);
    uint64_t counted;
    if (cpu_ns == 0 && tick->source == SP_TICK_PERF && sp_perf_alive(tick)
        && read(tick->fd, &counted, sizeof counted) == sizeof counted) {
        return tick->armed_cpu_ns + counted; /* the event outlives its thread */
    }
    return cpu_ns;
}

static bool by_value(const struct sp_delivery *d)
{
    return d->info->si_code == SI_TIMER || (d->info->si_code == SI_QUEUE && d->info->si_pid == getpid());
}

static bool by_descriptor(const struct sp_delivery *d)
{
    return d->info->si_code == POLL_IN || d->info->si_code == POLL_HUP;
}

bool sp_tick_is(const struct sp_tick *tick, const struct sp_delivery *d)
{
    if (!sp_tick_ready(tick)) {
        return false;
    }
    if (by_value(d)) {
        return (uint64_t)(uintptr_t)d->info->si_value.sival_ptr == tick->cookie;
    }
    return tick->source == SP_TICK_PERF && by_descriptor(d) && d->info->si_fd == tick->fd;
}

bool sp_tick_is_any(const struct sp_delivery *d, uint64_t cookie_mask, uint64_t cookie_bits)
{
    if (by_value(d)) {
        return ((uint64_t)(uintptr_t)d->info->si_value.sival_ptr & cookie_mask) == cookie_bits;
    }
    return by_descriptor(d) && sp_perf_had(d->info->si_fd);
}

/* CPU time that the last handler took, where that is much of an interval: the next tick is then put off for twice as long, or
 * it would be there when the handler returns, and the program would never get on. The time put off is merged ticks, of which
 * none is lost. */
static uint64_t slow_handler_ns(const struct sp_tick *tick)
{
    uint64_t end_ns = sp_signal_slow_end();
    uint64_t took = end_ns > tick->last_cpu_ns ? end_ns - tick->last_cpu_ns : 0;
    return took > tick->schedule.interval_ns / 4 ? took : 0;
}

static uint32_t count_perf(struct sp_tick *tick, uint64_t cpu_ns)
{
    uint64_t put_off_ns = 2 * slow_handler_ns(tick), set_ns;
    uint32_t ticks = sp_schedule_tick(&tick->schedule, cpu_ns, put_off_ns, &set_ns);
    if (ticks > 0) {
        tick->last_cpu_ns = cpu_ns;
    }
    if (set_ns > 0) {
        sp_perf_set_period(tick, set_ns);
    }
    return ticks;
}

uint32_t sp_tick_count(struct sp_tick *tick, const struct sp_delivery *d, uint64_t cpu_ns)
{
    if (d->info->si_code == SI_TIMER) {
        uint32_t paused = atomic_exchange_explicit(&tick->asked, 0, memory_order_relaxed);
        return 1 + paused + (d->info->si_overrun > 0 ? (uint32_t)d->info->si_overrun : 0);
    }
    if (d->info->si_code == SI_QUEUE) {
        uint32_t asked = atomic_exchange_explicit(&tick->asked, 0, memory_order_relaxed);
        atomic_store_explicit(&tick->quiet_until_ns, cpu_ns + 2 * slow_handler_ns(tick), memory_order_relaxed);
        tick->last_cpu_ns = cpu_ns;
        return asked; /* none: the signal before took them along, or it asks for a walk alone */
    }
    return count_perf(tick, cpu_ns);
}

void sp_tick_soon(struct sp_tick *tick, uint32_t tries)
{
    if (tick->source != SP_TICK_PERF) {
        return;
    }
    /* Longer than the way out of the handler takes, or the next tick would find the thread at the same instruction. */
    tick->schedule.goes_on = false;
    sp_perf_set_period(tick, (uint64_t)SOON_NS << tries);
}

int sp_tick_send(struct sp_tick *tick, unsigned ticks)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = SP_SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(uintptr_t)tick->cookie;
    atomic_fetch_add_explicit(&tick->asked, ticks, memory_order_relaxed);
    return syscall(SYS_rt_tgsigqueueinfo, getpid(), tick->tid, SP_SIGNAL, &info) == 0 ? 0 : -errno;
}

bool sp_tick_pass_over(struct sp_tick *tick, bool late)
{
    tick->passed_over = late && tick->passed_over < MOST_PASSED_OVER ? tick->passed_over + 1 : 0;
    return tick->passed_over > 0;
}

void sp_tick_poll(struct sp_tick *tick, unsigned *look_ups, bool late)
{
    uint64_t first = sp_thread_cpu_ns(tick->tid);
    if (first == 0 || first == tick->polled_cpu_ns) {
        return; /* gone, or slept all the time since the last look */
    }
    /* The clock of a thread on a processor moves between any two readings. One that stands still belongs to a thread
     * that sleeps, whose system call no signal may interrupt; to one that waits for a processor, where it may wait long
     * at a place that it left long ago (a loaded machine puts threads aside on its own tick, so that these places are
     * the same again and again); or to one that this very thread has just put aside, which counts as running. */
    uint64_t second = sp_thread_cpu_ns(tick->tid);
    tick->polled_cpu_ns = second;
    if (second == first) {
        if (sp_tick_pass_over(tick, late) || *look_ups == 0) {
            return;
        }
        (*look_ups)--;
        if (!sp_thread_displaced(tick->tid)) {
            return;
        }
    }
    tick->passed_over = 0;
    if (second < atomic_load_explicit(&tick->quiet_until_ns, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&tick->asked, 1, memory_order_relaxed);
        return;
    }
    sp_tick_send(tick, 1);
}

uint64_t sp_tick_pause_ns(uint64_t interval_ns, uint64_t *random)
{
    /* [0.5, 1.5): wide, because this clock is the program's own wall clock, on which servers wake too */
    return interval_ns / 2 + sp_random(random) % (interval_ns + 1);
}

int sp_tick_try(enum sp_tick_source source)
{
    struct sp_tick tick;
    if (source == SP_TICK_THREAD) {
        /* signal 0 asks for permission only */
        return syscall(SYS_rt_tgsigqueueinfo, getpid(), sp_gettid(), 0, &(siginfo_t){.si_code = SI_QUEUE}) == 0 ? 0 : -errno;
    }
    /* far beyond what this thread will use before it is disarmed: no tick comes */
    int err = sp_tick_arm(&tick, source, sp_gettid(), 3600000000000ull, 0, 0x9e3779b97f4a7c15ull, sp_own_cpu_ns());
    if (err == 0) {
        sp_tick_disarm(&tick);
    }
    return err;
}

int sp_kernel_hz(void)
{
    struct timespec ts;
    if (clock_getres(CLOCK_MONOTONIC_COARSE, &ts) != 0 || ts.tv_nsec <= 0) {
        return 0;
    }
    return (int)((1000000000L + ts.tv_nsec / 2) / ts.tv_nsec);
}

int sp_perf_paranoid(void)
{
    char text[16];
    int fd = open("/proc/sys/kernel/perf_event_paranoid", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -100;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) {
        return -100;
    }
    text[n] = '\0';
    return atoi(text);
}
