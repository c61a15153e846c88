/* The signal, and the way to it and back.
 *
 * SIGURG: its default action is to ignore it, so that a tick that comes late (after stop, in an exec'd program, in a
 * child) can't kill anything. Deliveries that are not ours go to the handler that was there before. */
#ifndef SP_OS_SIGNAL_HANDLER_H
#define SP_OS_SIGNAL_HANDLER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SP_SIGNAL SIGURG

/* A delivery, as the tick sources tell it apart (tick.h). */
struct sp_delivery {
    const siginfo_t *info;
    void *ucontext;
    uintptr_t back; /* where the handler returns to */
};

/* True: the delivery was a tick of ours. Context: signal handler. */
typedef bool (*sp_on_signal)(const struct sp_delivery *delivery);

/* Installs the handler. 0 or -errno. Context: session lock held. */
int sp_signal_install(sp_on_signal on_signal);

/* Puts back what was there before, unless somebody put another handler over ours: that one stays. With a handler of the
 * application's underneath, waits (100 ms at most) until no thread has a tick pending that would reach it. */
void sp_signal_restore(void);

/* True if the application installed a handler over ours while we were active. */
bool sp_signal_replaced(void);

/* Deliveries that were not ours, since install. */
uint64_t sp_signal_foreign(void);

/* No handler runs at this moment, on whatever thread. stop() waits for that before it takes memory away. */
bool sp_signal_quiet(void);

/* The calling thread's CPU clock at the end of its last handler if that took long, else 0. Context: any, handler included. */
uint64_t sp_signal_slow_end(void);

/* From enter to leave the caller counts as a handler: the slots of a session that it finds in sp_active stay. */
void sp_signal_enter(void);
void sp_signal_leave(void);

/* In a forked child, on its thread: the threads that were in a handler are gone, and its CPU clock starts again. */
void sp_signal_child(void);

/* Blocks the signal in the calling thread; returns whether it was blocked before. */
bool sp_signal_block(void);
void sp_signal_unblock(void);

#endif
