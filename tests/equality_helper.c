/* The unwinder beside libunwind, at the same stop: wherever a timer's signal interrupts a program, both follow the stack from the interrupted
 * registers on, and are compared address by address. Built by the test together with the unwinder's sources; no part of the product.
 *
 * libunwind is looked for at run time. Its headers are not needed: what is declared here is its interface on x86-64. */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "codemap.h"
#include "native/unwind.h"

enum { MOST = 1024, UNW_RIP = 16, UNW_SIGNAL_FRAME = 1, DIFFERENCES = 20 };

struct difference {
    uint32_t at, ours_n, theirs_n;
    uintptr_t pc, ours, theirs;
};

struct equality {
    uint64_t stops, frames, equal, differences;
    struct difference first[DIFFERENCES];
};

static struct equality told;
static struct sp_budget budget = {.limit = 256 << 20};
static struct sp_codemap codemap;
static struct sp_stack stack;
static struct sp_memo memo;
static int (*init_local)(void *, void *, int);
static int (*step)(void *);
static int (*get_register)(void *, int, uintptr_t *);

static bool copy_own(void *ctx, void *to, uintptr_t from, size_t bytes)
{
    (void)ctx;
    static int ends[2] = {-1, -1}; /* through a pipe, which refuses what is not there */
    if (ends[0] < 0 && pipe(ends) != 0) {
        return false;
    }
    return write(ends[1], (const void *)from, bytes) == (ssize_t)bytes && read(ends[0], to, bytes) == (ssize_t)bytes;
}

static uint32_t theirs_from(void *ucontext, uintptr_t *out)
{
    static uintptr_t cursor[512];
    static ucontext_t copy;
    uint32_t n = 0;
    memcpy(&copy, ucontext, sizeof copy);
    if (init_local(cursor, &copy, UNW_SIGNAL_FRAME) != 0) {
        return 0;
    }
    do {
        if (get_register(cursor, UNW_RIP, &out[n]) != 0) {
            break;
        }
        n++;
    } while (n < MOST && step(cursor) > 0);
    return n;
}

static void on_tick(int signo, siginfo_t *info, void *ucontext)
{
    static struct sp_raw_frame ours[MOST];
    static uintptr_t theirs[MOST];
    (void)signo;
    (void)info;
    const greg_t *g = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    struct sp_registers r = {(uintptr_t)g[REG_RIP], (uintptr_t)g[REG_RSP], (uintptr_t)g[REG_RBP], 0, 0};
    enum sp_unwind_end end;
    uint32_t n = sp_unwind(atomic_load(&codemap.current), r, stack, &memo, ours, MOST, &end);
    uint32_t m = theirs_from(ucontext, theirs);
    /* Below the outermost frame libunwind tells of a return to nowhere. */
    while (m > 0 && theirs[m - 1] == 0) {
        m--;
    }
    /* An entry of a table of jumps is no function to us. */
    uint32_t i = 0, jump = m == n + 1 && ours[0].addr != theirs[0];
    m -= jump;
    /* A caller's address: theirs is behind the call, ours within it. */
    while (i < n && i < m && (ours[i].addr == theirs[i + jump] || ours[i].addr + 1 == theirs[i + jump])) {
        i++;
    }
    told.stops++;
    told.frames += n;
    if (i == n && i == m && end == SP_UNWIND_WHOLE) {
        told.equal++;
    } else {
        if (told.differences < DIFFERENCES) {
            told.first[told.differences] = (struct difference){
                i, n, m, r.pc, i < n ? (uintptr_t)ours[i].addr : 0, i < m ? theirs[i + jump] : 0};
        }
        told.differences++;
    }
}

static bool find_stack(const struct sp_mapping *mapping, void *ctx)
{
    uintptr_t here = (uintptr_t)&here;
    bool found = mapping->start <= here && here < mapping->end;
    if (found) {
        *(struct sp_stack *)ctx = (struct sp_stack){mapping->start, mapping->end};
    }
    return !found;
}

/* Called on the main thread. 0; -1 if there is no libunwind, -2 if something else is missing. */
int equality_start(long interval_us)
{
    void *library = dlopen("libunwind.so.8", RTLD_NOW);
    if (library == NULL) {
        return -1;
    }
    *(void **)&init_local = dlsym(library, "_ULx86_64_init_local2");
    *(void **)&step = dlsym(library, "_ULx86_64_step");
    *(void **)&get_register = dlsym(library, "_ULx86_64_get_reg");
    if (init_local == NULL || step == NULL || get_register == NULL || sp_mappings_each(find_stack, &stack) != 0
        || sp_codemap_init(&codemap, &budget, copy_own, NULL, 0) != 0) {
        return -2;
    }
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(SIGPROF, &action, NULL);
    struct itimerval every = {{0, interval_us}, {0, interval_us}};
    return setitimer(ITIMER_PROF, &every, NULL);
}

/* What was found; the same each time it is asked. */
const struct equality *equality_stop(void)
{
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_PROF, &never, NULL);
    return &told;
}
