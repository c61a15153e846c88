/* What the life-cycle tests need and Python can't do: threads born in C, handlers in C, storms of signals, a look at
 * how much stack a handler used. Built by the tests with the system's compiler; no part of the product. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- threads */

static atomic_int alive;

static void burn_ns(uint64_t cpu_ns)
{
    uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + cpu_ns;
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end) {
    }
}

void burn_ms(int cpu_ms)
{
    burn_ns((uint64_t)cpu_ms * 1000000u);
}

static void *burner(void *cpu_ms)
{
    burn_ns((uint64_t)(uintptr_t)cpu_ms * 1000000u);
    atomic_fetch_sub(&alive, 1);
    return NULL;
}

/* Starts `n` detached threads that each use that much CPU. `blocked`: with every signal blocked. */
int start_burners(int n, int cpu_ms, int blocked)
{
    sigset_t all, before;
    sigfillset(&all);
    if (blocked) {
        pthread_sigmask(SIG_SETMASK, &all, &before);
    }
    int started = 0;
    for (; started < n; started++) {
        pthread_t thread;
        atomic_fetch_add(&alive, 1);
        if (pthread_create(&thread, NULL, burner, (void *)(uintptr_t)cpu_ms) != 0) {
            atomic_fetch_sub(&alive, 1);
            break;
        }
        pthread_detach(thread);
    }
    if (blocked) {
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return started;
}

int burners_alive(void)
{
    return atomic_load(&alive);
}

/* ---- a library that ends its threads before a fork, as OpenBLAS does */

static pthread_t pool;
static atomic_int pool_runs, pool_stop;
static atomic_ullong pool_cpu_ns;

static void *pool_main(void *unused)
{
    while (!atomic_load(&pool_stop)) {
        burn_ns(100000);
        atomic_store(&pool_cpu_ns, clock_ns(CLOCK_THREAD_CPUTIME_ID));
    }
    return unused;
}

static void pool_shutdown(void)
{
    if (atomic_exchange(&pool_runs, 0)) {
        atomic_store(&pool_stop, 1);
        pthread_join(pool, NULL);
    }
}

static void pool_start(void)
{
    atomic_store(&pool_stop, 0);
    atomic_store(&pool_cpu_ns, 0);
    atomic_store(&pool_runs, pthread_create(&pool, NULL, pool_main, NULL) == 0);
}

int pool_that_ends_before_fork(void)
{
    pool_start();
    return pthread_atfork(pool_shutdown, pool_start, NULL);
}

/* Waits until the pool has used that much CPU from now on. */
void pool_burns(int cpu_ms)
{
    uint64_t end_ns = atomic_load(&pool_cpu_ns) + (uint64_t)cpu_ms * 1000000u;
    while (atomic_load(&pool_cpu_ns) < end_ns) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
}

/* ---- a thread that is long in dying: its keys' destructors use CPU after every other's are done */

static pthread_key_t late_key;

static void die_slowly(void *left)
{
    burn_ns(20000000);
    if (left > (void *)1) {
        pthread_setspecific(late_key, (char *)left - 1); /* once more, in the next round */
    }
}

static void *slow_to_die(void *unused)
{
    pthread_setspecific(late_key, (void *)3);
    burn_ns(20000000);
    return unused;
}

/* Runs `n` such threads, one starting every few milliseconds. */
int run_slow_to_die(int n)
{
    pthread_t threads[64];
    pthread_key_create(&late_key, die_slowly);
    for (int i = 0; i < n; i++) {
        if (pthread_create(&threads[i], NULL, slow_to_die, NULL) != 0) {
            return -1;
        }
        nanosleep(&(struct timespec){0, 7000000}, NULL);
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_key_delete(late_key);
    return 0;
}

/* ---- handlers of the application's own */

static atomic_int caught, last_code, last_value;

static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    atomic_fetch_add(&caught, 1);
    atomic_store(&last_code, info->si_code);
    atomic_store(&last_value, info->si_value.sival_int);
}

static void on_plain(int signo)
{
    (void)signo;
    atomic_fetch_add(&caught, 1);
}

/* 1: SA_SIGINFO, 0: plain handler, -1: SIG_IGN, -2: SIG_DFL */
int catch_signal(int signo, int kind)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    if (kind > 0) {
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
    } else {
        action.sa_handler = kind == 0 ? on_plain : kind == -1 ? SIG_IGN : SIG_DFL;
    }
    sigaddset(&action.sa_mask, SIGUSR2); /* so that the mask is seen to come back too */
    return sigaction(signo, &action, NULL);
}

int caught_signals(void)
{
    return atomic_load(&caught);
}

int last_caught_code(void)
{
    return atomic_load(&last_code);
}

int last_caught_value(void)
{
    return atomic_load(&last_value);
}

int queue_to(int pid, int signo, int value)
{
    return sigqueue(pid, signo, (union sigval){.sival_int = value});
}

/* Sends `signo` to the process `per_second` times a second; returns how many were sent. */
int storm(int pid, int signo, int per_second, int ms)
{
    uint64_t start = clock_ns(CLOCK_MONOTONIC), end = start + (uint64_t)ms * 1000000u;
    int sent = 0;
    for (uint64_t now = start; now < end; now = clock_ns(CLOCK_MONOTONIC)) {
        while ((uint64_t)sent * 1000000000u < (now - start) * (uint64_t)per_second) {
            if (kill(pid, signo) != 0) {
                return sent;
            }
            sent++;
        }
        nanosleep(&(struct timespec){0, 200000}, NULL);
    }
    return sent;
}

/* ---- calls that no one restarts: how often were they interrupted */

int naps_interrupted(int naps, int nap_ms, int busy_us)
{
    int interrupted = 0;
    for (int i = 0; i < naps; i++) {
        burn_ns((uint64_t)busy_us * 1000u);
        if (poll(NULL, 0, nap_ms) < 0 && errno == EINTR) {
            interrupted++;
        }
    }
    return interrupted;
}

/* ---- the stack that a handler uses: painted before, looked at after */

#define PAINT 0xa5
static uint8_t *alternate;
static size_t alternate_bytes;

static ptrdiff_t deepest(void)
{
    for (size_t i = 0; i < alternate_bytes; i++) {
        if (alternate[i] != PAINT) {
            return (ptrdiff_t)(alternate_bytes - i);
        }
    }
    return 0;
}

static atomic_long empty_at;

static void empty_handler(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)info;
    (void)context;
    uint8_t here;
    atomic_store(&empty_at, (long)((alternate + alternate_bytes) - (uint8_t *)&here));
}

/* Gives the calling thread a painted signal stack; returns what an empty handler leaves of it, which is the kernel's. */
long paint_signal_stack(size_t bytes)
{
    alternate = malloc(bytes);
    alternate_bytes = bytes;
    stack_t stack = {.ss_sp = alternate, .ss_size = bytes};
    if (alternate == NULL || sigaltstack(&stack, NULL) != 0) {
        return -1;
    }
    memset(alternate, PAINT, bytes);
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = empty_handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGUSR1, &action, &before);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &before, NULL);
    memset(alternate, PAINT, bytes);
    return atomic_load(&empty_at);
}

long signal_stack_used(void)
{
    return (long)deepest();
}

void unpaint_signal_stack(void)
{
    stack_t stack = {.ss_flags = SS_DISABLE};
    sigaltstack(&stack, NULL);
    free(alternate);
    alternate = NULL;
    alternate_bytes = 0;
}
