/* All code that was mapped at a moment, with its tables: what the handler looks addresses up in.
 *
 * Made outside of the handler and not changed any more, but for the cache. */
#ifndef SP_NATIVE_MAP_H
#define SP_NATIVE_MAP_H

#include <stdatomic.h>

#include "core/limits.h"
#include "table.h"

/* A stretch of executable memory. */
struct sp_code_range {
    uintptr_t start, end;
    const struct sp_table *table;
    uint32_t object; /* the caller's number of the object that it belongs to */
};

struct sp_native_map {
    uint32_t generation;
    uint32_t n;
    struct sp_code_range *ranges;            /* ascending */
    const struct sp_rule *rules;             /* by number */
    _Atomic uint64_t cache[SP_NATIVE_CACHE]; /* address << 16 | number of its rule, by hash of the address */
};

/* The number of the rule at `address`. Context: signal handler. */
uint16_t sp_native_rule(struct sp_native_map *map, uintptr_t address);

/* The range that `address` is in, or NULL. Context: any. */
const struct sp_code_range *sp_native_range(const struct sp_native_map *map, uintptr_t address);

#endif
