/* The perf source: one event a thread, PERF_COUNT_SW_TASK_CLOCK, whose overflow signals the thread.
 * Needs kernel.perf_event_paranoid <= 1, CAP_PERFMON or root, because time in the kernel must count too. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "threads.h"
#include "tick.h"

/* Threads beyond our share of the descriptors tick from another source. */
static atomic_int in_use;

/* The lowest and the highest number that a descriptor of ours ever had. */
static atomic_int lowest_used = INT_MAX, highest_used = -1;

int sp_perf_arm(struct sp_tick *tick)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        limit.rlim_cur = 65536;
    }
    if ((rlim_t)atomic_load(&in_use) >= limit.rlim_cur / SP_DESCRIPTOR_SHARE) {
        return -EMFILE;
    }
    struct perf_event_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.size = sizeof attr;
    attr.type = PERF_TYPE_SOFTWARE;
    attr.config = PERF_COUNT_SW_TASK_CLOCK;
    attr.sample_period = tick->first_ns;
    attr.disabled = 1;
    attr.exclude_hv = 1;
    int low = (int)syscall(SYS_perf_event_open, &attr, tick->tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (low < 0) {
        return -errno;
    }
    int fd = fcntl(low, F_DUPFD_CLOEXEC, sp_lowest_descriptor());
    if (fd < 0) {
        int err = errno;
        close(low);
        return -err;
    }
    close(low);
    struct f_owner_ex owner = {F_OWNER_TID, tick->tid};
    tick->fd = fd;
    if (fd < atomic_load(&lowest_used)) {
        atomic_store(&lowest_used, fd);
    }
    if (fd > atomic_load(&highest_used)) {
        atomic_store(&highest_used, fd);
    }
    if (fcntl(fd, F_SETSIG, SP_SIGNAL) != 0 || fcntl(fd, F_SETOWN_EX, &owner) != 0
        || fcntl(fd, F_SETFL, O_RDONLY | O_NONBLOCK | O_ASYNC) != 0 || ioctl(fd, PERF_EVENT_IOC_ID, &tick->fd_id) != 0) {
        int err = errno;
        close(fd);
        return -err;
    }
    sp_tick_publish(tick);
    if (ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) != 0) {
        int err = errno;
        close(fd);
        return -err;
    }
    atomic_fetch_add(&in_use, 1);
    return 0;
}

bool sp_perf_alive(const struct sp_tick *tick)
{
    uint64_t id;
    return ioctl(tick->fd, PERF_EVENT_IOC_ID, &id) == 0 && id == tick->fd_id;
}

bool sp_perf_had(int fd)
{
    if (fd < atomic_load(&lowest_used) || fd > atomic_load(&highest_used)) {
        return false;
    }
    /* Unless the program has its own file there by now, one that sends this very signal. */
    uint64_t id;
    if (fcntl(fd, F_GETSIG) != SP_SIGNAL || ioctl(fd, PERF_EVENT_IOC_ID, &id) == 0) {
        return true;
    }
    return fcntl(fd, F_GETSIG) != SP_SIGNAL; /* closed between the two by halt(): ours as well */
}

void sp_perf_forget(struct sp_tick *tick)
{
    atomic_fetch_sub(&in_use, 1);
    if (sp_perf_alive(tick)) {
        close(tick->fd);
    }
}

void sp_perf_disarm(struct sp_tick *tick)
{
    atomic_fetch_sub(&in_use, 1);
    /* A program may close descriptors that are not its own, and open others under the same number. */
    if (sp_perf_alive(tick)) {
        ioctl(tick->fd, PERF_EVENT_IOC_DISABLE, 0);
        close(tick->fd);
    }
}

void sp_perf_set_period(struct sp_tick *tick, uint64_t period_ns)
{
    ioctl(tick->fd, PERF_EVENT_IOC_PERIOD, &period_ns);
}

void sp_perf_pause(struct sp_tick *tick)
{
    if (sp_perf_alive(tick)) {
        ioctl(tick->fd, PERF_EVENT_IOC_DISABLE, 0);
    }
}

void sp_perf_resume(struct sp_tick *tick, uint64_t first_ns)
{
    if (sp_perf_alive(tick)) {
        ioctl(tick->fd, PERF_EVENT_IOC_PERIOD, &first_ns);
        ioctl(tick->fd, PERF_EVENT_IOC_ENABLE, 0);
    }
}
