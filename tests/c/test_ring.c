/* The ring: what goes in comes out, whole, in order, or not at all; alone and with a reader in another thread. */
#include "core/ring.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "check.h"

enum { SIZE = 64 };

/* A ring that starts at any count of bytes, so that every position and every wrap-around can be had at once. */
static uint8_t *start_at(struct sp_ring *ring, uint32_t size, uint64_t count)
{
    uint8_t *data = malloc(size);
    sp_ring_init(ring, data, size);
    atomic_store(&ring->head, count);
    atomic_store(&ring->tail, count);
    return data;
}

static void test_starts_empty(void)
{
    struct sp_ring ring;
    uint8_t *data = start_at(&ring, SIZE, 0);
    uint8_t byte;
    CHECK_EQ(sp_ring_used(&ring), 0);
    CHECK(!sp_ring_peek(&ring, 0, &byte, 1));
    CHECK(sp_ring_peek(&ring, 0, &byte, 0));
    free(data);
}

static void test_without_memory_every_push_fails(void)
{
    struct sp_ring ring;
    sp_ring_init(&ring, NULL, 0);
    CHECK(!sp_ring_push(&ring, "x", 1, "", 0));
    CHECK_EQ(sp_ring_used(&ring), 0);
}

/* Every length of both parts at every position of the buffer, also where the counts pass 32 bits. */
static void test_two_parts_at_every_position(void)
{
    uint8_t in[SIZE], out[SIZE];
    for (int i = 0; i < SIZE; i++) {
        in[i] = (uint8_t)(i * 7 + 1);
    }
    for (int at = 0; at < SIZE; at++) {
        struct sp_ring ring;
        uint8_t *data = start_at(&ring, SIZE, UINT32_MAX - 20ull + (uint64_t)at);
        for (uint32_t first = 0; first <= SIZE; first++) {
            for (uint32_t second = 0; first + second <= SIZE; second += 1 + second / 8) {
                CHECK(sp_ring_push(&ring, in, first, in + first, second));
                CHECK_EQ(sp_ring_used(&ring), first + second);
                memset(out, 0, sizeof out);
                CHECK(sp_ring_peek(&ring, 0, out, first + second));
                CHECK(memcmp(in, out, first + second) == 0);
                CHECK(!sp_ring_peek(&ring, 0, out, first + second + 1));
                CHECK(sp_ring_peek(&ring, first, out, second));
                CHECK(memcmp(in + first, out, second) == 0);
                CHECK(!sp_ring_peek(&ring, first, out, second + 1));
                sp_ring_consume(&ring, first + second);
                CHECK_EQ(sp_ring_used(&ring), 0);
            }
        }
        free(data);
    }
}

static void test_full_refuses_and_keeps_what_is_there(void)
{
    struct sp_ring ring;
    uint8_t *data = start_at(&ring, SIZE, 40);
    uint8_t in[SIZE + 1], out[SIZE];
    memset(in, 'a', sizeof in);
    CHECK(!sp_ring_push(&ring, in, SIZE + 1, "", 0));
    CHECK(!sp_ring_push(&ring, in, UINT32_MAX, in, 1)); /* the sum does not fit in 32 bits */
    CHECK(sp_ring_push(&ring, in, SIZE - 1, "", 0));
    CHECK(!sp_ring_push(&ring, "bb", 2, NULL, 0));
    CHECK(!sp_ring_push(&ring, "b", 1, "b", 1));
    CHECK(sp_ring_push(&ring, "", 0, "c", 1));
    CHECK_EQ(sp_ring_used(&ring), SIZE);
    CHECK(!sp_ring_push(&ring, "d", 1, "", 0));
    CHECK(sp_ring_peek(&ring, 0, out, SIZE));
    CHECK(memcmp(out, in, SIZE - 1) == 0 && out[SIZE - 1] == 'c');
    sp_ring_consume(&ring, 1);
    CHECK(sp_ring_push(&ring, "d", 1, "", 0));
    CHECK(sp_ring_peek(&ring, SIZE - 2, out, 2));
    CHECK(out[0] == 'c' && out[1] == 'd');
    free(data);
}

/* ---- one writer, one reader: records of random length whose bytes are known from their number */

enum { RECORDS = 100000, MAX_PAYLOAD = 61 };

struct stream {
    struct sp_ring ring;
    uint64_t refused;
};

static uint32_t payload(uint32_t number, uint8_t *bytes)
{
    uint64_t state = number * 2654435761ull + 1;
    uint32_t len = (uint32_t)(check_random(&state) % (MAX_PAYLOAD + 1));
    for (uint32_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)check_random(&state);
    }
    return len;
}

static void *write_all(void *arg)
{
    struct stream *stream = arg;
    uint8_t bytes[MAX_PAYLOAD];
    for (uint32_t number = 0; number < RECORDS; number++) {
        uint32_t len = payload(number, bytes);
        uint32_t head[2] = {number, len};
        while (!sp_ring_push(&stream->ring, head, sizeof head, bytes, len)) {
            stream->refused++;
            sched_yield();
        }
    }
    return NULL;
}

static void test_writer_and_reader_in_two_threads(void)
{
    struct stream stream = {.refused = 0};
    uint8_t *data = start_at(&stream.ring, 256, UINT32_MAX - 1000ull);
    pthread_t writer;
    CHECK(pthread_create(&writer, NULL, write_all, &stream) == 0);
    for (uint32_t number = 0; number < RECORDS;) {
        uint32_t head[2];
        if (!sp_ring_peek(&stream.ring, 0, head, sizeof head)) {
            sched_yield();
            continue;
        }
        /* the head is published with the rest: what follows it must be there */
        uint8_t got[MAX_PAYLOAD], want[MAX_PAYLOAD];
        uint32_t len = payload(number, want);
        CHECK_EQ(head[0], number);
        CHECK_EQ(head[1], len);
        CHECK(sp_ring_peek(&stream.ring, sizeof head, got, len));
        CHECK(memcmp(got, want, len) == 0);
        sp_ring_consume(&stream.ring, (uint32_t)sizeof head + len);
        number++;
    }
    pthread_join(writer, NULL);
    CHECK_EQ(sp_ring_used(&stream.ring), 0);
    free(data);
}

int main(void)
{
    RUN(test_starts_empty);
    RUN(test_without_memory_every_push_fails);
    RUN(test_two_parts_at_every_position);
    RUN(test_full_refuses_and_keeps_what_is_there);
    RUN(test_writer_and_reader_in_two_threads);
    return check_report();
}
