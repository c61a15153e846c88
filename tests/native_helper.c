/* Functions in C for the tests of native frames: they call back into Python, burn CPU under their own names, and leave the stack in
 * states that no debugger likes. Built by the tests with several options; no part of the product. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define NOINLINE __attribute__((noinline, noclone))
#define AFTER __asm__ volatile("" ::: "memory") /* so that the call before is no tail call */

typedef int (*callback)(int);

/* ---- into Python and back */

NOINLINE int inner_c(callback call, int n)
{
    int result = call(n) + 1;
    AFTER;
    return result;
}

NOINLINE int outer_c(callback call, int n)
{
    volatile char room[48];
    room[n & 31] = (char)n;
    int result = inner_c(call, n) + room[n & 31];
    AFTER;
    return result;
}

NOINLINE int recursive_c(callback call, int n)
{
    int result = n > 0 ? recursive_c(call, n - 1) : call(0);
    AFTER;
    return result;
}

/* ---- CPU time under known names */

static uint64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static volatile uint64_t sink;

#define BURNER(name, factor)                                                                                                       \
    static NOINLINE void name(uint64_t ns)                                                                                         \
    {                                                                                                                              \
        uint64_t end = cpu_ns() + ns;                                                                                              \
        while (cpu_ns() < end) {                                                                                                   \
            for (int i = 0; i < 20000; i++) {                                                                                      \
                sink += (uint64_t)i * factor;                                                                                      \
            }                                                                                                                      \
        }                                                                                                                          \
    }

BURNER(burn_one, 3)
BURNER(burn_two, 5) /* equal functions would be made one by the compiler */

/* One part in four for the first, three for the second. */
void burn_shares(int ms)
{
    for (int i = 0; i < ms / 4; i++) {
        burn_one(1000000);
        burn_two(3000000);
    }
}

static NOINLINE void *pool_worker(void *ms)
{
    burn_one((uint64_t)(uintptr_t)ms * 1000000u);
    AFTER;
    return NULL;
}

/* A thread that never runs Python, on a stack of that many bytes. */
int burn_in_thread(int ms, int stack_bytes)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    int err = pthread_attr_setstacksize(&attributes, (size_t)stack_bytes);
    err = err != 0 ? err : pthread_create(&thread, &attributes, pool_worker, (void *)(uintptr_t)ms);
    pthread_attr_destroy(&attributes);
    if (err == 0) {
        pthread_setname_np(thread, "pool-worker");
        pthread_join(thread, NULL);
    }
    return err;
}

/* ---- stacks that are not what they seem */

static ucontext_t caller, other;
static callback on_other;

static void run_other(void)
{
    on_other(1);
    AFTER;
}

/* The callback runs on a stack of its own. */
int call_on_other_stack(callback call, int n)
{
    static char stack[256 * 1024];
    (void)n;
    getcontext(&other);
    other.uc_stack.ss_sp = stack;
    other.uc_stack.ss_size = sizeof stack;
    other.uc_link = &caller;
    on_other = call;
    makecontext(&other, run_other, 0);
    return swapcontext(&caller, &other);
}

static callback in_handler;

static void on_usr1(int signo)
{
    (void)signo;
    in_handler(1);
    AFTER;
}

/* The callback runs in a signal handler: on the thread's stack, or on another one. */
static int call_in_handler(callback call, int flags, void *stack, size_t bytes)
{
    struct sigaction action, before;
    stack_t alternative = {.ss_sp = stack, .ss_size = bytes}, none;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_usr1;
    action.sa_flags = flags;
    in_handler = call;
    if (stack != NULL) {
        sigaltstack(&alternative, &none);
    }
    sigaction(SIGUSR1, &action, &before);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &before, NULL);
    if (stack != NULL) {
        sigaltstack(&none, NULL);
    }
    return 0;
}

int call_in_signal(callback call, int n)
{
    (void)n;
    int result = call_in_handler(call, 0, NULL, 0);
    AFTER;
    return result;
}

int call_in_signal_on_other_stack(callback call, int n)
{
    static char stack[256 * 1024];
    (void)n;
    return call_in_handler(call, SA_ONSTACK, stack, sizeof stack);
}

#if defined(__x86_64__)
/* Without unwind tables, the frame pointer a number like others, while the callback runs. */
__asm__(".text\n"
        ".globl call_with_odd_frame_pointer\n"
        ".type call_with_odd_frame_pointer, @function\n"
        "call_with_odd_frame_pointer:\n"
        "    push %rbp\n"
        "    push %rbx\n"
        "    sub $8, %rsp\n"
        "    mov %rdi, %rax\n"
        "    mov %rsi, %rdi\n"
        "    mov odd_frame_pointer@GOTPCREL(%rip), %rbx\n"
        "    mov (%rbx), %rbp\n"
        "    call *%rax\n"
        "    add $8, %rsp\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    ret\n"
        ".size call_with_odd_frame_pointer, .-call_with_odd_frame_pointer\n");
uint64_t odd_frame_pointer;
#endif
