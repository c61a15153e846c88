#include "table.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/limits.h"

#define INDEX_SIZE (2 * SP_MAX_RULES) /* a power of two */

static const struct sp_rule fixed[SP_RULES_FIXED] = {{.cfa = SP_CFA_STOP}, {.cfa = SP_CFA_STOP}, {.cfa = SP_CFA_NONE}};

int sp_rules_init(struct sp_rules *rules, struct sp_budget *budget)
{
    rules->all = sp_budget_realloc(budget, NULL, 0, SP_MAX_RULES * sizeof *rules->all);
    rules->index = sp_budget_realloc(budget, NULL, 0, INDEX_SIZE * sizeof *rules->index);
    if (rules->all == NULL || rules->index == NULL) {
        sp_rules_free(rules, budget);
        return SP_ERR_LIMIT;
    }
    memcpy(rules->all, fixed, sizeof fixed);
    memset(rules->index, 0, INDEX_SIZE * sizeof *rules->index);
    rules->n = SP_RULES_FIXED;
    return SP_OK;
}

void sp_rules_free(struct sp_rules *rules, struct sp_budget *budget)
{
    if (rules->all != NULL) {
        sp_budget_free(budget, rules->all, SP_MAX_RULES * sizeof *rules->all);
    }
    if (rules->index != NULL) {
        sp_budget_free(budget, rules->index, INDEX_SIZE * sizeof *rules->index);
    }
    *rules = (struct sp_rules){NULL, 0, NULL};
}

static uint32_t hash(const struct sp_rule *rule)
{
    uint64_t x = (uint32_t)rule->cfa_offset;
    x = (x ^ (uint32_t)rule->fp_offset * 0x9e3779b1ull) * 0xff51afd7ed558ccdull;
    x ^= (uint32_t)rule->return_offset * 0xc4ceb9fe1a85ec53ull;
    x ^= ((uint64_t)rule->cfa << 24 | (uint64_t)rule->fp << 16 | (uint64_t)rule->address << 8 | rule->extra)
         * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(x >> 32) ^ (uint32_t)x;
}

uint16_t sp_rules_number(struct sp_rules *rules, const struct sp_rule *rule)
{
    if (rule->cfa == SP_CFA_STOP || rule->cfa == SP_CFA_NONE) {
        return rule->cfa == SP_CFA_STOP ? SP_RULE_STOP : SP_RULE_NONE;
    }
    uint32_t i = hash(rule) & (INDEX_SIZE - 1);
    for (; rules->index[i] != 0; i = (i + 1) & (INDEX_SIZE - 1)) {
        if (sp_rule_same(&rules->all[rules->index[i]], rule)) {
            return rules->index[i];
        }
    }
    if (rules->n == SP_MAX_RULES) {
        return SP_RULE_STOP;
    }
    rules->all[rules->n] = *rule;
    rules->index[i] = (uint16_t)rules->n;
    return (uint16_t)rules->n++;
}

/* ---- reading */

struct function {
    uint32_t start, end;
    uint32_t first; /* row */
};

struct row {
    uint32_t at;
    uint16_t rule;
};

struct reading {
    struct sp_table *table;
    struct sp_rules *rules;
    struct sp_budget *budget;
    uint64_t size;
    struct sp_array functions; /* struct function */
    struct sp_array rows;      /* struct row */
    bool skips;                /* the function at hand is not within the object */
    int err;
};

static bool begin(void *ctx, uint64_t start, uint64_t end)
{
    struct reading *r = ctx;
    r->skips = start < r->table->base || end - r->table->base > r->size;
    if (r->skips) {
        return true;
    }
    r->err = sp_array_reserve(r->budget, &r->functions, sizeof(struct function));
    if (r->err != SP_OK) {
        return false;
    }
    uint32_t from = (uint32_t)(start - r->table->base), to = (uint32_t)(end - r->table->base);
    ((struct function *)r->functions.data)[r->functions.len++] = (struct function){from, to, (uint32_t)r->rows.len};
    return true;
}

static bool row(void *ctx, uint64_t pc, const struct sp_rule *rule)
{
    struct reading *r = ctx;
    if (r->skips) {
        return true;
    }
    uint16_t number = sp_rules_number(r->rules, rule);
    struct row *rows = r->rows.data;
    const struct function *f = &((const struct function *)r->functions.data)[r->functions.len - 1];
    uint32_t at = (uint32_t)(pc - r->table->base);
    if (r->rows.len > f->first) {
        struct row *last = &rows[r->rows.len - 1];
        if (last->at == at) {
            last->rule = number;
            return true;
        }
        if (last->rule == number) {
            return true;
        }
    }
    r->err = sp_array_reserve(r->budget, &r->rows, sizeof(struct row));
    if (r->err != SP_OK) {
        return false;
    }
    ((struct row *)r->rows.data)[r->rows.len++] = (struct row){at, number};
    return true;
}

static int by_start(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    return (x->first > y->first) - (x->first < y->first);
}

/* Functions as `r` has them, in the order of addresses; returns the number of rows, which it writes where there is a place. */
static uint32_t arrange(const struct reading *r, struct sp_table *table, bool write)
{
    const struct function *f = r->functions.data;
    const struct row *rows = r->rows.data;
    uint32_t n = 0, up_to = 0;
    uint16_t last = SP_RULE_NONE;
    table->functions = table->overlapping = 0;
    for (size_t i = 0; i < r->functions.len; i++) {
        if (f[i].start < up_to) {
            table->overlapping++;
            continue;
        }
        if (f[i].start > up_to && last != SP_RULE_NONE) { /* between two functions */
            if (write) {
                table->offsets[n] = up_to;
                table->rules[n] = SP_RULE_NONE;
            }
            n++;
            last = SP_RULE_NONE;
        }
        /* each has a row at its end; a reading that was stopped has not */
        for (uint32_t k = f[i].first; k < r->rows.len && rows[k].at < f[i].end; k++) {
            if (rows[k].rule != last) {
                if (write) {
                    table->offsets[n] = rows[k].at;
                    table->rules[n] = rows[k].rule;
                }
                n++;
                last = rows[k].rule;
            }
        }
        up_to = f[i].end;
        if (write) {
            table->starts[table->functions] = f[i].start;
        }
        table->functions++;
    }
    if (last != SP_RULE_NONE) {
        if (write) {
            table->offsets[n] = up_to;
            table->rules[n] = SP_RULE_NONE;
        }
        n++;
    }
    return n;
}

static int finish(struct reading *r)
{
    struct sp_table *table = r->table;
    size_t count = r->functions.len;
    struct function *f = r->functions.data;
    if (count == 0) {
        return SP_OK;
    }
    qsort(f, count, sizeof *f, by_start);
    int err = SP_OK;
    uint32_t n = arrange(r, table, false);
    if (n > 0) {
        table->offsets = sp_budget_realloc(r->budget, NULL, 0, n * sizeof *table->offsets);
        table->rules = sp_budget_realloc(r->budget, NULL, 0, n * sizeof *table->rules);
        table->starts = sp_budget_realloc(r->budget, NULL, 0, table->functions * sizeof *table->starts);
        table->n = n;
        if (table->offsets == NULL || table->rules == NULL || table->starts == NULL) {
            sp_table_free(table, r->budget);
            err = SP_ERR_LIMIT;
        } else {
            arrange(r, table, true);
        }
    }
    return err;
}

int sp_table_build(struct sp_table *table, const struct sp_cfi *cfi, uint64_t base, uint64_t size, struct sp_rules *rules,
                   struct sp_budget *budget)
{
    *table = (struct sp_table){.base = base};
    struct reading r = {.table = table, .rules = rules, .budget = budget, .size = size < UINT32_MAX ? size : UINT32_MAX};
    const struct sp_cfi_sink sink = {begin, row, &r};
    table->end = sp_cfi_read(cfi, &sink);
    int err = r.err == SP_OK ? finish(&r) : r.err;
    sp_array_free(budget, &r.functions, sizeof(struct function));
    sp_array_free(budget, &r.rows, sizeof(struct row));
    return err;
}

void sp_table_free(struct sp_table *table, struct sp_budget *budget)
{
    if (table->offsets != NULL) {
        sp_budget_free(budget, table->offsets, table->n * sizeof *table->offsets);
    }
    if (table->rules != NULL) {
        sp_budget_free(budget, table->rules, table->n * sizeof *table->rules);
    }
    if (table->starts != NULL) {
        sp_budget_free(budget, table->starts, table->functions * sizeof *table->starts);
    }
    table->offsets = table->starts = NULL;
    table->rules = NULL;
    table->n = table->functions = 0;
}

uint64_t sp_table_function(const struct sp_table *table, uint64_t address)
{
    uint32_t low = 0, high = table->functions;
    if (table->n == 0 || sp_table_find(table, address) == SP_RULE_NONE) {
        return SP_NO_FUNCTION;
    }
    while (low < high) { /* the first one behind the address */
        uint32_t middle = (low + high) / 2;
        if (table->base + table->starts[middle] <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? SP_NO_FUNCTION : table->base + table->starts[low - 1];
}
