/* For each address of an object the rule that holds there: what its .eh_frame says, made ready to be searched by the handler.
 *
 * Rules are numbered, and shared by all objects: a large program has some thousand. */
#ifndef SP_NATIVE_TABLE_H
#define SP_NATIVE_TABLE_H

#include "cfi.h"
#include "core/budget.h"

/* Numbers that are always the same. */
enum {
    SP_RULE_OUTSIDE, /* the address is in no object */
    SP_RULE_STOP,
    SP_RULE_NONE,
    SP_RULES_FIXED
};

/* Only grows, and does not move: the handler may read what it was told of. */
struct sp_rules {
    struct sp_rule *all;
    uint32_t n;
    uint16_t *index; /* open addressing; 0: empty */
};

/* SP_OK, SP_ERR_LIMIT. */
int sp_rules_init(struct sp_rules *rules, struct sp_budget *budget);
void sp_rules_free(struct sp_rules *rules, struct sp_budget *budget);

/* The number of a rule; SP_RULE_STOP where there are too many. */
uint16_t sp_rules_number(struct sp_rules *rules, const struct sp_rule *rule);

struct sp_table {
    uint64_t base;     /* offsets count from here */
    uint32_t *offsets; /* ascending; a rule holds up to the next one's */
    uint16_t *rules;
    uint32_t n;
    uint32_t *starts;                /* of the functions, ascending */
    uint32_t functions, overlapping; /* how many; how many more were left out because another one has their place */
    enum sp_cfi_end end;
};

/* Reads the functions within `size` bytes from `base`. SP_OK; SP_ERR_LIMIT, and nothing is kept. */
int sp_table_build(struct sp_table *table, const struct sp_cfi *cfi, uint64_t base, uint64_t size, struct sp_rules *rules,
                   struct sp_budget *budget);
void sp_table_free(struct sp_table *table, struct sp_budget *budget);

/* Where the function begins that has this address; SP_NO_FUNCTION: none that .eh_frame knows. Context: any but the handler. */
#define SP_NO_FUNCTION UINT64_MAX
uint64_t sp_table_function(const struct sp_table *table, uint64_t address);

/* The number of the rule at an address. Context: signal handler. */
uint16_t sp_table_find(const struct sp_table *table, uint64_t address);

#endif
