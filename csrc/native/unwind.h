/* Follows the machine's stack from frame to frame. Context: signal handler; loads and compares, nothing else. */
#ifndef SP_NATIVE_UNWIND_H
#define SP_NATIVE_UNWIND_H

#include "core/sample.h"
#include "map.h"

struct sp_registers {
    uintptr_t pc, sp, fp;
    uintptr_t link;          /* the return address of a function that has not stored it; 0 on x86-64, where calls store it */
    uintptr_t signal_return; /* where handlers of signals return to, 0: not known. Of use where tables do not tell (aarch64) */
};

enum sp_unwind_end {
    SP_UNWIND_WHOLE,   /* up to the thread's outermost frame */
    SP_UNWIND_UNKNOWN, /* code without tables (made at run time, say), or a rule that is not understood */
    SP_UNWIND_REFUSED, /* a frame that can't be one: it is not higher up on the stack, or not on it */
    SP_UNWIND_DEEP,    /* no room for more */
};

/* The stack that a thread is on: memory that is mapped. */
struct sp_stack {
    uintptr_t low, high;
};

/* What a thread's walk before found, for the next one: most of a stack is what it was. A frame's caller follows from the frame's
 * registers and from the words at known places; where registers are the same as then, these words are compared, which need not wait
 * for each other, instead of rules being looked up one after the other. The result is always that of a walk without it. Zeroed: empty. */
struct sp_memo_frame {
    uintptr_t at, sp, fp;
    int32_t return_place, fp_place; /* from sp on */
};

struct sp_memo {
    uint32_t generation; /* of the map */
    uint32_t n;
    struct sp_stack stack;
    struct sp_memo_frame frames[SP_MEMO_FRAMES]; /* the outermost first */
    struct sp_memo_frame fresh[SP_MEMO_FRAMES];  /* of the walk at hand: those not among them, round and round */
};

/* How far a frame reaches that nobody can tell. */
#define SP_EXTENT_UNKNOWN INT32_MAX

/* Writes the frames, the innermost first: addr is an address of the running instruction or within the call; offset, in words of 8
 * bytes from the innermost frame's stack pointer, is where the frame ends and its caller's begins.
 *
 * Reads nothing but words of the stack from registers.sp on, less the part below it that the innermost function may use. `memo`: of this
 * thread, or NULL. Returns the number of frames. */
uint32_t sp_unwind(struct sp_native_map *map, struct sp_registers registers, struct sp_stack stack, struct sp_memo *memo,
                   struct sp_raw_frame *out, uint32_t most, enum sp_unwind_end *end);

#endif
