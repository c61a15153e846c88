#include "threads.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* glibc keeps the values of the first 32 keys in the thread's own control block, where setting one is a store; later
 * keys may allocate (nptl/pthread_setspecific.c). musl stores all of them so. */
#define KEYS_WITHOUT_ALLOCATION 32

static pthread_key_t exit_key;
static bool exit_key_made;

pid_t sp_gettid(void)
{
    return (pid_t)syscall(SYS_gettid);
}

int sp_lowest_descriptor(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 4096) {
        return 2048;
    }
    return (int)(limit.rlim_cur - limit.rlim_cur / SP_DESCRIPTOR_SHARE);
}

int sp_threads_count(void)
{
    struct stat st;
    if (stat("/proc/self/task", &st) != 0) {
        return -errno;
    }
    return (int)st.st_nlink - 2;
}

/* The list of threads is looked at twice a second and more: opened once, under a high number, so that a program that closes
 * descriptor 0 and opens a file finds 0 free, whatever moment it chooses. */
static struct {
    int fd;
    dev_t dev;
    ino_t ino;
} list = {.fd = -1};

/* A program may close descriptors that are not its own, and open others under the same number. */
static bool list_is_open(void)
{
    struct stat st;
    return list.fd >= 0 && fstat(list.fd, &st) == 0 && st.st_dev == list.dev && st.st_ino == list.ino;
}

static int list_open(void)
{
    if (list_is_open()) {
        return lseek(list.fd, 0, SEEK_SET) == 0 ? 0 : -errno;
    }
    int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int high = fcntl(fd, F_DUPFD_CLOEXEC, sp_lowest_descriptor());
    if (high >= 0) {
        close(fd);
        fd = high;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int err = errno;
        close(fd);
        return -err;
    }
    list.fd = fd;
    list.dev = st.st_dev;
    list.ino = st.st_ino;
    return 0;
}

int sp_threads_open(void)
{
    return list_open();
}

void sp_threads_close(void)
{
    if (list_is_open()) {
        close(list.fd);
    }
    list.fd = -1;
}

struct entry { /* linux_dirent64 of getdents64(2) */
    uint64_t ino;
    int64_t offset;
    unsigned short bytes;
    unsigned char type;
    char name[];
};

int sp_threads_each(void (*visit)(pid_t tid, void *ctx), void *ctx)
{
    int err = list_open();
    if (err != 0) {
        return err;
    }
    _Alignas(struct entry) char page[4096];
    long bytes;
    while ((bytes = syscall(SYS_getdents64, list.fd, page, sizeof page)) > 0) {
        const struct entry *entry;
        for (long at = 0; at < bytes; at += entry->bytes) {
            entry = (const struct entry *)(const void *)(page + at);
            if (entry->name[0] != '.') {
                visit((pid_t)atoi(entry->name), ctx);
            }
        }
    }
    return bytes < 0 ? -errno : 0;
}

ssize_t sp_task_file(pid_t tid, const char *file, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", (int)tid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        out[0] = '\0';
        return -1;
    }
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n;
}

void sp_thread_comm(pid_t tid, char out[16])
{
    char text[32];
    sp_task_file(tid, "comm", text, sizeof text);
    text[strcspn(text, "\n")] = '\0';
    snprintf(out, 16, "%.15s", text);
}

char sp_thread_state(pid_t tid)
{
    char text[128];
    if (sp_task_file(tid, "stat", text, sizeof text) <= 0) {
        return '\0';
    }
    /* "tid (comm) S ...": comm may hold anything, so the last parenthesis counts */
    const char *end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' ? end[2] : '\0';
}

bool sp_leader_has_ended(pid_t tid)
{
    return tid == getpid() && sp_thread_state(tid) == 'Z';
}

static bool is_runnable(pid_t tid)
{
    return sp_thread_state(tid) == 'R';
}

/* Up to when the scheduler has charged the thread for its processor, in ns of that processor's clock; 0 if the kernel
 * does not tell. A thread that is switched to begins exactly where the one before it ended. */
static uint64_t charged_until_ns(pid_t tid)
{
    char text[256];
    if (sp_task_file(tid, "sched", text, sizeof text) <= 0) {
        return 0;
    }
    /* "se.exec_start   :   5744240.570636": milliseconds and their millionths */
    const char *at = strstr(text, "se.exec_start");
    at = at == NULL ? NULL : strchr(at, ':');
    char *point = NULL;
    uint64_t ms = at == NULL ? 0 : strtoull(at + 1, &point, 10);
    return point == NULL || *point != '.' ? 0 : ms * 1000000u + strtoull(point + 1, NULL, 10);
}

bool sp_thread_displaced(pid_t tid)
{
    uint64_t own = charged_until_ns(sp_gettid());
    if (own == 0) {
        cpu_set_t set; /* where there is one processor, whoever could run was running */
        return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1 && is_runnable(tid);
    }
    return charged_until_ns(tid) == own && is_runnable(tid);
}

struct pending_search {
    int signo;
    bool blocked_too;
    bool found;
};

static uint64_t status_mask(const char *text, const char *field)
{
    const char *at = strstr(text, field);
    return at == NULL ? 0 : strtoull(at + strlen(field), NULL, 16);
}

static void look_for_pending(pid_t tid, void *ctx)
{
    struct pending_search *search = ctx;
    char text[4096];
    if (search->found || sp_task_file(tid, "status", text, sizeof text) <= 0) {
        return;
    }
    uint64_t deliverable = status_mask(text, "SigPnd:") & ~(search->blocked_too ? 0 : status_mask(text, "SigBlk:"));
    search->found = (deliverable >> (search->signo - 1)) & 1;
}

bool sp_threads_signal_pending(int signo, bool blocked_too)
{
    struct pending_search search = {signo, blocked_too, false};
    sp_threads_each(look_for_pending, &search);
    return search.found;
}

int sp_thread_spawn(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    int err = pthread_create(thread, &attr, run, arg);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err == 0) {
        pthread_setname_np(*thread, name);
    }
    return -err;
}

void sp_futex_wait(atomic_uint *word, unsigned expected, uint64_t timeout_ns)
{
    struct timespec ts = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};
    if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &ts, NULL, 0) != 0 && errno != EAGAIN && errno != ETIMEDOUT
        && errno != EINTR) {
        nanosleep(&ts, NULL); /* no futex here: a plain pause keeps the loop from spinning */
    }
}

void sp_futex_wake(atomic_uint *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void sp_thread_own_files(void)
{
#ifdef SYS_close_range
    syscall(SYS_close_range, 0u, ~0u, 2u /* CLOSE_RANGE_UNSHARE */); /* Linux 5.9; without it files are shared as ever */
#endif
}

unsigned sp_processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

static cpu_set_t sampler_may_use; /* of spprof's own thread, there is one */

void sp_thread_precise(void)
{
    if (sched_getaffinity(0, sizeof sampler_may_use, &sampler_may_use) != 0) {
        CPU_ZERO(&sampler_may_use); /* more processors than the set holds: never a lack of room */
    }
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* the default lets a sleep be 50 us late */
    /* Asks for short turns, from Linux 6.12 on: who wants little at a time is let in at once. Others ignore it. */
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t slice_ns, deadline_ns, period_ns;
    } attr = {.size = sizeof attr, .policy = SCHED_OTHER, .nice = getpriority(PRIO_PROCESS, 0), .slice_ns = 100000};
    syscall(SYS_sched_setattr, 0, &attr, 0);
}

void sp_thread_make_room(void)
{
    cpu_set_t others = sampler_may_use;
    int here = sched_getcpu();
    if (here >= 0 && here < CPU_SETSIZE) {
        CPU_CLR(here, &others);
    }
    if (CPU_COUNT(&others) > 0) {
        sched_setaffinity(0, sizeof others, &others);
    }
}

int sp_exit_hook_init(void (*at_exit)(void *value))
{
    if (exit_key_made) {
        return 0;
    }
    int err = pthread_key_create(&exit_key, at_exit);
    exit_key_made = err == 0;
    return -err;
}

bool sp_exit_hook_in_handler(void)
{
    return exit_key_made && exit_key < KEYS_WITHOUT_ALLOCATION;
}

void sp_exit_hook_set(void *value)
{
    if (exit_key_made) {
        pthread_setspecific(exit_key, value);
    }
}
