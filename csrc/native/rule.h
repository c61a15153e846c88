/* How to get from a frame of machine code to its caller, for one stretch of instructions.
 *
 * What a compiler says about that in .eh_frame is a program for each function; nearly all of them come down to the few
 * forms below. All else is SP_CFA_STOP: the walk ends there, and says so. */
#ifndef SP_NATIVE_RULE_H
#define SP_NATIVE_RULE_H

#include <stdbool.h>
#include <stdint.h>

/* DWARF's numbers of the registers that matter. */
#if defined(__aarch64__)
#define SP_REG_FP 29
#define SP_REG_SP 31
#define SP_REG_RETURN 30
#else
#define SP_REG_FP 6 /* x86-64: rbp, rsp, and a column for the return address */
#define SP_REG_SP 7
#define SP_REG_RETURN 16
#endif

/* The canonical frame address: the stack pointer as the caller has it after the call. */
enum sp_cfa {
    SP_CFA_STOP,     /* unknown */
    SP_CFA_NONE,     /* nothing is said about these instructions */
    SP_CFA_END,      /* the outermost frame of a thread: it has no return address */
    SP_CFA_SP,       /* sp + cfa_offset */
    SP_CFA_FP,       /* fp + cfa_offset */
    SP_CFA_SP_DEREF, /* what is stored at sp + cfa_offset (signal frames) */
    SP_CFA_FP_DEREF, /* what is stored at fp + cfa_offset (functions that align their stack) */
    SP_CFA_PLT,      /* a table of jumps: sp + cfa_offset, and 8 more from byte `threshold` of a 16 byte entry on */
};

/* Where a register of the caller's is. */
enum sp_saved {
    SP_SAVED_NOT,       /* still in the register */
    SP_SAVED_CFA,       /* at cfa + offset */
    SP_SAVED_SP,        /* at sp + offset */
    SP_SAVED_FP,        /* at fp + offset */
    SP_SAVED_LOST,      /* nowhere; of the return address: there is none */
    SP_SAVED_ELSEWHERE, /* in a way that is not followed */
};

struct sp_rule {
    int32_t cfa_offset, fp_offset, return_offset;
    uint8_t cfa;     /* enum sp_cfa */
    uint8_t fp;      /* enum sp_saved: the frame pointer's register */
    uint8_t address; /* enum sp_saved: the return address */
    uint8_t extra;   /* SP_CFA_PLT: threshold; else 1 if the frame is a signal's: its caller was interrupted, and called nothing */
};

static inline bool sp_rule_same(const struct sp_rule *a, const struct sp_rule *b)
{
    return a->cfa_offset == b->cfa_offset && a->fp_offset == b->fp_offset && a->return_offset == b->return_offset
           && a->cfa == b->cfa && a->fp == b->fp && a->address == b->address && a->extra == b->extra;
}

static inline bool sp_rule_of_signal(const struct sp_rule *rule)
{
    return rule->cfa != SP_CFA_PLT && rule->extra != 0;
}

#endif
