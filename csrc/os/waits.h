/* What a thread is doing, as the kernel has it. */
#ifndef SP_OS_WAITS_H
#define SP_OS_WAITS_H

#include <stdint.h>
#include <sys/types.h>

enum sp_wait_kind {
    SP_WAIT_RUNS,    /* on a processor, or ready for one */
    SP_WAIT_LOCK,    /* futex and its like */
    SP_WAIT_IO,      /* files, sockets, and all that waits for several of them */
    SP_WAIT_SLEEP,   /* for a time to pass */
    SP_WAIT_PROCESS, /* for a child */
    SP_WAIT_SIGNAL,  /* for a signal */
    SP_WAIT_OTHER,   /* any other system call, a page that must be fetched, or the kernel does not tell */
    SP_WAIT_GONE,
    SP_WAIT_KINDS
};

struct sp_wait {
    enum sp_wait_kind kind;
    uintptr_t address; /* SP_WAIT_LOCK: what it waits on; else 0 */
};

/* Reads /proc/self/task/TID/syscall, else .../stat. Context: any thread but the one asked about. */
struct sp_wait sp_thread_waits(pid_t tid);

#endif
