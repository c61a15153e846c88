/* What one walk over the stack costs: spprof's, beside libunwind's unw_backtrace() and the C library's backtrace(), on the same stack in
 * the same run.
 *
 *   cc -O2 -D_GNU_SOURCE -Icsrc bench/unwind.c csrc/core/budget.c csrc/native/?*.c csrc/codemap.c csrc/os/objects_linux.c -lpthread
 *   ./a.out            (compile with -fno-omit-frame-pointer -DFRAME_POINTERS as well, for functions that have one: then also what
 *                       following them costs, with one comparison a frame and nothing else)
 *
 * libunwind is looked for at run time, and left out if it is not there. */
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "codemap.h"
#include "native/unwind.h"

enum { ROUNDS = 20000, MOST = 256 };

static struct sp_budget budget = {.limit = 64 << 20};
static struct sp_codemap codemap;
static struct sp_stack stack;
static int (*unw_backtrace)(void **, int);

static bool copy_own(void *ctx, void *to, uintptr_t from, size_t bytes)
{
    (void)ctx;
    static int ends[2] = {-1, -1};
    if (ends[0] < 0 && pipe(ends) != 0) {
        return false;
    }
    return write(ends[1], (const void *)from, bytes) == (ssize_t)bytes && read(ends[0], to, bytes) == (ssize_t)bytes;
}

static double now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static struct sp_memo memo;
static bool with_memo;

static int walk_ours(void **frames, int most)
{
    static struct sp_raw_frame out[MOST];
    struct sp_registers r = {0};
    enum sp_unwind_end end;
    (void)frames;
#if defined(__x86_64__)
    __asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2" : "=&r"(r.pc), "=&r"(r.sp), "=&r"(r.fp));
#else
    __asm__ volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29" : "=&r"(r.pc), "=&r"(r.sp), "=&r"(r.fp));
#endif
    return (int)sp_unwind(atomic_load(&codemap.current), r, stack, with_memo ? &memo : NULL, out, (uint32_t)most, &end);
}

#ifdef FRAME_POINTERS
/* The least that any walk can cost: each load waits for the one before. */
static __attribute__((noinline)) int follow_frame_pointers(void **frames, int most)
{
    int n = 0;
    for (void **fp = __builtin_frame_address(0); n < most && (uintptr_t)fp - stack.low < stack.high - stack.low - 16; fp = *fp) {
        frames[n++] = fp[1];
    }
    return n;
}
#endif

/* The best of some tries, in ns a walk, and the number of frames. */
static double cost(int (*walk)(void **, int), int *frames)
{
    void *found[MOST];
    double best = 1e18;
    for (int attempt = 0; attempt < 5; attempt++) {
        double start = now_ns();
        for (int i = 0; i < ROUNDS; i++) {
            *frames = walk(found, MOST);
        }
        double each = (now_ns() - start) / ROUNDS;
        best = each < best ? each : best;
    }
    return best;
}

static __attribute__((noinline)) void at_depth(int n)
{
    if (n > 0) {
        at_depth(n - 1);
    } else {
        int frames = 0;
        with_memo = true;
        double ours = cost(walk_ours, &frames);
        with_memo = false;
        double plain = cost(walk_ours, &frames);
        printf("%4d frames: spprof %7.0f ns, without its memo %7.0f ns", frames, ours, plain);
        if (unw_backtrace != NULL) {
            double theirs = cost(unw_backtrace, &frames);
            printf(", unw_backtrace %7.0f ns (%.1f times)", theirs, theirs / ours);
        }
#ifdef FRAME_POINTERS
        double least = cost(follow_frame_pointers, &frames);
        printf(", %d frame pointers %7.0f ns", frames, least);
#endif
        double libc = cost(backtrace, &frames);
        printf(", backtrace %7.0f ns (%.1f times)\n", libc, libc / ours);
    }
    __asm__ volatile("" ::: "memory");
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

int main(void)
{
    void *none[1];
    backtrace(none, 1);
    void *libunwind = dlopen("libunwind.so.8", RTLD_NOW);
    if (libunwind != NULL) {
        *(void **)&unw_backtrace = dlsym(libunwind, "unw_backtrace");
    }
    if (sp_mappings_each(find_stack, &stack) != 0 || sp_codemap_init(&codemap, &budget, copy_own, NULL, 0) != 0) {
        return EXIT_FAILURE;
    }
    at_depth(17);
    at_depth(97);
    double start = now_ns();
    sp_codemap_refresh(&codemap);
    printf("a new map of %u objects: %.0f us\n", (unsigned)codemap.objects.len, (now_ns() - start) / 1e3);
    return EXIT_SUCCESS;
}
