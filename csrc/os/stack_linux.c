#include "stack.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>
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

struct search {
    uintptr_t address; /* 0: the main thread's stack */
    struct sp_stack_bounds found;
};

static bool is_it(const struct sp_mapping *mapping, void *ctx)
{
    struct search *search = ctx;
    bool found = search->address == 0 ? strcmp(mapping->path, "[stack]") == 0
                                      : mapping->start <= search->address && search->address < mapping->end;
    if (found) {
        search->found = (struct sp_stack_bounds){mapping->start, mapping->end};
    }
    return !found;
}

struct sp_stack_bounds sp_stack_below(uintptr_t descriptor)
{
    struct search search = {descriptor, {0, 0}};
    sp_mappings_each(is_it, &search);
    if (search.found.high != 0) {
        search.found.high = descriptor / sizeof(uintptr_t) * sizeof(uintptr_t);
    }
    return search.found;
}

struct sp_stack_bounds sp_stack_of_main(void)
{
    struct search search = {0, {0, 0}};
    sp_mappings_each(is_it, &search);
    return search.found;
}
