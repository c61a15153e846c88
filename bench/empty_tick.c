/* The floor: the same tick that spprof uses, on each thread that calls empty_start(), with a handler that reads the CPU clock and returns.
 * What a program costs under it is the price of being interrupted, which no in-process sampler can go below. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;
static int threads; /* that have it */
static __thread int fd = -1, timer_id = -1;
static __thread volatile long long last, calls;

static void handler(int signo, siginfo_t *info, void *context)
{
    struct timespec ts;
    (void)signo;
    (void)info;
    (void)context;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    last = ts.tv_sec * 1000000000LL + ts.tv_nsec;
    calls++;
}

static int start_perf(long long interval_ns, int tid)
{
    struct perf_event_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.size = sizeof attr;
    attr.type = PERF_TYPE_SOFTWARE;
    attr.config = PERF_COUNT_SW_TASK_CLOCK;
    attr.sample_period = (unsigned long long)interval_ns;
    attr.disabled = 1;
    attr.exclude_hv = 1;
    fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    struct f_owner_ex owner = {F_OWNER_TID, tid};
    fcntl(fd, F_SETSIG, SIGURG);
    fcntl(fd, F_SETOWN_EX, &owner);
    fcntl(fd, F_SETFL, O_RDONLY | O_NONBLOCK | O_ASYNC);
    return ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0 ? 0 : -errno;
}

static int start_timer(long long interval_ns, int tid)
{
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGURG;
    event.sigev_notify_thread_id = tid;
    if (syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &timer_id) != 0) {
        return -errno;
    }
    struct timespec interval = {interval_ns / 1000000000, interval_ns % 1000000000};
    struct itimerspec spec = {interval, interval};
    return syscall(SYS_timer_settime, timer_id, 0, &spec, NULL) == 0 ? 0 : -errno;
}

/* 0 or -errno. */
int empty_start(int perf, long long interval_ns)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    calls = 0;
    pthread_mutex_lock(&lock);
    int err = threads++ == 0 && sigaction(SIGURG, &action, &before) != 0 ? -errno : 0;
    pthread_mutex_unlock(&lock);
    if (err != 0) {
        return err;
    }
    int tid = (int)syscall(SYS_gettid);
    return perf ? start_perf(interval_ns, tid) : start_timer(interval_ns, tid);
}

/* The number of ticks. */
long long empty_stop(void)
{
    if (fd >= 0) {
        ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
        close(fd);
        fd = -1;
    }
    if (timer_id >= 0) {
        syscall(SYS_timer_delete, timer_id);
        timer_id = -1;
    }
    pthread_mutex_lock(&lock);
    if (--threads == 0) {
        sigaction(SIGURG, &before, NULL);
    }
    pthread_mutex_unlock(&lock);
    return calls;
}
