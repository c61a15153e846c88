/* Threads that work and sleep in turns, and count the sleeps that a signal ended early; and the plain way of sampling elapsed
 * time to compare with: a thread that signals all others on every tick of its clock. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WORK_S 0.0003
#define SLEEP_MS 3
#define MOST_THREADS 64
#define KINDS 6

/* Of each kind of call, in the order of sleep_once(). */
static atomic_long calls[KINDS], early[KINDS];
static atomic_int over, signals;
static atomic_long interval_ns;
static int own_tid;

/* A worker, and the pipe on which it waits until the feeder finds that it has waited long enough. */
struct worker {
    int pipe[2];
    int epoll;
    double seconds;
    _Atomic double reads_since; /* 0: it does not */
};
static struct worker workers[MOST_THREADS];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void work(double seconds)
{
    for (double end = now() + seconds; now() < end;) {
    }
}

/* One call that sleeps for 3 ms, by turns in six ways; its result, -1 with EINTR if a signal ended it. */
static long sleep_once(int kind, struct worker *w)
{
    struct timespec t = {0, SLEEP_MS * 1000000};
    struct epoll_event event;
    uint32_t word = 0;
    char byte;
    switch (kind) {
    case 0:
        return nanosleep(&t, NULL);
    case 1:
        return poll(NULL, 0, SLEEP_MS);
    case 2:
        return pselect(0, NULL, NULL, NULL, &t, NULL);
    case 3:
        return epoll_wait(w->epoll, &event, 1, SLEEP_MS);
    case 4:
        return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
    default:
        atomic_store(&w->reads_since, now());
        long result = read(w->pipe[0], &byte, 1);
        if (result != 1) { /* what the feeder wrote, or will write, is taken before the next turn */
            int reason = errno;
            while (read(w->pipe[0], &byte, 1) != 1) {
            }
            errno = reason;
        }
        return result;
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    long n = 0;
    for (double end = now() + w->seconds; now() < end; n++) {
        int kind = (int)(n % KINDS);
        work(WORK_S);
        if (sleep_once(kind, w) < 0 && errno == EINTR) {
            atomic_fetch_add(&early[kind], 1);
        }
        atomic_fetch_add(&calls[kind], 1);
    }
    return NULL;
}

/* Ends the reads on pipes. No signal reaches it, so that its own sleeps are of the right length. */
static atomic_int feeder_over;

static void *feeder_main(void *arg)
{
    int threads = *(int *)arg;
    while (!atomic_load(&feeder_over)) {
        struct timespec t = {0, 500000};
        nanosleep(&t, NULL);
        for (int i = 0; i < threads; i++) {
            double since = atomic_load(&workers[i].reads_since);
            if (since != 0 && now() - since >= SLEEP_MS / 1e3) {
                atomic_store(&workers[i].reads_since, 0);
                if (write(workers[i].pipe[1], "", 1) != 1) {
                    abort();
                }
            }
        }
    }
    return NULL;
}

static void start_feeder(pthread_t *id, int *threads)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&feeder_over, 0);
    pthread_create(id, NULL, feeder_main, threads);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Runs `threads` (at most 64) of them for `seconds`; out: of each kind the calls that slept, and how many ended early.
 * 0, or -1 if there are no descriptors for them. */
int run(int threads, double seconds, long *out)
{
    pthread_t ids[MOST_THREADS], feeder;
    for (int kind = 0; kind < KINDS; kind++) {
        atomic_store(&calls[kind], 0);
        atomic_store(&early[kind], 0);
    }
    for (int i = 0; i < threads; i++) {
        workers[i].seconds = seconds;
        workers[i].epoll = epoll_create1(0);
        atomic_store(&workers[i].reads_since, 0);
        if (workers[i].epoll < 0 || pipe(workers[i].pipe) != 0) {
            return -1;
        }
    }
    start_feeder(&feeder, &threads);
    for (int i = 0; i < threads; i++) {
        pthread_create(&ids[i], NULL, worker_main, &workers[i]);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
    atomic_store(&feeder_over, 1);
    pthread_join(feeder, NULL);
    for (int i = 0; i < threads; i++) {
        close(workers[i].epoll);
        close(workers[i].pipe[0]);
        close(workers[i].pipe[1]);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        out[kind] = atomic_load(&calls[kind]);
        out[KINDS + kind] = atomic_load(&early[kind]);
    }
    return 0;
}

/* From now on the kernel starts no call over that the signal's handler interrupts: each of them is seen. */
int without_restart(int signo)
{
    struct sigaction action;
    if (sigaction(signo, NULL, &action) != 0) {
        return -1;
    }
    action.sa_flags &= ~SA_RESTART;
    return sigaction(signo, &action, NULL);
}

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

static pthread_t plain;

static void *plain_main(void *arg)
{
    (void)arg;
    own_tid = (int)syscall(SYS_gettid);
    while (!atomic_load(&over)) {
        struct timespec t = {0, atomic_load(&interval_ns)};
        nanosleep(&t, NULL);
        DIR *dir = opendir("/proc/self/task");
        struct dirent *entry;
        while (dir != NULL && (entry = readdir(dir)) != NULL) {
            int tid = atoi(entry->d_name);
            if (tid > 0 && tid != own_tid) {
                syscall(SYS_tgkill, getpid(), tid, SIGPROF);
            }
        }
        if (dir != NULL) {
            closedir(dir);
        }
    }
    return NULL;
}

void plain_start(long ns)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGPROF, &action, NULL);
    atomic_store(&over, 0);
    atomic_store(&interval_ns, ns);
    pthread_create(&plain, NULL, plain_main, NULL);
}

void plain_stop(void)
{
    atomic_store(&over, 1);
    pthread_join(plain, NULL);
}
