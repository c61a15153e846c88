#include "memory.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *sp_pages_new(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void sp_pages_free(void *pages, size_t bytes)
{
    if (pages != NULL) {
        munmap(pages, bytes);
    }
}

bool sp_readable(uintptr_t address)
{
    /* The kernel copies the new set in before it looks at `how`: a bad address is EFAULT, a good one EINVAL, and
     * nothing changes. One system call that every sandbox allows, no signal, no pipe. (Abseil asks the same way.) */
    return syscall(SYS_rt_sigprocmask, ~0, (void *)address, NULL, 8) != 0 && errno == EINVAL;
}
