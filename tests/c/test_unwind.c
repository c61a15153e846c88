/* The unwinder against the truth: this program's own stack, as its functions know it and as backtrace() has it. */
#include "native/unwind.h"

#include <alloca.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"
#include "codemap.h"
#include "core/err.h"

#define NOINLINE __attribute__((noinline, noclone))
#define KEEP __asm__ volatile("" ::: "memory") /* what follows a call, so that it is no tail call */

enum { MOST = 256, BYTES_LIMIT = 64 << 20 };

static struct sp_budget budget;
static struct sp_codemap codemap;
static struct sp_stack stack;

static bool copy_own(void *ctx, void *to, uintptr_t from, size_t bytes)
{
    (void)ctx;
    /* through a pipe, which refuses what is not there */
    static int ends[2] = {-1, -1};
    if (ends[0] < 0 && pipe(ends) != 0) {
        return false;
    }
    return write(ends[1], (const void *)from, bytes) == (ssize_t)bytes && read(ends[0], to, bytes) == (ssize_t)bytes;
}

struct seen {
    uint32_t n;
    enum sp_unwind_end end;
    struct sp_raw_frame frames[MOST];
    int expected_n;
    void *expected[MOST];
};

static struct seen seen;

static struct {
    struct sp_memo memo;
    uint32_t looks, frames, wrong;
} remembered;
static uintptr_t signal_return;

static struct sp_registers registers_of(const ucontext_t *uc)
{
#if defined(__x86_64__)
    const greg_t *g = uc->uc_mcontext.gregs;
    return (struct sp_registers){(uintptr_t)g[REG_RIP], (uintptr_t)g[REG_RSP], (uintptr_t)g[REG_RBP], 0, 0};
#else
    return (struct sp_registers){uc->uc_mcontext.pc, uc->uc_mcontext.sp, uc->uc_mcontext.regs[29], uc->uc_mcontext.regs[30], 0};
#endif
}

static NOINLINE void compare_with_memo(struct sp_registers r, struct sp_stack on);

/* Looks at the stack from here, both ways. */
static NOINLINE void look(void)
{
    ucontext_t uc;
    getcontext(&uc);
    seen.expected_n = backtrace(seen.expected, MOST);
    struct sp_registers r = registers_of(&uc);
    r.signal_return = signal_return;
    seen.n = sp_unwind(atomic_load(&codemap.current), r, stack, NULL, seen.frames, MOST, &seen.end);
    KEEP;
}

/* What both say is the same: all callers, from look()'s caller to the outermost. */
static void check_equal(void)
{
    CHECK_EQ(seen.end, SP_UNWIND_WHOLE);
    /* a sanitizer has a backtrace() of its own, and so one frame more */
    int more = seen.expected_n - (int)seen.n;
    CHECK(seen.n > 2 && (more == 0 || more == 1));
    for (uint32_t i = 1; i < seen.n && (int)i + more < seen.expected_n; i++) {
        uint64_t expected = (uint64_t)(uintptr_t)seen.expected[(int)i + more];
        CHECK(seen.frames[i].addr == expected || seen.frames[i].addr + 1 == expected); /* interrupted there, or called from there */
        CHECK(seen.frames[i].offset > seen.frames[i - 1].offset);
    }
    memset(&seen, 0, sizeof seen);
}

static NOINLINE void recursive(int n)
{
    if (n > 0) {
        recursive(n - 1);
    } else {
        look();
    }
    KEEP;
}

static void test_recursion(void)
{
    recursive(50);
    CHECK(seen.n > 50);
    check_equal();
}

static NOINLINE int with_alloca(size_t n)
{
    volatile char *room = alloca(n); /* the frame pointer is needed here, whatever the options say */
    room[0] = 1;
    look();
    return room[0];
}

static void test_alloca(void)
{
    CHECK_EQ(with_alloca(1000 + (size_t)getpid() % 7), 1);
    check_equal();
}

static NOINLINE int aligned(void)
{
    _Alignas(64) volatile char room[128];
    room[5] = 2;
    look();
    return ((uintptr_t)room % 64 == 0) + room[5];
}

static NOINLINE int aligned_and_alloca(size_t n)
{
    _Alignas(64) volatile char room[128];
    volatile char *more = alloca(n);
    room[5] = 2;
    more[0] = 3;
    look();
    return room[5] + more[0];
}

static void test_aligned_stack(void)
{
    CHECK_EQ(aligned(), 3);
    check_equal();
    CHECK_EQ(aligned_and_alloca(100 + (size_t)getpid() % 7), 5);
    check_equal();
}

static int compare(const void *a, const void *b)
{
    if (seen.n == 0) {
        look();
    }
    return *(const int *)a - *(const int *)b;
}

static void test_callback_from_a_library(void)
{
    int numbers[] = {3, 1, 2};
    qsort(numbers, 3, sizeof numbers[0], compare);
    check_equal();
}

static NOINLINE __attribute__((noreturn)) void leaves(void)
{
    look();
    pthread_exit(NULL);
}

static NOINLINE void *calls_and_does_not_return(void *unused)
{
    (void)unused;
    leaves(); /* perhaps the last instruction: the return address is in the next function */
}

static void *in_thread(void *unused)
{
    pthread_attr_t attr;
    void *low;
    size_t size;
    struct sp_stack mine = stack;
    (void)unused;
    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstack(&attr, &low, &size);
    pthread_attr_destroy(&attr);
    stack = (struct sp_stack){(uintptr_t)low, (uintptr_t)low + size};
    recursive(3);
    stack = mine;
    return NULL;
}

static void test_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    check_equal();
}

static void test_noreturn(void)
{
    pthread_t thread;
    pthread_attr_t attr;
    void *room = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sp_stack mine = stack;
    stack = (struct sp_stack){(uintptr_t)room, (uintptr_t)room + (1 << 20)};
    pthread_attr_init(&attr);
    pthread_attr_setstack(&attr, room, 1 << 20);
    pthread_create(&thread, &attr, calls_and_does_not_return, NULL);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    stack = mine;
    check_equal();
    munmap(room, 1 << 20);
}

static void on_signal(int signo)
{
    (void)signo;
    signal_return = (uintptr_t)__builtin_return_address(0);
    look();
    signal_return = 0;
}

static void test_through_a_signal(void)
{
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    check_equal();
    signal(SIGUSR1, SIG_DFL);
}

/* At every single instruction of functions, prologue and epilogue included: the thread steps through them, and what the unwinder
 * makes of the registers there must lead to the caller. */
static struct {
    uintptr_t from, to; /* within step_through() */
    uint32_t steps, right;
} stepping;

static NOINLINE int sampled_leaf(int x)
{
    volatile int a[4] = {x, x + 1, x + 2, x + 3};
    return a[x & 3];
}

static NOINLINE int sampled(int x, int deep)
{
    volatile char *room = alloca(32 + (size_t)x);
    room[x] = 1;
    int sum = sampled_leaf(x) + (deep > 0 ? sampled(x, deep - 1) : room[x]);
    KEEP;
    return sum;
}

static bool leads_to_caller(struct sp_registers registers)
{
    static struct sp_raw_frame frames[MOST];
    enum sp_unwind_end end;
    uint32_t n = sp_unwind(atomic_load(&codemap.current), registers, stack, NULL, frames, MOST, &end);
    for (uint32_t i = 0; i < n; i++) {
        if (frames[i].addr >= stepping.from && frames[i].addr < stepping.to && end == SP_UNWIND_WHOLE) {
            return true;
        }
    }
    return false;
}

/* The same wherever another thread's signals happen to come, for processors whose steps can't be trapped from within; and from the
 * handler back into what was interrupted, be it a function that has not stored where it returns to. */
static struct {
    _Atomic uint32_t looks, wrong, wrong_from_handler;
    _Atomic bool inside, enough;
    pthread_t sampled;
} signals;

static void on_look(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)info;
    ucontext_t here;
    getcontext(&here);
    struct sp_registers from_here = registers_of(&here);
    from_here.signal_return = (uintptr_t)__builtin_return_address(0);
    compare_with_memo(registers_of(context), stack);
    compare_with_memo(from_here, stack);
    signals.wrong += !leads_to_caller(registers_of(context));
    signals.wrong_from_handler += !leads_to_caller(from_here);
    signals.looks++;
}

static void *sends_signals(void *unused)
{
    enum { ENOUGH = 2000 };
    (void)unused;
    while (!signals.inside) {
        usleep(0);
    }
    for (uint32_t sent = 0; sent < ENOUGH; sent++) {
        pthread_kill(signals.sampled, SIGUSR2);
        while (signals.looks == sent) {
            usleep(0);
        }
    }
    signals.enough = true;
    return NULL;
}

static NOINLINE int until_enough(void)
{
    int sum = 0;
    signals.inside = true;
    while (!signals.enough) {
        sum += sampled(3, 2);
    }
    return sum;
}

static void test_wherever_signals_come(void)
{
    struct sigaction action = {.sa_sigaction = on_look, .sa_flags = SA_SIGINFO}, before;
    pthread_t sender;
    stepping.from = (uintptr_t)until_enough;
    stepping.to = (uintptr_t)until_enough + 256;
    signals.sampled = pthread_self();
    sigaction(SIGUSR2, &action, &before);
    CHECK_EQ(pthread_create(&sender, NULL, sends_signals, NULL), 0);
    until_enough();
    pthread_join(sender, NULL);
    sigaction(SIGUSR2, &before, NULL);
    CHECK(signals.looks > 1000);
    CHECK_EQ(signals.wrong, 0);
    CHECK_EQ(signals.wrong_from_handler, 0);
    CHECK_EQ(remembered.wrong, 0);
}

#if defined(__x86_64__)
static void on_trap(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)info;
    uintptr_t pc = registers_of(context).pc;
    if (pc >= stepping.from && pc < stepping.to) {
        return; /* where the flag is set and cleared, behind the compiler's back */
    }
    stepping.steps++;
    stepping.right += leads_to_caller(registers_of(context));
}

static NOINLINE int step_through(void)
{
    /* the trap flag: a signal after each instruction */
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
    int result = sampled(3, 2);
    __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
    return result;
}

static void test_every_instruction(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, before;
    stepping.from = (uintptr_t)step_through;
    stepping.to = (uintptr_t)step_through + 256;
    sigaction(SIGTRAP, &action, &before);
    step_through();
    sigaction(SIGTRAP, &before, NULL);
    CHECK(stepping.steps > 50);
    CHECK_EQ(stepping.right, stepping.steps);
}
#endif

/* ---- walks that remember the one before */

/* The same, frame by frame, as without a memo. */
static NOINLINE void compare_with_memo(struct sp_registers r, struct sp_stack on)
{
    static struct sp_raw_frame expected[MOST], found[MOST];
    enum sp_unwind_end expected_end, end;
    struct sp_native_map *map = atomic_load(&codemap.current);
    uint32_t most = remembered.looks % 5 == 0 ? 7 : MOST;
    uint32_t n = sp_unwind(map, r, on, NULL, expected, most, &expected_end);
    uint32_t m = sp_unwind(map, r, on, &remembered.memo, found, most, &end);
    bool same = n == m && end == expected_end;
    for (uint32_t i = 0; same && i < n; i++) {
        same = expected[i].addr == found[i].addr && expected[i].offset == found[i].offset;
    }
    remembered.wrong += !same;
    remembered.looks++;
    remembered.frames += n;
}

static NOINLINE void look_with_memo(void)
{
    ucontext_t uc;
    getcontext(&uc);
    compare_with_memo(registers_of(&uc), stack);
    KEEP;
}

static NOINLINE void one_way(uint64_t way, int depth);

/* Calls from two places of one function, from functions with frames of the same size, and of any size: places on the stack that were
 * something else a moment ago. */
static NOINLINE void other_way(uint64_t way, int depth)
{
    volatile char *room = way & 2 ? alloca(16 * (size_t)(1 + (way >> 2) % 3)) : NULL;
    if (room != NULL) {
        room[0] = 1;
    }
    if (depth == 0) {
        look_with_memo();
    } else if (way & 1) {
        one_way(way >> 1, depth - 1);
    } else {
        other_way(way >> 1, depth - 1);
    }
    KEEP;
}

static NOINLINE void one_way(uint64_t way, int depth)
{
    if (depth == 0) {
        look_with_memo();
    } else if (way & 1) {
        one_way(way >> 1, depth - 1);
    } else if (way & 2) {
        one_way(way >> 1, depth - 1);
        KEEP;
    } else {
        other_way(way >> 1, depth - 1);
    }
    KEEP;
}

static void test_memo(void)
{
    uint64_t random = 88172645463325252ull, way = 0;
    for (int i = 0; i < 20000; i++) {
        /* the outer part often stays */
        uint64_t bits = check_random(&random), keep = check_random(&random) % 48;
        way = (way & ((1ull << keep) - 1)) | (bits & ~((1ull << keep) - 1));
        if (i % 2 == 0) {
            one_way(way, (int)(bits % 45));
        } else {
            other_way(way, (int)(bits % 45));
        }
    }
    CHECK_EQ(remembered.wrong, 0);
    CHECK(remembered.frames > remembered.looks * 10);
}

/* ---- stacks and registers that make no sense */

static void test_bounds(void)
{
    static struct sp_raw_frame frames[MOST];
    enum sp_unwind_end end;
    struct sp_native_map *map = atomic_load(&codemap.current);
    struct sp_registers r = {(uintptr_t)look, 0, 0, 0, 0};
    size_t page = 4096;
    char *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages + page, page, PROT_READ | PROT_WRITE);
    uintptr_t low = (uintptr_t)pages + page, high = low + page;
    struct sp_stack page_stack = {low, high};
    uint64_t random = 88172645463325252ull;
    const struct sp_code_range *ranges = map->ranges;
    for (int i = 0; i < 200000; i++) {
        for (size_t k = 0; k < page / 8; k += 1 + check_random(&random) % 16) {
            uint64_t kind = check_random(&random) % 3;
            const struct sp_code_range *range = &ranges[check_random(&random) % map->n];
            uint64_t value = kind == 0   ? range->start + check_random(&random) % (range->end - range->start)
                             : kind == 1 ? low + check_random(&random) % page
                                         : check_random(&random);
            memcpy((void *)(low + k * 8), &value, 8);
        }
        const struct sp_code_range *range = &ranges[check_random(&random) % map->n];
        r.pc = range->start + check_random(&random) % (range->end - range->start);
        r.sp = low + check_random(&random) % (page + 64) / (1 + check_random(&random) % 2);
        r.signal_return = range->start + check_random(&random) % 2;
        r.fp = check_random(&random) % 2 ? low + check_random(&random) % page : check_random(&random);
        uint32_t n = sp_unwind(map, r, page_stack, NULL, frames, MOST,
                               &end); /* reading outside of the page would be the end of it */
        CHECK(n <= MOST);
        if (i % 8 == 0) { /* the walk after this one finds other words, here and there */
            compare_with_memo(r, page_stack);
            uint64_t value = low + check_random(&random) % page;
            memcpy((void *)(low + check_random(&random) % (page / 8) * 8), &value, 8);
            compare_with_memo(r, page_stack);
        }
    }
    CHECK_EQ(remembered.wrong, 0);
    r = (struct sp_registers){(uintptr_t)look, high, low, 0, 0};
    CHECK_EQ(sp_unwind(map, r, page_stack, NULL, frames, MOST, &end), 0);
    CHECK_EQ(end, SP_UNWIND_REFUSED);
    r.sp = UINTPTR_MAX - 8;
    CHECK_EQ(sp_unwind(map, r, page_stack, NULL, frames, MOST, &end), 0);
    r = (struct sp_registers){low, low, low, 0, 0}; /* data, not code */
    CHECK_EQ(sp_unwind(map, r, page_stack, NULL, frames, MOST, &end), 1);
    CHECK_EQ(end, SP_UNWIND_UNKNOWN);
    CHECK_EQ(frames[0].offset, SP_EXTENT_UNKNOWN);
    munmap(pages, 3 * page);
}

static void test_depth(void)
{
    static struct sp_raw_frame frames[MOST];
    enum sp_unwind_end end;
    ucontext_t uc;
    getcontext(&uc);
    CHECK_EQ(sp_unwind(atomic_load(&codemap.current), registers_of(&uc), stack, NULL, frames, 2, &end), 2);
    CHECK_EQ(end, SP_UNWIND_DEEP);
}

/* ---- the map */

static void test_roles(void)
{
    uint32_t interpreters = 0, runtimes = 0;
    for (size_t i = 0; i < codemap.objects.len; i++) {
        const struct sp_code_object *o = sp_codemap_object(&codemap, (uint32_t)i);
        CHECK(o->path[0] == '/' || o->path[0] == '[');
        interpreters += o->role == SP_OBJECT_INTERPRETER;
        runtimes += o->role == SP_OBJECT_RUNTIME;
    }
    CHECK_EQ(interpreters, 1); /* this program, as it was said to be */
    CHECK(runtimes >= 1);
}

static void test_refresh(void)
{
    size_t used = atomic_load(&budget.used);
    size_t objects = codemap.objects.len;
    CHECK(!sp_codemap_stale(&codemap));
    for (int i = 0; i < 3; i++) {
        uint32_t generation = atomic_load(&codemap.current)->generation;
        CHECK_EQ(sp_codemap_refresh(&codemap), SP_OK);
        CHECK_EQ(atomic_load(&codemap.current)->generation, generation + 1);
        CHECK(sp_codemap_of(&codemap, generation) != NULL);
        sp_codemap_sweep(&codemap);
        CHECK(sp_codemap_of(&codemap, generation) == NULL);
        CHECK(sp_codemap_of(&codemap, generation + 1) != NULL);
    }
    CHECK_EQ(codemap.objects.len, objects);
    CHECK_EQ(atomic_load(&budget.used), used);
    recursive(3);
    check_equal();
}

static void test_without_memory(void)
{
    struct sp_budget small = {.limit = 0};
    struct sp_codemap cm;
    for (size_t limit = 1000; limit < 8u << 20; limit += limit / 3) {
        small.limit = limit;
        int err = sp_codemap_init(&cm, &small, copy_own, NULL, (uintptr_t)look);
        CHECK(err == SP_OK || err == SP_ERR_LIMIT);
        sp_codemap_free(&cm);
        CHECK_EQ(atomic_load(&small.used), 0);
    }
    for (long n = 1; n < 400; n += 1 + n / 8) {
        small.limit = BYTES_LIMIT;
        sp_budget_fail_after(n);
        sp_codemap_init(&cm, &small, copy_own, NULL, (uintptr_t)look);
        sp_budget_fail_after(0);
        sp_codemap_free(&cm);
        CHECK_EQ(atomic_load(&small.used), 0);
    }
}

static bool find_stack(const struct sp_mapping *mapping, void *ctx)
{
    uintptr_t here = (uintptr_t)&here;
    if (mapping->start <= here && here < mapping->end) {
        *(struct sp_stack *)ctx = (struct sp_stack){mapping->start, mapping->end};
        return false;
    }
    return true;
}

int main(void)
{
    void *none[1];
    backtrace(none, 1); /* which loads a library, the first time */
    budget.limit = BYTES_LIMIT;
    CHECK_EQ(sp_mappings_each(find_stack, &stack), 0);
    if (stack.high == 0 || sp_codemap_init(&codemap, &budget, copy_own, NULL, (uintptr_t)look) != SP_OK) {
        printf("no stack, or no map\n");
        return EXIT_FAILURE;
    }
    RUN(test_recursion);
    RUN(test_alloca);
    RUN(test_aligned_stack);
    RUN(test_callback_from_a_library);
    RUN(test_thread);
    RUN(test_noreturn);
    RUN(test_through_a_signal);
    RUN(test_wherever_signals_come);
#if defined(__x86_64__)
    RUN(test_every_instruction);
#endif
    RUN(test_memo);
    RUN(test_refresh);
    RUN(test_bounds);
    RUN(test_depth);
    RUN(test_roles);
    RUN(test_without_memory);
    sp_codemap_free(&codemap);
    CHECK_EQ(atomic_load(&budget.used), 0);
    return check_report();
}
