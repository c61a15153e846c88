/* The clocks, all in nanoseconds. Context: any, handler included. */
#ifndef SP_OS_CLOCK_H
#define SP_OS_CLOCK_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

static inline uint64_t sp_clock_ns(clockid_t id)
{
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0) {
        return 0;
    }
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t sp_now_ns(void)
{
    return sp_clock_ns(CLOCK_MONOTONIC);
}

/* CPU time of the calling thread. */
static inline uint64_t sp_own_cpu_ns(void)
{
    return sp_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline uint64_t sp_process_cpu_ns(void)
{
    return sp_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* The id of any thread's CPU clock, from its tid: the kernel's make_thread_cpuclock(tid, CPUCLOCK_SCHED)
 * (include/linux/posix-timers.h); what pthread_getcpuclockid() gives for a pthread_t. */
static inline clockid_t sp_thread_clock(pid_t tid)
{
    return (clockid_t)((~(unsigned)tid << 3) | 6u);
}

/* CPU time of the thread `tid` of this process; 0 if it is gone. */
static inline uint64_t sp_thread_cpu_ns(pid_t tid)
{
    return sp_clock_ns(sp_thread_clock(tid));
}

#endif
