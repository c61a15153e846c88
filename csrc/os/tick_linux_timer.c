/* The timer source: timer_create(2) on the thread's CPU clock, by the system call itself, because the id that the
 * kernel gives (0 is a good one) is all that is needed and a thread other than the caller is signalled. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "tick.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

int sp_timer_arm(struct sp_tick *tick)
{
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SP_SIGNAL;
    event.sigev_value.sival_ptr = (void *)(uintptr_t)tick->cookie;
    event.sigev_notify_thread_id = tick->tid;
    int id;
    if (syscall(SYS_timer_create, sp_thread_clock(tick->tid), &event, &id) != 0) {
        return -errno;
    }
    tick->timer = id;
    sp_tick_publish(tick);
    int err = sp_timer_set(tick, tick->first_ns);
    if (err != 0) {
        sp_timer_disarm(tick);
    }
    return err;
}

int sp_timer_set(struct sp_tick *tick, uint64_t first_ns)
{
    struct itimerspec spec = {timespec_of(tick->schedule.interval_ns), timespec_of(first_ns)};
    return syscall(SYS_timer_settime, tick->timer, 0, &spec, NULL) == 0 ? 0 : -errno;
}

void sp_timer_disarm(struct sp_tick *tick)
{
    syscall(SYS_timer_delete, tick->timer);
}
