/* Memory with a limit. Everything of a session that grows is allocated here, so that `memory_limit_mb` is hard:
 * at the limit an allocation fails, and the sample that wanted it is counted as dropped. */
#ifndef SP_CORE_BUDGET_H
#define SP_CORE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct sp_budget {
    atomic_size_t used;
    size_t limit;
};

/* realloc() within the budget: `old` is the size that `ptr` has now (0 with NULL). The new part is not cleared.
 * Fails: NULL at the limit or when the allocator says no; `ptr` is then untouched. Context: any thread, no handler. */
void *sp_budget_realloc(struct sp_budget *budget, void *ptr, size_t old, size_t bytes);

/* Takes `bytes` for memory that is got elsewhere (mmap); false at the limit. */
bool sp_budget_take(struct sp_budget *budget, size_t bytes);
void sp_budget_give(struct sp_budget *budget, size_t bytes);

/* free() that gives the size back. */
void sp_budget_free(struct sp_budget *budget, void *ptr, size_t bytes);

/* A growing array: makes room for one more element at `len`. 0 or an enum sp_err. */
struct sp_array {
    void *data;
    size_t len;
    size_t cap;
};
int sp_array_reserve(struct sp_budget *budget, struct sp_array *array, size_t element);
void sp_array_free(struct sp_budget *budget, struct sp_array *array, size_t element);

/* Tests: let the nth allocation from now (and each after it) fail; 0 switches that off. */
void sp_budget_fail_after(long allocations);

#endif
