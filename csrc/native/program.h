/* Runs the instructions that .eh_frame has for a function, and turns the state between them into rules. */
#ifndef SP_NATIVE_PROGRAM_H
#define SP_NATIVE_PROGRAM_H

#include "cfi.h"
#include "cursor.h"

struct sp_program_context {
    uint64_t code_factor;
    int64_t data_factor;
    bool signal;
};

/* The rule in force, and the initial one, to which an instruction may go back. */
struct sp_program_state {
    struct sp_rule rule, initial;
    uint64_t cfa_register; /* SP_CFA_SP and SP_CFA_FP are made of it when a row is */
    uint64_t last_row;     /* where the last row begins */
};

void sp_program_start(struct sp_program_state *state);

/* False: the instructions make no sense from state->last_row on, or the sink has stopped it (then *stopped is set). Without a sink
 * they are those that functions have in common, whose end state is the initial one. */
bool sp_program_run(const struct sp_program_context *context, struct sp_cursor instructions, struct sp_program_state *state,
                    const struct sp_cfi_sink *sink, uint64_t start, uint64_t end, bool *stopped);

#endif
