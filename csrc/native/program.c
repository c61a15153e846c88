#include "program.h"

/* Compilers nest one or two. */
#define MOST_REMEMBERED 8

/* DW_CFA_*, the second byte where the first two bits are 0. */
enum {
    CFA_NOP = 0x00,
    CFA_SET_LOC = 0x01,
    CFA_ADVANCE_1 = 0x02,
    CFA_ADVANCE_2 = 0x03,
    CFA_ADVANCE_4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05,
    CFA_RESTORE_EXTENDED = 0x06,
    CFA_UNDEFINED = 0x07,
    CFA_SAME_VALUE = 0x08,
    CFA_REGISTER = 0x09,
    CFA_REMEMBER = 0x0a,
    CFA_RESTORE_STATE = 0x0b,
    CFA_DEF_CFA = 0x0c,
    CFA_DEF_CFA_REGISTER = 0x0d,
    CFA_DEF_CFA_OFFSET = 0x0e,
    CFA_DEF_CFA_EXPRESSION = 0x0f,
    CFA_EXPRESSION = 0x10,
    CFA_OFFSET_EXTENDED_SIGNED = 0x11,
    CFA_DEF_CFA_SIGNED = 0x12,
    CFA_DEF_CFA_OFFSET_SIGNED = 0x13,
    CFA_VAL_OFFSET = 0x14,
    CFA_VAL_OFFSET_SIGNED = 0x15,
    CFA_VAL_EXPRESSION = 0x16,
    CFA_GNU_WINDOW_SAVE = 0x2d, /* on aarch64: return addresses are signed from here on, or not any more */
    CFA_GNU_ARGS_SIZE = 0x2e,
    CFA_GNU_NEGATIVE_OFFSET = 0x2f,
};

/* DW_OP_* of the few expressions that compilers and assemblers write. */
enum {
    OP_DEREF = 0x06,
    OP_AND = 0x1a,
    OP_PLUS = 0x22,
    OP_SHL = 0x24,
    OP_GE = 0x2a,
    OP_LIT0 = 0x30,
    OP_LIT31 = 0x4f,
    OP_BREG0 = 0x70
};

#define NO_REGISTER UINT64_MAX /* the frame address is not a register and an offset */

void sp_program_start(struct sp_program_state *state)
{
    *state = (struct sp_program_state){.cfa_register = NO_REGISTER};
}

static bool fits(int64_t value)
{
    return value >= INT32_MIN && value <= INT32_MAX;
}

static void set_saved(struct sp_rule *rule, uint64_t reg, enum sp_saved where, int64_t offset)
{
    if (!fits(offset)) {
        where = SP_SAVED_ELSEWHERE;
        offset = 0;
    }
    if (reg == SP_REG_FP) {
        rule->fp = (uint8_t)where;
        rule->fp_offset = (int32_t)offset;
    } else if (reg == SP_REG_RETURN) {
        rule->address = (uint8_t)where;
        rule->return_offset = (int32_t)offset;
    }
}

static void restore(struct sp_program_state *state, uint64_t reg)
{
    const struct sp_rule *initial = &state->initial;
    if (reg == SP_REG_FP) {
        set_saved(&state->rule, reg, initial->fp, initial->fp_offset);
    } else if (reg == SP_REG_RETURN) {
        set_saved(&state->rule, reg, initial->address, initial->return_offset);
    }
}

static void set_offset(struct sp_program_state *state, int64_t offset)
{
    if (!fits(offset)) {
        state->cfa_register = NO_REGISTER;
        state->rule.cfa = SP_CFA_STOP;
        offset = 0;
    }
    state->rule.cfa_offset = (int32_t)offset;
}

/* "Register plus number", as the first operation. */
static bool take_register(struct sp_cursor *c, enum sp_saved *which, int64_t *offset)
{
    unsigned op = (unsigned)sp_take(c, 1);
    *offset = sp_take_sleb(c);
    *which = op == OP_BREG0 + SP_REG_SP ? SP_SAVED_SP : SP_SAVED_FP;
    return (op == OP_BREG0 + SP_REG_SP || op == OP_BREG0 + SP_REG_FP) && !c->bad && fits(*offset);
}

/* The one that linkers write for tables of jumps: rsp + 8 + ((rip & 15) >= threshold) * 8. */
static bool is_plt(struct sp_cursor c, int64_t *offset, uint8_t *threshold)
{
#if defined(__x86_64__)
    enum sp_saved which;
    if (!take_register(&c, &which, offset) || which != SP_SAVED_SP || sp_take(&c, 1) != OP_BREG0 + SP_REG_RETURN
        || sp_take_sleb(&c) != 0 || sp_take(&c, 1) != OP_LIT0 + 15 || sp_take(&c, 1) != OP_AND) {
        return false;
    }
    unsigned literal = (unsigned)sp_take(&c, 1);
    *threshold = (uint8_t)(literal - OP_LIT0);
    return literal >= OP_LIT0 && literal <= OP_LIT31 && sp_take(&c, 1) == OP_GE && sp_take(&c, 1) == OP_LIT0 + 3
           && sp_take(&c, 1) == OP_SHL && sp_take(&c, 1) == OP_PLUS && c.at == c.end && !c.bad;
#else
    (void)c;
    (void)offset;
    (void)threshold;
    return false;
#endif
}

static void set_cfa_expression(struct sp_program_state *state, struct sp_cursor c)
{
    struct sp_rule *rule = &state->rule;
    enum sp_saved which;
    int64_t offset = 0;
    uint8_t threshold = 0;
    state->cfa_register = NO_REGISTER;
    rule->cfa = SP_CFA_STOP;
    rule->cfa_offset = 0;
    rule->extra = 0;
    if (is_plt(c, &offset, &threshold)) {
        rule->cfa = SP_CFA_PLT;
        rule->extra = threshold;
    } else if (take_register(&c, &which, &offset)) {
        bool deref = c.at < c.end && sp_take(&c, 1) == OP_DEREF;
        if (c.at != c.end) {
            return; /* more than that */
        }
        rule->cfa = which == SP_SAVED_SP ? (deref ? SP_CFA_SP_DEREF : SP_CFA_SP) : (deref ? SP_CFA_FP_DEREF : SP_CFA_FP);
    } else {
        return;
    }
    rule->cfa_offset = (int32_t)offset;
}

static void set_expression(struct sp_program_state *state, uint64_t reg, struct sp_cursor c)
{
    enum sp_saved which;
    int64_t offset = 0;
    if (take_register(&c, &which, &offset) && c.at == c.end) {
        set_saved(&state->rule, reg, which, offset);
    } else {
        set_saved(&state->rule, reg, SP_SAVED_ELSEWHERE, 0);
    }
}

/* The rule as the handler wants it. */
static struct sp_rule made(const struct sp_program_context *context, const struct sp_program_state *state)
{
    struct sp_rule rule = state->rule;
    if (state->cfa_register == SP_REG_SP) {
        rule.cfa = SP_CFA_SP;
    } else if (state->cfa_register == SP_REG_FP) {
        rule.cfa = SP_CFA_FP;
    } else if (state->cfa_register != NO_REGISTER) {
        rule.cfa = SP_CFA_STOP; /* a register that is not followed: some instructions of a prologue that aligns the stack */
    }
    if (rule.address == SP_SAVED_LOST) {
        return (struct sp_rule){.cfa = SP_CFA_END};
    }
    if (rule.cfa == SP_CFA_STOP || rule.address == SP_SAVED_ELSEWHERE) {
        return (struct sp_rule){.cfa = SP_CFA_STOP};
    }
    if (rule.cfa != SP_CFA_PLT) {
        rule.extra = context->signal;
    }
    return rule;
}

struct memory {
    struct sp_rule rule;
    uint64_t cfa_register;
};

/* One instruction that does not move on; false if there is no such one. */
static bool step(const struct sp_program_context *context, unsigned op, struct sp_cursor *c, struct sp_program_state *state,
                 struct memory *remembered, unsigned *depth)
{
    int64_t factor = context->data_factor;
    uint64_t reg;
    switch (op) {
    case CFA_NOP:
    case CFA_GNU_WINDOW_SAVE:
        return true;
    case CFA_OFFSET_EXTENDED:
        reg = sp_take_uleb(c);
        set_saved(&state->rule, reg, SP_SAVED_CFA, (int64_t)(sp_take_uleb(c) * (uint64_t)factor));
        return true;
    case CFA_OFFSET_EXTENDED_SIGNED:
        reg = sp_take_uleb(c);
        set_saved(&state->rule, reg, SP_SAVED_CFA, (int64_t)((uint64_t)sp_take_sleb(c) * (uint64_t)factor));
        return true;
    case CFA_GNU_NEGATIVE_OFFSET:
        reg = sp_take_uleb(c);
        set_saved(&state->rule, reg, SP_SAVED_CFA, (int64_t)(0 - sp_take_uleb(c) * (uint64_t)factor));
        return true;
    case CFA_RESTORE_EXTENDED:
        restore(state, sp_take_uleb(c));
        return true;
    case CFA_UNDEFINED:
        set_saved(&state->rule, sp_take_uleb(c), SP_SAVED_LOST, 0);
        return true;
    case CFA_SAME_VALUE:
        set_saved(&state->rule, sp_take_uleb(c), SP_SAVED_NOT, 0);
        return true;
    case CFA_REGISTER:
        set_saved(&state->rule, sp_take_uleb(c), SP_SAVED_ELSEWHERE, 0);
        sp_take_uleb(c);
        return true;
    case CFA_REMEMBER:
        if (*depth == MOST_REMEMBERED) {
            return false;
        }
        remembered[(*depth)++] = (struct memory){state->rule, state->cfa_register};
        return true;
    case CFA_RESTORE_STATE:
        if (*depth == 0) {
            return false;
        }
        --*depth;
        state->rule = remembered[*depth].rule;
        state->cfa_register = remembered[*depth].cfa_register;
        return true;
    case CFA_DEF_CFA:
        state->cfa_register = sp_take_uleb(c);
        set_offset(state, (int64_t)sp_take_uleb(c));
        return true;
    case CFA_DEF_CFA_SIGNED:
        state->cfa_register = sp_take_uleb(c);
        set_offset(state, (int64_t)((uint64_t)sp_take_sleb(c) * (uint64_t)factor));
        return true;
    case CFA_DEF_CFA_REGISTER:
        state->cfa_register = sp_take_uleb(c);
        return true;
    case CFA_DEF_CFA_OFFSET:
        set_offset(state, (int64_t)sp_take_uleb(c));
        return true;
    case CFA_DEF_CFA_OFFSET_SIGNED:
        set_offset(state, (int64_t)((uint64_t)sp_take_sleb(c) * (uint64_t)factor));
        return true;
    case CFA_DEF_CFA_EXPRESSION:
        set_cfa_expression(state, sp_take_part(c, sp_take_uleb(c)));
        return true;
    case CFA_EXPRESSION:
        reg = sp_take_uleb(c);
        set_expression(state, reg, sp_take_part(c, sp_take_uleb(c)));
        return true;
    case CFA_VAL_OFFSET:
    case CFA_VAL_OFFSET_SIGNED: /* a value that is computed, not stored */
        set_saved(&state->rule, sp_take_uleb(c), SP_SAVED_ELSEWHERE, 0);
        sp_take_uleb(c);
        return true;
    case CFA_VAL_EXPRESSION:
        set_saved(&state->rule, sp_take_uleb(c), SP_SAVED_ELSEWHERE, 0);
        sp_take_part(c, sp_take_uleb(c));
        return true;
    case CFA_GNU_ARGS_SIZE:
        sp_take_uleb(c);
        return true;
    default:
        return false;
    }
}

/* By how many bytes of code an instruction moves on; 0: it does not. */
static bool advances(const struct sp_program_context *context, uint8_t byte, struct sp_cursor *c, uint64_t *by)
{
    switch (byte) {
    case CFA_ADVANCE_1:
        *by = sp_take(c, 1) * context->code_factor;
        return true;
    case CFA_ADVANCE_2:
        *by = sp_take(c, 2) * context->code_factor;
        return true;
    case CFA_ADVANCE_4:
        *by = sp_take(c, 4) * context->code_factor;
        return true;
    default:
        *by = (byte & 0x3f) * context->code_factor;
        return (byte & 0xc0) == 0x40;
    }
}

bool sp_program_run(const struct sp_program_context *context, struct sp_cursor c, struct sp_program_state *state,
                    const struct sp_cfi_sink *sink, uint64_t start, uint64_t end, bool *stopped)
{
    struct memory remembered[MOST_REMEMBERED];
    unsigned depth = 0;
    uint64_t at = start;
    state->last_row = start;
    if (sink != NULL) {
        state->initial = state->rule;
    }
    while (c.at < c.end) {
        uint8_t byte = (uint8_t)sp_take(&c, 1);
        uint64_t by;
        if (advances(context, byte, &c, &by)) {
            if (by == 0 && !c.bad) {
                continue;
            }
            if (sink == NULL || c.bad || by > end - at) {
                return false;
            }
            struct sp_rule rule = made(context, state);
            if (!sink->row(sink->ctx, at, &rule)) {
                *stopped = true;
                return false;
            }
            at += by;
            state->last_row = at;
        } else if ((byte & 0xc0) == 0x80) {
            set_saved(&state->rule, byte & 0x3f, SP_SAVED_CFA, (int64_t)(sp_take_uleb(&c) * (uint64_t)context->data_factor));
        } else if ((byte & 0xc0) == 0xc0) {
            restore(state, byte & 0x3f);
        } else if (!step(context, byte, &c, state, remembered, &depth)) {
            return false;
        }
        if (c.bad) {
            return false;
        }
    }
    if (sink == NULL) {
        state->initial = state->rule;
        return true;
    }
    if (at < end) {
        struct sp_rule rule = made(context, state);
        if (!sink->row(sink->ctx, at, &rule)) {
            *stopped = true;
            return false;
        }
    }
    return true;
}
