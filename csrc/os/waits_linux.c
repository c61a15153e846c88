#include "waits.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "threads.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Newer calls than the headers may have: their numbers are the same on every architecture (asm-generic/unistd.h). */
#define NR_EPOLL_PWAIT2 441
#define NR_FUTEX_WAITV 449
#define NR_FUTEX_WAIT 455

static const struct {
    enum sp_wait_kind kind;
    short nr;
} calls[] = {
    {SP_WAIT_LOCK, SYS_futex},
    {SP_WAIT_LOCK, NR_FUTEX_WAITV},
    {SP_WAIT_LOCK, NR_FUTEX_WAIT},
    {SP_WAIT_LOCK, SYS_flock},
    {SP_WAIT_LOCK, SYS_fcntl},
    {SP_WAIT_LOCK, SYS_semtimedop},
    {SP_WAIT_SLEEP, SYS_nanosleep},
    {SP_WAIT_SLEEP, SYS_clock_nanosleep},
    {SP_WAIT_PROCESS, SYS_wait4},
    {SP_WAIT_PROCESS, SYS_waitid},
    {SP_WAIT_SIGNAL, SYS_rt_sigsuspend},
    {SP_WAIT_SIGNAL, SYS_rt_sigtimedwait},
    {SP_WAIT_IO, SYS_read},
    {SP_WAIT_IO, SYS_write},
    {SP_WAIT_IO, SYS_readv},
    {SP_WAIT_IO, SYS_writev},
    {SP_WAIT_IO, SYS_pread64},
    {SP_WAIT_IO, SYS_pwrite64},
    {SP_WAIT_IO, SYS_preadv},
    {SP_WAIT_IO, SYS_pwritev},
    {SP_WAIT_IO, SYS_preadv2},
    {SP_WAIT_IO, SYS_pwritev2},
    {SP_WAIT_IO, SYS_recvfrom},
    {SP_WAIT_IO, SYS_recvmsg},
    {SP_WAIT_IO, SYS_recvmmsg},
    {SP_WAIT_IO, SYS_sendto},
    {SP_WAIT_IO, SYS_sendmsg},
    {SP_WAIT_IO, SYS_sendmmsg},
    {SP_WAIT_IO, SYS_accept},
    {SP_WAIT_IO, SYS_accept4},
    {SP_WAIT_IO, SYS_connect},
    {SP_WAIT_IO, SYS_ppoll},
    {SP_WAIT_IO, SYS_pselect6},
    {SP_WAIT_IO, SYS_epoll_pwait},
    {SP_WAIT_IO, NR_EPOLL_PWAIT2},
#ifdef SYS_poll
    {SP_WAIT_IO, SYS_poll},
    {SP_WAIT_IO, SYS_select},
    {SP_WAIT_IO, SYS_epoll_wait},
    {SP_WAIT_IO, SYS_open},
    {SP_WAIT_SIGNAL, SYS_pause},
#endif
    {SP_WAIT_IO, SYS_openat},
    {SP_WAIT_IO, SYS_close},
    {SP_WAIT_IO, SYS_fsync},
    {SP_WAIT_IO, SYS_fdatasync},
    {SP_WAIT_IO, SYS_sync},
    {SP_WAIT_IO, SYS_syncfs},
    {SP_WAIT_IO, SYS_sync_file_range},
    {SP_WAIT_IO, SYS_sendfile},
    {SP_WAIT_IO, SYS_splice},
    {SP_WAIT_IO, SYS_copy_file_range},
    {SP_WAIT_IO, SYS_getdents64},
    {SP_WAIT_IO, SYS_ftruncate},
    {SP_WAIT_IO, SYS_fallocate},
    {SP_WAIT_IO, SYS_msync},
    {SP_WAIT_IO, SYS_io_getevents},
    {SP_WAIT_IO, SYS_io_uring_enter},
    {SP_WAIT_IO, SYS_inotify_add_watch},
};

static enum sp_wait_kind kind_of(long nr)
{
    for (size_t i = 0; i < COUNT(calls); i++) {
        if (calls[i].nr == nr) {
            return calls[i].kind;
        }
    }
    return SP_WAIT_OTHER;
}

/* A wait for one of no files: time.sleep() up to Python 3.10, and the shell's way in many programs. */
static bool waits_for_nothing(long nr, uint64_t first, uint64_t second)
{
#ifdef SYS_poll
    if (nr == SYS_poll) {
        return second == 0;
    }
    if (nr == SYS_select) {
        return first == 0;
    }
#endif
    return (nr == SYS_ppoll && second == 0) || (nr == SYS_pselect6 && first == 0);
}

static struct sp_wait from_stat(pid_t tid)
{
    switch (sp_thread_state(tid)) {
    case 'R':
        return (struct sp_wait){SP_WAIT_RUNS, 0};
    case '\0':
    case 'X':
    case 'Z':
        return (struct sp_wait){SP_WAIT_GONE, 0};
    default:
        return (struct sp_wait){SP_WAIT_OTHER, 0};
    }
}

struct sp_wait sp_thread_waits(pid_t tid)
{
    /* "202 0x7f00 ...": number and arguments of the call in which it sleeps; "-1 ..." outside of one; "running"
     * (fs/proc/base.c, proc_pid_syscall). Threads of one process may always ask about each other. */
    char text[256];
    if (sp_task_file(tid, "syscall", text, sizeof text) <= 0) {
        return from_stat(tid); /* a kernel without it, or a process that is not to be looked into */
    }
    if (text[0] == 'r') {
        return (struct sp_wait){SP_WAIT_RUNS, 0};
    }
    char *rest;
    long nr = strtol(text, &rest, 10);
    uint64_t first = strtoull(rest, &rest, 16), second = strtoull(rest, NULL, 16);
    enum sp_wait_kind kind = kind_of(nr);
    if (waits_for_nothing(nr, first, second)) {
        kind = SP_WAIT_SLEEP;
    }
    return (struct sp_wait){kind, kind == SP_WAIT_LOCK ? (uintptr_t)first : 0};
}
