/* Where a thread's stack is. Context: any thread, not the handler. */
#ifndef SP_OS_STACK_H
#define SP_OS_STACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sp_stack_bounds {
    uintptr_t low, high; /* high 0: unknown */
};

/* The calling thread's own. For the main thread's see below. */
struct sp_stack_bounds sp_stack_of_caller(void);

/* Threads whose descriptor (pthread_self()) is at the top of their stack, where the C libraries put it. */
struct sp_stack_bounds sp_stack_below(uintptr_t descriptor);

/* The stack that the process began with, down to where it may grow: nothing else is mapped there. What lies between a stack pointer in
 * it and its upper end is mapped. */
struct sp_stack_bounds sp_stack_of_main(void);

bool sp_is_main_thread(pid_t tid);

#endif
