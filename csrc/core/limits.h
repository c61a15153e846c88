/* Sizes and bounds, in one place, so that a hostile build (-DSP_HOSTILE) can make every one of them tiny
 * and run each growth, wrap-around and overflow path within a short test. */
#ifndef SP_CORE_LIMITS_H
#define SP_CORE_LIMITS_H

#ifdef SP_HOSTILE
#define SP_MAX_DEPTH 16
#define SP_MAX_WALK 64
#define SP_RING_MIN_BYTES 1024u
#define SP_RING_MAX_BYTES 4096u
#define SP_RING_NATIVE_FACTOR 2u
#define SP_TABLE_START 2u
#define SP_SLOTS_PER_SLAB 2u
#define SP_WINDOW_TICKS 4u
#define SP_MAX_NATIVE 32u
#define SP_MAX_RULES 1024u
#define SP_NATIVE_CACHE 4u
#define SP_MEMO_FRAMES 8u
#else
/* Frames kept of one stack; deeper ones keep SP_MAX_DEPTH/2 at the leaf, the rest at the root, a mark between. */
#define SP_MAX_DEPTH 1024
/* Frames followed at most: beyond it the root part is given up, so that a runaway recursion bounds the handler. */
#define SP_MAX_WALK 20000
#define SP_RING_MIN_BYTES (32u * 1024u)
#define SP_RING_MAX_BYTES (1024u * 1024u)
/* Records are longer with frames of machine code, and so are rings. */
#define SP_RING_NATIVE_FACTOR 4u
#define SP_TABLE_START 256u
#define SP_SLOTS_PER_SLAB 64u
/* Ticks that a weighing window holds at least (see weights.h). */
#define SP_WINDOW_TICKS 64u
/* Frames of machine code followed at most. */
#define SP_MAX_NATIVE 2048u
/* Ways in which such a frame is left (native/rule.h): a large program has some thousand. A power of two. */
#define SP_MAX_RULES 16384u
/* Addresses whose way is remembered. A power of two. */
#define SP_NATIVE_CACHE 8192u
#define SP_MEMO_FRAMES 256u
#endif

#define SP_WINDOW_NS 1000000000ull
/* Live threads at once; the handler's tid table is twice that. */
#define SP_MAX_SLOTS 32768u
/* Threads that ended between two walks over all threads, and may still be on their way out. */
#define SP_ENDED_REMEMBERED 256u

#endif
