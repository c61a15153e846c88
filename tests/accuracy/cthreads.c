/* Threads that have never heard of Python: they burn CPU time under names of their own. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <time.h>

struct job {
    pthread_t thread;
    int number;
    long long ns, used;
};

static long long own_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void *burn(void *arg)
{
    struct job *job = arg;
    char name[16];
    snprintf(name, sizeof name, "c-burner-%d", job->number);
    pthread_setname_np(pthread_self(), name);
    volatile unsigned x = 1;
    do {
        for (int i = 0; i < 100000; i++) {
            x = x * 1664525u + 1013904223u;
        }
        job->used = own_cpu_ns();
    } while (job->used < job->ns);
    job->used = own_cpu_ns();
    return NULL;
}

/* Starts `n` (8 at most) threads that use `ns` of CPU time each, waits for them, and tells what each used. */
int burn_in_threads(int n, long long ns, long long *used)
{
    struct job jobs[8];
    for (int i = 0; i < n; i++) {
        jobs[i].number = i;
        jobs[i].ns = ns;
        if (pthread_create(&jobs[i].thread, NULL, burn, &jobs[i]) != 0) {
            return -1;
        }
    }
    for (int i = 0; i < n; i++) {
        pthread_join(jobs[i].thread, NULL);
        used[i] = jobs[i].used;
    }
    return 0;
}
