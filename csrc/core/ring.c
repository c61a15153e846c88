/* The reader's half of the ring. */
#include "ring.h"

#include <string.h>

void sp_ring_init(struct sp_ring *ring, uint8_t *data, uint32_t size)
{
    ring->data = data;
    ring->size = size;
    atomic_store(&ring->head, 0);
    atomic_store(&ring->tail, 0);
}

bool sp_ring_peek(struct sp_ring *ring, uint32_t at, void *out, uint32_t bytes)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (head - tail < (uint64_t)at + bytes) {
        return false;
    }
    uint32_t pos = (uint32_t)((tail + at) & (ring->size - 1));
    uint32_t first = ring->size - pos;
    if (first > bytes) {
        first = bytes;
    }
    memcpy(out, ring->data + pos, first);
    if (bytes > first) {
        memcpy((uint8_t *)out + first, ring->data, bytes - first);
    }
    return true;
}

void sp_ring_consume(struct sp_ring *ring, uint32_t bytes)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + bytes, memory_order_release);
}
