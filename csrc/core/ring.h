/* A byte ring with one writer (the handler on the thread that owns it) and one reader (whoever holds the drain lock).
 *
 * `head` counts bytes ever written, `tail` bytes ever read; both only grow, so full and empty never look alike:
 * empty is head == tail, used is head - tail, and the position in the buffer is the count modulo its size.
 * The writer publishes a record by storing `head` once, after all its bytes (release); the reader frees it by storing
 * `tail` once (release). A record that does not fit whole is not written at all. */
#ifndef SP_CORE_RING_H
#define SP_CORE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sp_ring {
    uint8_t *data;                          /* NULL: a thread for which no ring could be had; every push fails and is counted */
    uint32_t size;                          /* a power of two */
    _Alignas(64) atomic_uint_fast64_t head; /* writer */
    _Alignas(64) atomic_uint_fast64_t tail; /* reader */
};

/* Context: any, before the ring is seen by a writer. `size` must be a power of two. Owns: nothing, `data` stays the caller's. */
void sp_ring_init(struct sp_ring *ring, uint8_t *data, uint32_t size);

/* Context: signal handler. Writes the two parts as one record; false (and nothing written) if they do not fit. */
bool sp_ring_push(struct sp_ring *ring, const void *first, uint32_t first_bytes, const void *second, uint32_t second_bytes);

/* Bytes in use. Context: any; a moment's truth. */
uint32_t sp_ring_used(struct sp_ring *ring);

/* Context: the reader. Copies `bytes` from `at` bytes behind the tail without freeing them; false if not that many are there. */
bool sp_ring_peek(struct sp_ring *ring, uint32_t at, void *out, uint32_t bytes);

/* Context: the reader. Frees `bytes` at the tail. */
void sp_ring_consume(struct sp_ring *ring, uint32_t bytes);

#endif
