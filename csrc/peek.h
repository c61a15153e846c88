/* What a running session has recorded so far, in parts, for a file that grows beside the program (docs/adr/0028).
 *
 * Everything is copied under the session's lock, at most so much in one call that the lock is held for a fraction of a
 * millisecond, and made into Python objects (ext/convert_peek.c) when the lock is free again: under it nothing may call into Python.
 * Only references are counted there: a code object whose address the tree knows is alive, or waits for this lock to announce its
 * death, so that its strings can be had. */
#ifndef SP_PEEK_H
#define SP_PEEK_H

#include "cpython/compat.h" /* Python.h goes before every other header */

#include "session.h"

#define SP_PEEK_NAME_BYTES 64

/* Where the caller has got to. */
struct sp_peek_from {
    size_t row, node, frame, object, thread;
    uint64_t since_ns;
};

/* A frame with what names it: strong references. */
struct sp_peek_frame {
    struct sp_raw_frame raw;
    PyObject *name, *filename, *linetable; /* NULL: a mark, machine code, or a name that could not be kept */
    int32_t first_line;
    uint64_t function; /* of machine code: where it begins; SP_NO_FUNCTION */
};

struct sp_peek_object {
    char *path;
    uint8_t build_id[SP_BUILD_ID_BYTES];
    uint32_t build_id_bytes;
    uint64_t bias;
    int role;
    struct sp_segment code[SP_OBJECT_SEGMENTS];
    uint64_t code_offset[SP_OBJECT_SEGMENTS];
    unsigned n_code;
};

/* A thread, as of now. */
struct sp_peek_thread {
    size_t index;
    pid_t tid;
    char name[SP_PEEK_NAME_BYTES];
    uint64_t start_ns, end_ns, cpu_ns, samples, dropped, wall_ns, wall_dropped_ns;
    uint64_t states_ns[SP_STATES];
    bool alive;
};

struct sp_peek {
    struct sp_peek_from from;
    bool wall, complete;
    size_t frames, nodes, rows, threads, objects;
    struct sp_peek_frame *frame;
    uint32_t *parents, *node_frames;
    uint64_t *times, *ticks, *walls;
    uint32_t *row_nodes, *row_threads;
    uint8_t *states;
    struct sp_peek_thread *thread;
    struct sp_peek_object *object;
    uint64_t now_ns, interval_ns;
    double start_time;
};

/* Copies what is new from `peek->from` on. Context: GIL held (or attached); the session's lock not. False if no session is active.
 * `err`: SP_OK, SP_ERR_MEMORY. */
bool sp_peek_take(struct sp_peek *peek, int *err);
/* Whatever sp_peek_take() has made, also after an error. Context: GIL held. */
void sp_peek_free(struct sp_peek *peek);

#endif
