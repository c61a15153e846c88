/* The writer's half of the ring, alone in a file because it is part of the signal handler. */
#include "ring.h"

#include <string.h>

static void put(struct sp_ring *ring, uint64_t at, const void *from, uint32_t bytes)
{
    if (bytes == 0) {
        return; /* with no address to copy from, perhaps */
    }
    uint32_t pos = (uint32_t)(at & (ring->size - 1));
    uint32_t first = ring->size - pos;
    if (first > bytes) {
        first = bytes;
    }
    memcpy(ring->data + pos, from, first);
    if (bytes > first) {
        memcpy(ring->data, (const uint8_t *)from + first, bytes - first);
    }
}

bool sp_ring_push(struct sp_ring *ring, const void *first, uint32_t first_bytes, const void *second, uint32_t second_bytes)
{
    if (ring->data == NULL) {
        return false;
    }
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    uint64_t need = (uint64_t)first_bytes + second_bytes;
    if (ring->size - (head - tail) < need) {
        return false;
    }
    put(ring, head, first, first_bytes);
    put(ring, head + first_bytes, second, second_bytes);
    atomic_store_explicit(&ring->head, head + need, memory_order_release);
    return true;
}

uint32_t sp_ring_used(struct sp_ring *ring)
{
    /* tail first: the writer may add meanwhile, never take away, so that used is never negative */
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return (uint32_t)(atomic_load_explicit(&ring->head, memory_order_acquire) - tail);
}
