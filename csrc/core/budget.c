#include "budget.h"

#include <stdlib.h>

#include "err.h"
#include "limits.h"

/* Fault injection: negative means off. */
static atomic_long fail_after = -1;

void sp_budget_fail_after(long allocations)
{
    atomic_store(&fail_after, allocations > 0 ? allocations : -1);
}

static bool injected_failure(void)
{
    long left = atomic_load(&fail_after);
    if (left < 0) {
        return false;
    }
    if (left == 0) {
        return true;
    }
    return atomic_fetch_sub(&fail_after, 1) <= 1;
}

bool sp_budget_take(struct sp_budget *budget, size_t bytes)
{
    if (injected_failure()) {
        return false;
    }
    size_t before = atomic_fetch_add(&budget->used, bytes);
    if (before + bytes > budget->limit) {
        atomic_fetch_sub(&budget->used, bytes);
        return false;
    }
    return true;
}

void sp_budget_give(struct sp_budget *budget, size_t bytes)
{
    atomic_fetch_sub(&budget->used, bytes);
}

void *sp_budget_realloc(struct sp_budget *budget, void *ptr, size_t old, size_t bytes)
{
    if (bytes > old && !sp_budget_take(budget, bytes - old)) {
        return NULL;
    }
    void *moved = realloc(ptr, bytes);
    if (moved == NULL) {
        if (bytes > old) {
            sp_budget_give(budget, bytes - old);
        }
        return NULL;
    }
    if (bytes < old) {
        sp_budget_give(budget, old - bytes);
    }
    return moved;
}

void sp_budget_free(struct sp_budget *budget, void *ptr, size_t bytes)
{
    if (ptr != NULL) {
        free(ptr);
        sp_budget_give(budget, bytes);
    }
}

int sp_array_reserve(struct sp_budget *budget, struct sp_array *array, size_t element)
{
    if (array->len < array->cap) {
        return SP_OK;
    }
    /* A quarter more each time keeps the unused part small; big blocks move by remapping, not by copying. */
    size_t cap = array->cap + array->cap / 4;
    if (cap < SP_TABLE_START) {
        cap = SP_TABLE_START;
    }
    if (cap == array->cap) {
        cap++;
    }
    void *moved = sp_budget_realloc(budget, array->data, array->cap * element, cap * element);
    if (moved == NULL && array->cap != 0) {
        /* near the limit: a smaller step still makes use of what is left */
        cap = array->cap + 16;
        moved = sp_budget_realloc(budget, array->data, array->cap * element, cap * element);
    }
    if (moved == NULL) {
        return SP_ERR_LIMIT;
    }
    array->data = moved;
    array->cap = cap;
    return SP_OK;
}

void sp_array_free(struct sp_budget *budget, struct sp_array *array, size_t element)
{
    sp_budget_free(budget, array->data, array->cap * element);
    array->data = NULL;
    array->len = array->cap = 0;
}
