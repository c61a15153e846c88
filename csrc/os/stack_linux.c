#include "stack.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "objects.h"

bool sp_is_main_thread(pid_t tid)
{
    return tid == getpid();
}

struct sp_stack_bounds sp_stack_of_caller(void)
{
    struct sp_stack_bounds bounds = {0, 0};
    pthread_attr_t attributes;
    void *low;
    size_t bytes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &low, &bytes) == 0 && bytes > 0) {
            bounds = (struct sp_stack_bounds){(uintptr_t)low, (uintptr_t)low + bytes};
        }
        pthread_attr_destroy(&attributes);
    }
    return bounds;
}

/* Where the stack's size is not limited; and what the kernel keeps free below it. */
#define MOST_GROWTH ((uintptr_t)512 << 20)
#define GUARD_GAP ((uintptr_t)1 << 20)

struct search {
    uintptr_t address; /* 0: the main thread's stack */
    struct sp_stack_bounds found;
    uintptr_t below; /* where the mapping before it ends */
};

static bool is_it(const struct sp_mapping *mapping, void *ctx)
{
    struct search *search = ctx;
    bool found = search->address == 0 ? strcmp(mapping->path, "[stack]") == 0
                                      : mapping->start <= search->address && search->address < mapping->end;
    if (found) {
        search->found = (struct sp_stack_bounds){mapping->start, mapping->end};
    } else {
        search->below = mapping->end;
    }
    return !found;
}

struct sp_stack_bounds sp_stack_below(uintptr_t descriptor)
{
    struct search search = {descriptor, {0, 0}, 0};
    sp_mappings_each(is_it, &search);
    if (search.found.high != 0) {
        search.found.high = descriptor / sizeof(uintptr_t) * sizeof(uintptr_t);
    }
    return search.found;
}

struct sp_stack_bounds sp_stack_of_main(void)
{
    struct search search = {0, {0, 0}, 0};
    sp_mappings_each(is_it, &search);
    struct sp_stack_bounds bounds = search.found;
    struct rlimit limit;
    uintptr_t most = getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < MOST_GROWTH ? (uintptr_t)limit.rlim_cur : MOST_GROWTH;
    if (bounds.high > most && bounds.high - most < bounds.low) {
        bounds.low = bounds.high - most;
    }
    if (bounds.low < search.below + GUARD_GAP) { /* closer than the kernel would let it come by itself */
        bounds.low = search.found.low;
    }
    return bounds;
}
