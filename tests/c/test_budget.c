/* The memory limit: what is allocated is counted, the limit holds, and a failure leaves everything as it was. */
#include "core/budget.h"

#include <string.h>

#include "check.h"
#include "core/err.h"
#include "core/limits.h"

static void test_limit_is_hard(void)
{
    struct sp_budget budget = {.limit = 1000};
    void *a = sp_budget_realloc(&budget, NULL, 0, 600);
    CHECK(a != NULL);
    CHECK_EQ(budget.used, 600);
    CHECK(sp_budget_realloc(&budget, NULL, 0, 401) == NULL);
    CHECK_EQ(budget.used, 600);
    void *b = sp_budget_realloc(&budget, NULL, 0, 400);
    CHECK(b != NULL);
    CHECK_EQ(budget.used, 1000);
    CHECK(!sp_budget_take(&budget, 1));
    sp_budget_free(&budget, b, 400);
    CHECK(sp_budget_take(&budget, 400));
    CHECK(!sp_budget_take(&budget, 1));
    sp_budget_give(&budget, 400);
    sp_budget_free(&budget, a, 600);
    sp_budget_free(&budget, NULL, 600);
    CHECK_EQ(budget.used, 0);
}

static void test_realloc_grows_shrinks_and_keeps_the_content(void)
{
    struct sp_budget budget = {.limit = 100};
    char *p = sp_budget_realloc(&budget, NULL, 0, 40);
    memset(p, 'x', 40);
    CHECK(sp_budget_realloc(&budget, p, 40, 101) == NULL); /* p is untouched */
    CHECK_EQ(budget.used, 40);
    p = sp_budget_realloc(&budget, p, 40, 100);
    CHECK_EQ(budget.used, 100);
    for (int i = 0; i < 40; i++) {
        CHECK(p[i] == 'x');
    }
    p = sp_budget_realloc(&budget, p, 100, 10);
    CHECK_EQ(budget.used, 10);
    sp_budget_free(&budget, p, 10);
    CHECK_EQ(budget.used, 0);
}

static void test_array_grows_to_the_limit_and_no_further(void)
{
    struct sp_budget budget = {.limit = 5000 * sizeof(uint64_t)};
    struct sp_array array = {0};
    while (sp_array_reserve(&budget, &array, sizeof(uint64_t)) == SP_OK) {
        CHECK(array.len < array.cap);
        ((uint64_t *)array.data)[array.len] = array.len;
        array.len++;
        CHECK(budget.used <= budget.limit);
        CHECK_EQ(budget.used, array.cap * sizeof(uint64_t));
    }
    CHECK(array.len > 4900); /* nearly all of the limit is put to use */
    CHECK_EQ(array.len, array.cap);
    CHECK_EQ(sp_array_reserve(&budget, &array, sizeof(uint64_t)), SP_ERR_LIMIT);
    for (size_t i = 0; i < array.len; i++) {
        CHECK_EQ(((uint64_t *)array.data)[i], i);
    }
    sp_array_free(&budget, &array, sizeof(uint64_t));
    CHECK_EQ(budget.used, 0);
    CHECK(array.data == NULL && array.len == 0 && array.cap == 0);
}

static void test_array_survives_a_failed_allocation(void)
{
    struct sp_budget budget = {.limit = 1 << 20};
    struct sp_array array = {0};
    sp_budget_fail_after(1);
    CHECK_EQ(sp_array_reserve(&budget, &array, 8), SP_ERR_LIMIT);
    sp_budget_fail_after(0);
    CHECK_EQ(sp_array_reserve(&budget, &array, 8), SP_OK);
    array.len = array.cap;
    size_t cap = array.cap;
    sp_budget_fail_after(1);
    CHECK_EQ(sp_array_reserve(&budget, &array, 8), SP_ERR_LIMIT);
    CHECK_EQ(array.cap, cap);
    sp_budget_fail_after(0);
    CHECK_EQ(sp_array_reserve(&budget, &array, 8), SP_OK);
    sp_array_free(&budget, &array, 8);
    CHECK_EQ(budget.used, 0);
}

static void test_nth_failure(void)
{
    struct sp_budget budget = {.limit = 100};
    sp_budget_fail_after(3);
    CHECK(sp_budget_take(&budget, 1));
    CHECK(sp_budget_take(&budget, 1));
    CHECK(!sp_budget_take(&budget, 1));
    CHECK(!sp_budget_take(&budget, 1));
    sp_budget_fail_after(0);
    CHECK(sp_budget_take(&budget, 1));
    CHECK_EQ(budget.used, 3);
}

int main(void)
{
    RUN(test_limit_is_hard);
    RUN(test_realloc_grows_shrinks_and_keeps_the_content);
    RUN(test_array_grows_to_the_limit_and_no_further);
    RUN(test_array_survives_a_failed_allocation);
    RUN(test_nth_failure);
    return check_report();
}
