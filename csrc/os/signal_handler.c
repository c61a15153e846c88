#include "signal_handler.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "threads.h"

static _Atomic(sp_on_signal) callback;
static struct sigaction previous;
static bool installed;
static atomic_uint_fast64_t foreign;
static atomic_int inside;

/* Handlers that take longer than this are worth a look at the clock. */
#define SLOW_NS 20000u

/* Where the calling thread's CPU clock stood at the end of its last slow handler. initial-exec: a plain load. */
static __thread uint64_t slow_end_cpu_ns __attribute__((tls_model("initial-exec")));

static void chain(int signo, siginfo_t *info, void *ucontext)
{
    atomic_fetch_add_explicit(&foreign, 1, memory_order_relaxed);
    if (previous.sa_flags & SA_SIGINFO) {
        if (previous.sa_sigaction != NULL) {
            previous.sa_sigaction(signo, info, ucontext);
        }
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signo);
    }
}

/* Context: signal handler, every other signal blocked. */
static void on_delivery(int signo, siginfo_t *info, void *ucontext)
{
    int saved_errno = errno;
    /* Before the callback is looked at: sp_signal_quiet() must see a handler that has the old one in hand. */
    atomic_fetch_add(&inside, 1);
    sp_on_signal call = atomic_load(&callback);
    struct sp_delivery delivery = {info, ucontext, (uintptr_t)__builtin_return_address(0)};
    uint64_t start_ns = sp_now_ns();
    bool ours = call != NULL && call(&delivery);
    if (ours) {
        slow_end_cpu_ns = sp_now_ns() - start_ns > SLOW_NS ? sp_own_cpu_ns() : 0;
    }
    atomic_fetch_sub(&inside, 1);
    if (!ours) {
        chain(signo, info, ucontext);
    }
    errno = saved_errno;
}

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_delivery;
}

int sp_signal_install(sp_on_signal on_signal)
{
    struct sigaction now;
    if (sigaction(SP_SIGNAL, NULL, &now) != 0) {
        return -errno;
    }
    atomic_store(&foreign, 0);
    atomic_store(&callback, on_signal);
    if (is_ours(&now)) { /* left there because another handler had been laid over it and taken away again */
        installed = true;
        return 0;
    }
    previous = now;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_delivery;
    /* ONSTACK: goroutines, fibres and the like may run on stacks too small for a signal frame. */
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    /* Nothing interrupts the handler: a thread's record has one writer, and a longjmp out of another handler can't leave
     * a half-written one behind. It runs for a few microseconds. */
    sigfillset(&action.sa_mask);
    if (sigaction(SP_SIGNAL, &action, NULL) != 0) {
        return -errno;
    }
    installed = true;
    return 0;
}

bool sp_signal_replaced(void)
{
    struct sigaction now;
    return installed && sigaction(SP_SIGNAL, NULL, &now) == 0 && !is_ours(&now);
}

void sp_signal_restore(void)
{
    /* The callback stays: it tells a tick that comes late from a signal of the program's, now and whenever somebody puts
     * our handler back in place. */
    if (!installed) {
        return;
    }
    bool app_handler = (previous.sa_flags & SA_SIGINFO) || (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN);
    if (app_handler) {
        /* pthread_create() blocks all signals for a moment: a few rounds for those that block it now. */
        for (int i = 0; i < 500 && sp_threads_signal_pending(SP_SIGNAL, i < 10); i++) {
            nanosleep(&(struct timespec){0, 2000000}, NULL);
        }
    }
    if (!sp_signal_replaced()) {
        sigaction(SP_SIGNAL, &previous, NULL);
    }
    installed = false;
}

uint64_t sp_signal_foreign(void)
{
    return atomic_load(&foreign);
}

bool sp_signal_quiet(void)
{
    return atomic_load(&inside) == 0;
}

uint64_t sp_signal_slow_end(void)
{
    return slow_end_cpu_ns;
}

void sp_signal_enter(void)
{
    atomic_fetch_add(&inside, 1);
}

void sp_signal_leave(void)
{
    atomic_fetch_sub(&inside, 1);
}

void sp_signal_child(void)
{
    atomic_store(&inside, 0);
    slow_end_cpu_ns = 0; /* by the parent's clock */
}

bool sp_signal_block(void)
{
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SP_SIGNAL);
    return pthread_sigmask(SIG_BLOCK, &set, &old) == 0 && sigismember(&old, SP_SIGNAL);
}

void sp_signal_unblock(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SP_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
