/* The raw sample: what the handler writes into its thread's ring and the drain reads.
 *
 *   head | frame[0] (leaf) | frame[1] | ... | frame[n-1] (root) | native frames, leaf first | entries, leaf first
 *
 * Addresses are raw. A code object's address is valid for as long as its record is in a ring: the hook that sees
 * a code object die drains every ring first (cpython/codeobject.c). */
#ifndef SP_CORE_SAMPLE_H
#define SP_CORE_SAMPLE_H

#include <stdint.h>

#include "limits.h"

enum sp_frame_kind {
    SP_FRAME_CODE = 1,   /* addr: code object (raw) or code id (interned); offset: byte offset of the instruction */
    SP_FRAME_NATIVE = 2, /* raw: addr is a program counter, offset where the frame ends (native/unwind.h);
                            interned: addr is an address as the object's file counts them, offset the object's number */
    SP_FRAME_MARK = 3,   /* addr: enum sp_mark, a frame that says something about the stack itself */
    SP_FRAME_ENTRY = 4, /* raw only. An activation of the evaluation loop: addr is that of a local variable of it, offset the number
                            of Python frames up to here */
};

enum sp_mark {
    SP_MARK_NATIVE = 0,         /* a thread with no Python frames */
    SP_MARK_TRUNCATED = 1,      /* frames between root and leaf part left out */
    SP_MARK_INVALID = 2,        /* a check refused the walk */
    SP_MARK_SUBINTERPRETER = 3, /* the thread runs another interpreter */
    SP_MARK_RUNNING = 4,        /* the thread runs, and no signal may be sent to ask it where */
    SP_MARK_MISSING = 5,        /* frames of machine code that could not be followed */
    SP_MARK_COUNT
};

struct sp_raw_frame {
    uint64_t addr;
    int32_t offset;
    uint32_t kind;
};

/* What a thread was doing when it was looked at. */
enum sp_state {
    SP_STATE_RUNNING,
    SP_STATE_GIL, /* waits for the GIL */
    SP_STATE_LOCK,
    SP_STATE_IO,
    SP_STATE_SLEEP,
    SP_STATE_PROCESS,
    SP_STATE_SIGNAL,
    SP_STATE_OTHER,
    SP_STATES
};

struct sp_raw_head {
    uint32_t bytes; /* of the whole record, head included */
    uint32_t n_frames;
    uint32_t ticks;      /* ticks this sample stands for: 1 + overruns */
    uint32_t lost_ticks; /* ticks of this thread that found no room since the record before */
    uint32_t lost_samples;
    uint32_t state;     /* enum sp_state */
    uint64_t time_ns;   /* CLOCK_MONOTONIC */
    uint64_t cpu_ns;    /* the thread's CPU clock */
    uint64_t wall_ns;   /* elapsed time that this sample stands for; 0 where CPU time is sampled */
    uint64_t coroutine; /* address of the coroutine object in whose run the sample was taken; 0: in none */
    /* where frames of machine code are recorded: */
    uint32_t n_native, n_entries;
    uint32_t map;         /* generation of the map by which they were found */
    uint32_t native_seen; /* 0: nobody looked; else 1 + enum sp_unwind_end */
    uint64_t stack_pointer;
};

/* Entries are recorded for the leaf half of a stack that is cut. */
#define SP_MAX_ENTRIES SP_MAX_DEPTH

static inline uint32_t sp_raw_max_frames(int native)
{
    return SP_MAX_DEPTH + 1 + (native ? SP_MAX_NATIVE + SP_MAX_ENTRIES : 0);
}

#endif
