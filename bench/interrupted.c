/* Threads that work and sleep in turns, and count the sleeps that a signal ended early; and the plain way of sampling elapsed
 * time to compare with: a thread that signals all others on every tick of its clock. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls, early;
static atomic_int over, signals;
static atomic_long interval_ns;
static int own_tid;

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

/* One call that sleeps for 3 ms, by turns in four ways. */
static int sleep_once(long n, int epoll)
{
    struct timespec t = {0, 3000000};
    struct epoll_event event;
    switch (n % 4) {
    case 0:
        return nanosleep(&t, NULL);
    case 1:
        return poll(NULL, 0, 3);
    case 2:
        return pselect(0, NULL, NULL, NULL, &t, NULL);
    default:
        return epoll_wait(epoll, &event, 1, 3);
    }
}

static void *worker(void *arg)
{
    double seconds = *(double *)arg;
    int epoll = epoll_create1(0);
    long n = 0;
    for (double end = now() + seconds; now() < end; n++) {
        work(0.0003);
        if (sleep_once(n, epoll) != 0 && errno == EINTR) {
            atomic_fetch_add(&early, 1);
        }
        atomic_fetch_add(&calls, 1);
    }
    close(epoll);
    return NULL;
}

/* Runs `threads` of them for `seconds`; out: calls that slept, and how many ended early. */
void run(int threads, double seconds, long *out)
{
    pthread_t ids[64];
    atomic_store(&calls, 0);
    atomic_store(&early, 0);
    for (int i = 0; i < threads; i++) {
        pthread_create(&ids[i], NULL, worker, &seconds);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
    out[0] = atomic_load(&calls);
    out[1] = atomic_load(&early);
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
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
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
