/* Reading memory that may go at any moment: a copy that fails where the memory is not there, instead of a fault. */
#ifndef SP_OS_COPY_H
#define SP_OS_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sp_copy_way {
    SP_COPY_NONE,
    SP_COPY_VM_READV, /* process_vm_readv(2) on the own process: one system call */
    SP_COPY_PROC_MEM, /* pread(2) of /proc/self/mem: where a sandbox refuses the first */
    SP_COPY_PIPE,     /* write(2) to a pipe and read(2) from it: nothing refuses that; two calls */
    SP_COPY_WAYS
};

struct sp_copier {
    enum sp_copy_way way;
    int in, out; /* descriptors, -1: none */
    int refused; /* errno of process_vm_readv, where that is not the way */
};

/* Finds the first way that works. Context: the thread that will copy; its descriptors are taken where the program does
 * not expect any. Never fails: a copier without a way copies nothing. */
void sp_copier_open(struct sp_copier *copier);
void sp_copier_close(struct sp_copier *copier);

/* Copies `bytes` (at most 4096) from `from`, all or nothing. `copier` is a struct sp_copier: this is the function that those take who
 * read memory without knowing how. */
bool sp_copy(void *copier, void *to, uintptr_t from, size_t bytes);

const char *sp_copy_name(enum sp_copy_way way);

#endif
